/* The loops over the cells of one string; included by series.h once per instruction set. Twin: kernels/reference/
 * series.py, same operations in the same order. Each group of 16 cells is one branch-free loop that compilers turn into
 * vectors; a string stays in the first-level cache between the passes. Where a cell's arithmetic is a long chain, a pass
 * is two loops that take a few groups each in turn: a processor works on as many operations at a time as it can hold,
 * and half a chain of several groups keeps it busier than the whole one of a single group. */

static inline float VARIANT(smaller)(float a, float b)
{
    return a < b ? a : b;
}

static inline float VARIANT(larger)(float a, float b)
{
    return a > b ? a : b;
}

/* `value` where `mask` is all ones, 0 where it is 0. Choices that a compiler may turn into branches, to be turned back
 * into masks one by one, make a loop half as long again. */
static inline float VARIANT(where)(int32_t mask, float value)
{
    union {
        float number;
        int32_t bits;
    } same = {value};
    same.bits &= mask;
    return same.number;
}

static inline float VARIANT(above_zero)(float a)
{
    return VARIANT(where)(-(int32_t)(a > 0.0f), a);
}

/* Where a SoC lies on a curve, in points. */
static inline float VARIANT(place)(float soc, Grid grid)
{
    return VARIANT(smaller)(VARIANT(above_zero)((soc - grid.first) * grid.per_frac), grid.end);
}

typedef float VARIANT(Vector) __attribute__((vector_size(4 * VARIANT_WIDTH), aligned(4), may_alias));
typedef int32_t VARIANT(Places) __attribute__((vector_size(4 * VARIANT_WIDTH), aligned(4), may_alias));

/* Sums run over 16 lanes, in the same order on every processor. */
typedef struct {
    VARIANT(Vector) part[LANES / VARIANT_WIDTH];
} VARIANT(Sums);

static inline ALWAYS_INLINE void VARIANT(add)(VARIANT(Sums) *sums, const float *values)
{
    for (int p = 0; p < LANES / VARIANT_WIDTH; p++)
        sums->part[p] += ((const VARIANT(Vector) *)values)[p];
}

static inline float VARIANT(total)(const VARIANT(Sums) *sums)
{
    float lanes[LANES];
    memcpy(lanes, sums, sizeof lanes);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            lanes[l] += lanes[l + half];
    return lanes[0];
}

/* Gathers are slow where they exist at all, and the cells of a string lie close together on the curve: where one
 * instruction permutes a register, four of them hold the points around the string's mean, and only a string of which a
 * cell lies further off is looked up in memory. */
enum { VARIANT(WINDOW) = 4 * VARIANT_WIDTH, VARIANT(PERMUTES) = VARIANT_WIDTH > 4 };

/* Points of a curve: in registers those from `first` on, and the bits of all places there that were asked for. */
typedef struct {
    const float *curve;
    int32_t first;
    VARIANT(Places) asked;
} VARIANT(Points);

static inline VARIANT(Points) VARIANT(points_of)(const Task *task, const Rule *rule)
{
    int32_t first = (int32_t)VARIANT(place)((float)task->mean->soc_frac, rule->grid) - VARIANT(WINDOW) / 2;
    int32_t last = (int32_t)rule->grid.end - VARIANT(WINDOW);
    return (VARIANT(Points)){task->curve, first < 0 ? 0 : first < last ? first : last, {0}};
}

/* The voltages `beside` 16 places, from registers or from memory. */
static inline ALWAYS_INLINE void VARIANT(read_points)(
    VARIANT(Points) *points, const int32_t *place, int beside, int in_registers, float *volts)
{
#if VARIANT_WIDTH > 4
    if (in_registers) {
        const VARIANT(Vector) *table = (const VARIANT(Vector) *)(points->curve + points->first + beside);
        for (int l = 0; l < LANES; l += VARIANT_WIDTH) {
            VARIANT(Places) at = *(const VARIANT(Places) *)(place + l) - points->first;
            VARIANT(Places) upper = (at & 2 * VARIANT_WIDTH) != 0;
            VARIANT(Places) low_v = (VARIANT(Places))__builtin_shuffle(table[0], table[1], at);
            VARIANT(Places) high_v = (VARIANT(Places))__builtin_shuffle(table[2], table[3], at);
            *(VARIANT(Places) *)(volts + l) = (high_v & upper) | (low_v & ~upper);
            points->asked |= at;
        }
        return;
    }
#endif
    for (int l = 0; l < LANES; l++)
        volts[l] = points->curve[place[l] + beside];
}

/* 0 when a place was asked for that registers do not hold. */
static inline int VARIANT(all_were_held)(const VARIANT(Points) *points)
{
    int32_t bits = 0;
    for (int l = 0; l < VARIANT_WIDTH; l++)
        bits |= points->asked[l];
    return (bits & -VARIANT(WINDOW)) == 0;
}

/* Every loop over a string's cells brings some lines of the next string's on their way into the second-level cache, so
 * that the memory never waits for the arithmetic: 15 lines a group are more than the processor's own prefetching takes
 * at once (measured at a million cells: twice as fast). */
static inline ALWAYS_INLINE void VARIANT(look_ahead)(Ahead *ahead, ptrdiff_t lines)
{
    for (ptrdiff_t line = 0; line < lines; line++)
        __builtin_prefetch(ahead->state + line * LINE, 1, 2);
    ahead->state += lines * LINE;
}

/* Those of one's own string, some groups ahead, from there into the first-level cache. */
static inline ALWAYS_INLINE void VARIANT(look_near)(const void *group, ptrdiff_t lines)
{
    for (ptrdiff_t line = 0; line < lines; line++)
        __builtin_prefetch((const char *)group + (NEAR_GROUPS * lines + line) * LINE, 1, 3);
}

/* Mean of the voltages that are off by `centre` give or take `window` (NaN is not), and how many that are. */
static float VARIANT(mean_within)(const Scratch *scratch, ptrdiff_t groups, float centre, float window, float *count)
{
    VARIANT(Sums) sums = {0}, counts = {0};
    for (ptrdiff_t i = 0; i < groups; i++) {
        const float *restrict off_v = scratch[i].off_v;
        float chosen[LANES], chosen_v[LANES];
        INDEPENDENT
        for (int l = 0; l < LANES; l++) {
            float difference = off_v[l] - centre;
            chosen_v[l] = fabsf(difference) < window ? difference : 0.0f;
            chosen[l] = fabsf(difference) < window ? 1.0f : 0.0f;
        }
        VARIANT(add)(&sums, chosen_v);
        VARIANT(add)(&counts, chosen);
    }
    *count = VARIANT(total)(&counts);
    return *count > 0.0f ? centre + VARIANT(total)(&sums) / *count : centre;
}

/* The charge that bleeding took, into the remainder: it is far below one unit in the last place of the deviation. */
static void VARIANT(bleed)(const Task *task, const Rule *rule, float typical_v)
{
    float frac_per_v = (float)(task->dt_s * rule->bleed_s / (3600.0 * task->mean->capacity_ah));
    int any = 0;
    for (ptrdiff_t k = 0; k < task->cells; k++)
        any |= task->bleeding[k * task->bleeding_stride];
    if (!any)
        return;
    for (ptrdiff_t k = 0; k < task->cells; k++) {
        Group *group = task->group + k / LANES;
        if (task->bleeding[k * task->bleeding_stride]) {
            float v = (float)*(const double *)(task->voltage_v + k * task->voltage_stride);
            v = fabsf(v) < rule->absent_v ? v : typical_v;
            group->remainder[k % LANES] -= frac_per_v * v * (1.0f + group->inverse[k % LANES]);
        }
    }
    task->pending->bled_frac += frac_per_v * rule->absent_v;
}

/* Charge, centring and elapsed time into every cell's state and covariances; rare, so that nothing is too small for a
 * float. The deviation is summed exactly (Knuth's two-sum). */
static void VARIANT(carry_ahead)(const Task *task, const Rule *rule, Ahead *ahead)
{
    Pending *pending = task->pending;
    float moved = (float)pending->moved_frac, centre = (float)pending->centre_frac, s = (float)pending->elapsed_s;
    float kept = (float)exp(-pending->elapsed_s / rule->offset_s);
    float soc_walk = rule->soc_walk_per_s * s, resistance_walk = rule->resistance_walk_per_s * s;
    float inverse_walk = rule->inverse_walk_per_s * s;
    float soc_min2 = rule->soc_min2, soc_max2 = rule->soc_max2;
    float resistance_max2 = rule->resistance_max2, inverse_max2 = rule->inverse_max2;
    for (ptrdiff_t i = 0; i < task->groups; i++) {
        Group *restrict g = task->group + i;
        Belief *restrict b = task->belief + i;
        VARIANT(look_ahead)(ahead, CARRY_LINES);
        INDEPENDENT
        for (int l = 0; l < LANES; l++) {
            float old = g->deviation[l], change = g->remainder[l] - (moved * g->inverse[l] + centre);
            float next = old + change, part = next - old;
            g->deviation[l] = next;
            g->remainder[l] = (old - (next - part)) + (change - part);
            float ss = b->ss[l] - 2.0f * moved * b->si[l] + moved * moved * b->ii[l] + soc_walk;
            b->ss[l] = VARIANT(smaller)(VARIANT(larger)(ss, soc_min2), soc_max2);
            b->sr[l] -= moved * b->ri[l];
            b->si[l] -= moved * b->ii[l];
            b->cs[l] = kept * (b->cs[l] - moved * b->ci[l]);
            b->rr[l] = VARIANT(smaller)(b->rr[l] + resistance_walk, resistance_max2);
            b->ii[l] = VARIANT(smaller)(b->ii[l] + inverse_walk, inverse_max2);
            b->cr[l] *= kept;
            b->ci[l] *= kept;
        }
    }
    pending->moved_frac = pending->elapsed_s = pending->bled_frac = pending->centre_frac = 0.0;
    pending->seen_soc_frac = NAN;
}

static void VARIANT(carry)(const Task *task, const Rule *rule)
{
    Ahead none = {.state = (const char *)task->group};
    VARIANT(carry_ahead)(task, rule, &none);
}

/* A group's voltages, NaN for the padding; in `room` unless they can be read where they are. */
static inline const double *VARIANT(voltages)(const Task *task, ptrdiff_t i, double *room)
{
    const char *given = task->voltage_v + i * LANES * task->voltage_stride;
    ptrdiff_t cells = task->cells - i * LANES;
    if (cells >= LANES && task->voltage_stride == (ptrdiff_t)sizeof(double))
        return (const double *)given;
    for (int l = 0; l < LANES; l++)
        room[l] = l < cells ? *(const double *)(given + l * task->voltage_stride) : (double)NAN;
    return room;
}

/* Over a string's cells: voltages that are present, by how much they are off, and all cells' open-circuit voltages. */
typedef struct {
    VARIANT(Sums) count, off_v, ocv_v;
} VARIANT(Expected);

/* Each cell's own deviation and open-circuit voltage, and how far its voltage is from what they and the string's drop
 * let expect (NaN where absent); 0 when a cell lies outside what registers hold, and nothing is right. */
static inline ALWAYS_INLINE int VARIANT(expect_by)(
    const Task *task, const Rule *rule, Ahead *given_ahead, int in_registers, VARIANT(Expected) *found)
{
    float moved = (float)task->pending->moved_frac, centre = (float)task->pending->centre_frac;
    float mean = (float)task->mean->soc_frac, drop_v = (float)task->mean->drop_v, absent_v = rule->absent_v;
    VARIANT(Points) points = VARIANT(points_of)(task, rule);
    Grid grid = rule->grid;
    VARIANT(Sums) counts = {0}, off_sums = {0}, ocv_sums = {0};
    Ahead ahead = *given_ahead;
    for (ptrdiff_t tile = 0; tile < task->groups; tile += TILE) {
        ptrdiff_t end = tile + TILE < task->groups ? tile + TILE : task->groups;
        int32_t place[TILE][LANES];
        float beyond[TILE][LANES];
        for (ptrdiff_t i = tile; i < end; i++) {
            const Group *restrict g = task->group + i;
            Scratch *restrict scratch = task->scratch + i;
            VARIANT(look_ahead)(&ahead, PLACE_LINES);
            VARIANT(look_near)(g, sizeof *g / LINE);
            INDEPENDENT
            for (int l = 0; l < LANES; l++) {
                float d = (g->deviation[l] + g->remainder[l]) - (moved * g->inverse[l] + centre);
                float x = VARIANT(place)(mean + d, grid);
                scratch->own[l] = d;
                place[i - tile][l] = (int32_t)x;
                beyond[i - tile][l] = x - (float)(int32_t)x;
            }
        }
        for (ptrdiff_t i = tile; i < end; i++) {
            const Group *restrict g = task->group + i;
            Scratch *restrict scratch = task->scratch + i;
            double room[LANES];
            const double *restrict voltage_v = VARIANT(voltages)(task, i, room);
            float below_v[LANES], above_v[LANES], present[LANES], present_v[LANES], real_v[LANES];
            int32_t cells = (int32_t)(task->cells - i * LANES);
            VARIANT(look_ahead)(&ahead, EXPECT_LINES);
            __builtin_prefetch(ahead.voltage_v + 2 * i * LINE, 0, 2);
            __builtin_prefetch(ahead.voltage_v + (2 * i + 1) * LINE, 0, 2);
            VARIANT(read_points)(&points, place[i - tile], 0, in_registers, below_v);
            VARIANT(read_points)(&points, place[i - tile], 1, in_registers, above_v);
            INDEPENDENT
            for (int l = 0; l < LANES; l++) {
                float v = below_v[l] + beyond[i - tile][l] * (above_v[l] - below_v[l]);
                float off_v = (float)voltage_v[l] - (v - drop_v * (1.0f + g->resistance[l]));
                scratch->ocv_v[l] = v;
                scratch->off_v[l] = off_v;
                present[l] = fabsf(off_v) < absent_v ? 1.0f : 0.0f;
                present_v[l] = fabsf(off_v) < absent_v ? off_v : 0.0f;
                real_v[l] = l < cells ? v : 0.0f;
            }
            VARIANT(add)(&counts, present);
            VARIANT(add)(&off_sums, present_v);
            VARIANT(add)(&ocv_sums, real_v);
        }
    }
    *found = (VARIANT(Expected)){counts, off_sums, ocv_sums};
    if (in_registers && !VARIANT(all_were_held)(&points))
        return 0;
    *given_ahead = ahead;
    return 1;
}

static VARIANT(Expected) VARIANT(expect)(const Task *task, const Rule *rule, Ahead *ahead)
{
    VARIANT(Expected) found;
    if (!VARIANT(PERMUTES) || !VARIANT(expect_by)(task, rule, ahead, 1, &found))
        VARIANT(expect_by)(task, rule, ahead, 0, &found);
    return found;
}

/* The ends of the curve's chord around `x`: the points beside what lies within `reach`. */
static inline void VARIANT(chord)(float x, float reach, float end, int32_t *low, int32_t *high)
{
    int32_t below = (int32_t)VARIANT(above_zero)(x - reach);
    int32_t above = (int32_t)VARIANT(above_zero)(VARIANT(smaller)(x + reach, end));
    *low = below < above ? below : above;
    *high = above + 1;
}

/* The curve as each cell's belief sees it, read at one sigma to both sides: the chord is its slope; what the curve bends
 * between counts as error, of the cell's own sigma and, where it is not the mean cell, of the mean's. Further out the
 * mean cell may lie where the curve is much steeper, and then the cell's whole deviation shows otherwise: by how much the
 * slope differs at the outer two of Gauss and Hermite's three points (the square root of 3 sigma, a sixth each). */
static inline ALWAYS_INLINE int VARIANT(look_by)(
    const Task *task, const Rule *rule, Ahead *given_ahead, int in_registers)
{
    float mean = (float)task->mean->soc_frac;
    float mean2 = (float)(task->mean->soc_sigma_frac * task->mean->soc_sigma_frac);
    float per_frac = rule->grid.per_frac, end = rule->grid.end;
    float astray = sqrtf(3.0f * mean2) * per_frac, slope_scale = rule->place_share * (per_frac * per_frac);
    VARIANT(Points) points = VARIANT(points_of)(task, rule);
    Grid grid = rule->grid;
    Ahead ahead = *given_ahead;
    for (ptrdiff_t i = 0; i < task->groups; i++) {
        Belief *restrict b = task->belief + i;
        const Scratch *restrict scratch = task->scratch + i;
        int32_t low[3][LANES], high[3][LANES];
        float low_v[3][LANES], high_v[3][LANES];
        VARIANT(look_ahead)(&ahead, LOOK_LINES);
        INDEPENDENT
        for (int l = 0; l < LANES; l++) {
            float ss = b->ss[l], reach = sqrtf(ss + mean2) * per_frac, own_reach = sqrtf(ss) * per_frac;
            float x = VARIANT(place)(mean + scratch->own[l], grid);
            VARIANT(chord)(x, reach, end, &low[0][l], &high[0][l]);
            VARIANT(chord)(x + astray, own_reach, end, &low[1][l], &high[1][l]);
            VARIANT(chord)(x - astray, own_reach, end, &low[2][l], &high[2][l]);
        }
        for (int k = 0; k < 3; k++) {
            VARIANT(read_points)(&points, low[k], 0, in_registers, low_v[k]);
            VARIANT(read_points)(&points, high[k], 0, in_registers, high_v[k]);
        }
        INDEPENDENT
        for (int l = 0; l < LANES; l++) {
            float d = scratch->own[l], ss = b->ss[l], both2 = ss + mean2, x = VARIANT(place)(mean + d, grid);
            float per_point = (high_v[0][l] - low_v[0][l]) / (float)(high[0][l] - low[0][l]);
            float above = (high_v[1][l] - low_v[1][l]) / (float)(high[1][l] - low[1][l]) - per_point;
            float below = (high_v[2][l] - low_v[2][l]) / (float)(high[2][l] - low[2][l]) - per_point;
            float bend_v = low_v[0][l] + per_point * (x - (float)low[0][l]) - scratch->ocv_v[l];
            float bend = bend_v / both2, slope2 = (above * above + below * below) * (1.0f / 6.0f);
            float bend2 = bend * bend * (ss * ss + 4.0f * mean2 * (d * d));
            b->slope_v[l] = per_point * per_frac;
            b->bend_v2[l] = bend2 + slope2 * slope_scale * (ss + d * d);
        }
    }
    if (in_registers && !VARIANT(all_were_held)(&points))
        return 0;
    *given_ahead = ahead;
    return 1;
}

static void VARIANT(look)(const Task *task, const Rule *rule, Ahead *ahead)
{
    if (!VARIANT(PERMUTES) || !VARIANT(look_by)(task, rule, ahead, 1))
        VARIANT(look_by)(task, rule, ahead, 0);
    task->pending->seen_soc_frac = task->mean->soc_frac;
    task->pending->seen_sigma_frac = task->mean->soc_sigma_frac;
}

/* The measurement, for cells whose voltage is present; all of them get their outputs. `common_v` is the error that the
 * string's cells share: of the mean SoC, hysteresis, drop, temperature. What is left tells cell from cell. Gives the sum
 * of the cells' deviations.
 *
 * A lasting error of the voltage (sensor offset, a curve of its own) is considered and never estimated (Schmidt):
 * readings that repeat it bring no news. Errors of the model last as long as a load, noise about a minute: within that
 * time samples count as one. What lies outside `gate` sigmas counts the less the wilder. */
static float VARIANT(update)(const Task *task, const Rule *rule, float common_v, float gain, Ahead ahead)
{
    float mean = (float)task->mean->soc_frac, drop_v = (float)task->mean->drop_v, dt_s = (float)task->dt_s;
    float mean2 = (float)(task->mean->soc_sigma_frac * task->mean->soc_sigma_frac);
    float noise_v2 = rule->noise_v2 * VARIANT(larger)(1.0f, rule->noise_s / dt_s);
    float lasting = VARIANT(larger)(1.0f, rule->model_s / dt_s);
    float ohmic_v2 = rule->ohmic_error2 * drop_v * drop_v;
    float h_r = -gain * drop_v, h_c = gain, per_gate2 = 1.0f / (rule->gate * rule->gate);
    float offset_v2 = rule->offset_v2, absent_v = rule->absent_v;
    float soc_min2 = rule->soc_min2, resistance_min2 = rule->resistance_min2, inverse_min2 = rule->inverse_min2;
    VARIANT(Sums) sums = {0};
    for (ptrdiff_t tile = 0; tile < task->groups; tile += TILE) {
        ptrdiff_t end = tile + TILE < task->groups ? tile + TILE : task->groups;
        Gain gains[TILE];
        for (ptrdiff_t i = tile; i < end; i++) {
            const Belief *restrict b = task->belief + i;
            const Scratch *restrict scratch = task->scratch + i;
            Gain *restrict a = gains + (i - tile);
            VARIANT(look_ahead)(&ahead, WEIGH_LINES);
            VARIANT(look_near)(b, sizeof *b / LINE);
            INDEPENDENT
            for (int l = 0; l < LANES; l++) {
                float off_v = scratch->off_v[l], h_s = gain * b->slope_v[l];
                float ss = b->ss[l], sr = b->sr[l], si = b->si[l], rr = b->rr[l], ri = b->ri[l];
                float cs = b->cs[l], cr = b->cr[l], ci = b->ci[l];
                float a_s = h_s * ss + h_r * sr + h_c * cs;
                float a_r = h_s * sr + h_r * rr + h_c * cr;
                float a_i = h_s * si + h_r * ri + h_c * ci;
                float a_c = h_s * cs + h_r * cr + h_c * offset_v2;
                float spread_v2 = VARIANT(larger)(h_s * a_s + h_r * a_r + h_c * a_c, 0.0f);
                spread_v2 += noise_v2 + (ohmic_v2 + b->bend_v2[l]) * lasting;
                int32_t present = -(int32_t)(fabsf(off_v) < absent_v);
                float e = VARIANT(where)(present, off_v - common_v);
                float bound_v2 = VARIANT(larger)(spread_v2, e * e * per_gate2);
                a->scale[l] = VARIANT(where)(present, spread_v2 / (bound_v2 * bound_v2));
                a->e[l] = e;
                a->s[l] = a_s;
                a->r[l] = a_r;
                a->i[l] = a_i;
                a->c[l] = a_c;
            }
        }
        for (ptrdiff_t i = tile; i < end; i++) {
            Group *restrict g = task->group + i;
            Belief *restrict b = task->belief + i;
            const Scratch *restrict scratch = task->scratch + i;
            const Gain *restrict a = gains + (i - tile);
            float *restrict soc = task->soc + i * LANES, *restrict sigma = task->sigma + i * LANES;
            float real[LANES];
            int32_t cells = (int32_t)(task->cells - i * LANES);
            VARIANT(look_ahead)(&ahead, CORRECT_LINES);
            __builtin_prefetch(ahead.soc + i * LANES, 1, 2);
            __builtin_prefetch(ahead.sigma + i * LANES, 1, 2);
            INDEPENDENT
            for (int l = 0; l < LANES; l++) {
                float e = a->e[l], a_s = a->s[l], a_r = a->r[l], a_i = a->i[l], a_c = a->c[l];
                float k_s = a_s * a->scale[l], k_r = a_r * a->scale[l], k_i = a_i * a->scale[l];
                float step = k_s * e, d = scratch->own[l] + step;
                float ss = VARIANT(larger)(b->ss[l] - k_s * a_s, soc_min2);
                g->deviation[l] += step;
                g->resistance[l] += k_r * e;
                g->inverse[l] += k_i * e;
                b->ss[l] = ss;
                b->sr[l] -= k_s * a_r;
                b->si[l] -= k_s * a_i;
                b->rr[l] = VARIANT(larger)(b->rr[l] - k_r * a_r, resistance_min2);
                b->ri[l] -= k_r * a_i;
                b->ii[l] = VARIANT(larger)(b->ii[l] - k_i * a_i, inverse_min2);
                b->cs[l] -= k_s * a_c;
                b->cr[l] -= k_r * a_c;
                b->ci[l] -= k_i * a_c;
                real[l] = l < cells ? d : 0.0f;
                soc[l] = VARIANT(smaller)(VARIANT(larger)(mean + d, 0.0f), 1.0f);
                sigma[l] = sqrtf(ss + mean2);
            }
            VARIANT(add)(&sums, real);
        }
    }
    return VARIANT(total)(&sums);
}

static float VARIANT(ocv_at)(const Task *task, const Rule *rule, float soc)
{
    float x = VARIANT(place)(soc, rule->grid);
    const float *point = task->curve + (int32_t)x;
    return point[0] + (x - (float)(int32_t)x) * (point[1] - point[0]);
}

static int VARIANT(carry_is_due)(const Pending *pending, const Rule *rule)
{
    return fabs(pending->moved_frac) > rule->moved_frac_max || pending->elapsed_s > rule->elapsed_s_max
        || pending->bled_frac > rule->bled_frac_max || fabs(pending->centre_frac) > rule->centre_frac_max;
}

/* Also before the first look, when what was seen is NaN. */
static int VARIANT(look_is_due)(const Task *task, const Rule *rule)
{
    double sigma = task->pending->seen_sigma_frac;
    return !(fabs(task->mean->soc_frac - task->pending->seen_soc_frac) <= rule->seen_frac_max)
        || !(fabs(task->mean->soc_sigma_frac - sigma) <= rule->seen_sigma_max * sigma + rule->seen_frac_max);
}

/* Where the next string is; what its step begins with is brought at once. */
static Ahead VARIANT(next_string)(const Task *task)
{
    ptrdiff_t groups = task->ahead * task->groups;
    __builtin_prefetch(task->mean + task->ahead, 0, 3);
    __builtin_prefetch(task->pending + task->ahead, 1, 3);
    return (Ahead){
        (const char *)task->group + groups * (ptrdiff_t)(sizeof(Group) + sizeof(Belief)),
        task->voltage_v + task->ahead * task->next_voltages, task->soc + groups * LANES, task->sigma + groups * LANES,
    };
}

/* One string, one step. */
static void VARIANT(string_step)(const Task *task, const Rule *rule)
{
    Pending *pending = task->pending;
    Ahead ahead = VARIANT(next_string)(task);
    float mean_ocv_v = VARIANT(ocv_at)(task, rule, (float)task->mean->soc_frac);
    pending->moved_frac += task->mean->charge_ah / task->mean->capacity_ah;
    pending->elapsed_s += task->dt_s;
    if (task->bleeding)
        VARIANT(bleed)(task, rule, mean_ocv_v);
    if (VARIANT(carry_is_due)(pending, rule))
        VARIANT(carry_ahead)(task, rule, &ahead);
    VARIANT(Expected) found = VARIANT(expect)(task, rule, &ahead);
    float few, count = VARIANT(total)(&found.count);
    float rough_v = count > 0.0f ? VARIANT(total)(&found.off_v) / count : 0.0f;
    if (VARIANT(look_is_due)(task, rule))
        VARIANT(look)(task, rule, &ahead);
    float common_v = VARIANT(mean_within)(task->scratch, task->groups, rough_v, rule->outlier_v, &few);
    if (2.0f * few < count)
        common_v = rough_v;
    float gain = count > 0.0f ? 1.0f - 1.0f / count : 0.0f;
    float own = VARIANT(update)(task, rule, common_v, gain, ahead);
    pending->shift_frac = own / (float)task->cells;
    pending->centre_frac += pending->shift_frac;
    pending->curvature_v = VARIANT(total)(&found.ocv_v) / (float)task->cells - mean_ocv_v;
}
