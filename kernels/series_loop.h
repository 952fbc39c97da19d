/* The loops over the cells of one string; included by series.h once per instruction set. Twin: kernels/reference/
 * series.py, same operations in the same order. Each group of 16 cells is one branch-free loop that compilers turn into
 * vectors; a string stays in the first-level cache between the passes. */

static inline float VARIANT(smaller)(float a, float b)
{
    return a < b ? a : b;
}

static inline float VARIANT(larger)(float a, float b)
{
    return a > b ? a : b;
}

/* Exact, and free of a branch that would keep a loop from being vectorised. */
static inline float VARIANT(above_zero)(float a)
{
    return 0.5f * (a + fabsf(a));
}

static inline float VARIANT(total)(const Lanes *given)
{
    Lanes lanes = *given;
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            lanes[l] += lanes[l + half];
    return lanes[0];
}

/* Every pass over a string's cells brings some lines of the next string's on their way into the cache, so that the
 * memory never waits for the arithmetic: 15 lines a group are more streams than the processor's own prefetching follows,
 * and more than it takes at once (measured at a million cells: three times as fast). */
static inline __attribute__((always_inline)) void VARIANT(look_ahead)(Ahead ahead, ptrdiff_t i, ptrdiff_t count)
{
    for (ptrdiff_t line = 0; line < count; line++)
        __builtin_prefetch(ahead.line + (i * count + line) * ahead.step, 1, 2);
}

/* What a pass of `count` lines a group brings; nothing more when all are on their way. */
static inline Ahead VARIANT(lines_of)(const Task *task, Ahead *ahead, ptrdiff_t count)
{
    Ahead own = *ahead;
    const char *end = (const char *)(task->group + (task->ahead + 1) * task->groups);
    if (own.line >= end)
        return (Ahead){(const char *)task->group, 0};
    ahead->line += task->groups * count * own.step;
    return own;
}

static inline __attribute__((always_inline)) void VARIANT(look_ahead_outside)(const Task *task, ptrdiff_t i)
{
    ptrdiff_t cells = task->ahead * task->groups * LANES + i * LANES;
    const char *voltage_v = task->voltage_v + task->ahead * task->next_voltages + i * LANES * task->voltage_stride;
    __builtin_prefetch(voltage_v, 0, 2);
    __builtin_prefetch(voltage_v + 64, 0, 2);
    __builtin_prefetch(task->soc + cells, 1, 2);
    __builtin_prefetch(task->sigma + cells, 1, 2);
}

/* Mean of the voltages that are off by `centre` give or take `window` (NaN is not), and how many that are. */
static float VARIANT(mean_within)(Scratch *scratch, ptrdiff_t groups, float centre, float window, float *count)
{
    Lanes lanes = {0}, counts = {0};
    for (ptrdiff_t i = 0; i < groups; i++) {
        Scratch *restrict of = scratch + i;
        INDEPENDENT
        for (int l = 0; l < LANES; l++) {
            float difference = of->off_v[l] - centre;
            of->chosen_v[l] = fabsf(difference) < window ? difference : 0.0f;
            of->chosen[l] = fabsf(difference) < window ? 1.0f : 0.0f;
        }
        lanes += *(const Lanes *)of->chosen_v;
        counts += *(const Lanes *)of->chosen;
    }
    *count = VARIANT(total)(&counts);
    return *count > 0.0f ? centre + VARIANT(total)(&lanes) / *count : centre;
}

static void VARIANT(take_voltages)(const Task *task)
{
    ptrdiff_t k, n = task->cells, stride = task->voltage_stride;
    Scratch *restrict scratch = task->scratch;
    const char *given = task->voltage_v;
    ptrdiff_t whole = stride == (ptrdiff_t)sizeof(double) ? n / LANES : 0;
    for (ptrdiff_t g = 0; g < whole; g++)
        for (int l = 0; l < LANES; l++)
            scratch[g].voltage_v[l] = (float)((const double *)given)[g * LANES + l];
    for (k = whole * LANES; k < n; k++)
        scratch[k / LANES].voltage_v[k % LANES] = (float)*(const double *)(given + k * stride);
    for (; k < task->groups * LANES; k++)
        scratch[k / LANES].voltage_v[k % LANES] = NAN;
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
            float v = task->scratch[k / LANES].voltage_v[k % LANES];
            v = fabsf(v) < rule->absent_v ? v : typical_v;
            group->remainder[k % LANES] -= frac_per_v * v * (1.0f + group->inverse[k % LANES]);
        }
    }
    task->pending->bled_frac += frac_per_v * rule->absent_v;
}

/* Charge, centring and elapsed time into every cell's state and covariances; rare, so that nothing is too small for a
 * float. The deviation is summed exactly (Knuth's two-sum). */
static void VARIANT(carry_ahead)(const Task *task, const Rule *rule, Ahead ahead)
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
        VARIANT(look_ahead)(ahead, i, CARRY_LINES);
        INDEPENDENT
        for (int l = 0; l < LANES; l++) {
            float old = g->deviation[l], change = g->remainder[l] - (moved * g->inverse[l] + centre);
            float next = old + change, part = next - old;
            g->deviation[l] = next;
            g->remainder[l] = (old - (next - part)) + (change - part);
            float ss = g->ss[l] - 2.0f * moved * g->si[l] + moved * moved * g->ii[l] + soc_walk;
            g->ss[l] = VARIANT(smaller)(VARIANT(larger)(ss, soc_min2), soc_max2);
            g->sr[l] -= moved * g->ri[l];
            g->si[l] -= moved * g->ii[l];
            g->cs[l] = kept * (g->cs[l] - moved * g->ci[l]);
            g->rr[l] = VARIANT(smaller)(g->rr[l] + resistance_walk, resistance_max2);
            g->ii[l] = VARIANT(smaller)(g->ii[l] + inverse_walk, inverse_max2);
            g->cr[l] *= kept;
            g->ci[l] *= kept;
        }
    }
    pending->moved_frac = pending->elapsed_s = pending->bled_frac = pending->centre_frac = 0.0;
    pending->seen_soc_frac = NAN;
}

static void VARIANT(carry)(const Task *task, const Rule *rule)
{
    VARIANT(carry_ahead)(task, rule, (Ahead){(const char *)task->group, 0});
}

/* Each cell's own deviation and open-circuit voltage, and how far its voltage is from what they and the string's drop
 * let expect (NaN where absent). Gives the mean of that and how many cells have a voltage. */
static float VARIANT(expect)(const Task *task, const Rule *rule, float *count, Ahead ahead)
{
    Lanes lanes = {0}, counts = {0};
    const uint64_t *restrict curve = task->curve;
    float moved = (float)task->pending->moved_frac, centre = (float)task->pending->centre_frac;
    float mean = (float)task->mean->soc_frac, drop_v = (float)task->mean->drop_v;
    float first = rule->grid_first, per_frac = rule->grid_per_frac, end = rule->grid_end, absent_v = rule->absent_v;
    for (ptrdiff_t i = 0; i < task->groups; i++) {
        const Group *restrict g = task->group + i;
        Scratch *restrict scratch = task->scratch + i;
        VARIANT(look_ahead)(ahead, i, EXPECT_LINES);
        INDEPENDENT
        for (int l = 0; l < LANES; l++) {
            float d = (g->deviation[l] + g->remainder[l]) - (moved * g->inverse[l] + centre);
            float x = VARIANT(smaller)(VARIANT(above_zero)((mean + d - first) * per_frac), end);
            int32_t j = (int32_t)x;
            uint64_t point = curve[j];
            Number value = {.bits = (uint32_t)point}, rise = {.bits = (uint32_t)(point >> 32)};
            float v = value.number + (x - (float)j) * rise.number;
            scratch->own[l] = d;
            scratch->ocv_v[l] = v;
            float off_v = scratch->voltage_v[l] - (v - drop_v * (1.0f + g->resistance[l]));
            scratch->off_v[l] = off_v;
            scratch->chosen_v[l] = fabsf(off_v) < absent_v ? off_v : 0.0f;
            scratch->chosen[l] = fabsf(off_v) < absent_v ? 1.0f : 0.0f;
        }
        lanes += *(const Lanes *)scratch->chosen_v;
        counts += *(const Lanes *)scratch->chosen;
    }
    *count = VARIANT(total)(&counts);
    return *count > 0.0f ? VARIANT(total)(&lanes) / *count : 0.0f;
}

/* Slope of the curve's chord around `x`, per point. */
static inline float VARIANT(slope_at)(const float *restrict ocv_v, float x, float reach, float end)
{
    int32_t low = (int32_t)VARIANT(above_zero)(x - reach);
    int32_t high = (int32_t)VARIANT(above_zero)(VARIANT(smaller)(x + reach, end)) + 1;
    low = low < high ? low : high - 1;
    return (ocv_v[2 * high] - ocv_v[2 * low]) / (float)(high - low);
}

/* The curve as each cell's belief sees it, read at one sigma to both sides: the chord is its slope; what the curve bends
 * between counts as error, of the cell's own sigma and, where it is not the mean cell, of the mean's. Further out the
 * mean cell may lie where the curve is much steeper, and then the cell's whole deviation shows otherwise: by how much the
 * slope differs at the outer two of Gauss and Hermite's three points (the square root of 3 sigma, a sixth each). */
static void VARIANT(look)(const Task *task, const Rule *rule, Ahead ahead)
{
    const float *restrict ocv_v = (const float *)task->curve;
    float mean = (float)task->mean->soc_frac;
    float mean2 = (float)(task->mean->soc_sigma_frac * task->mean->soc_sigma_frac);
    float first = rule->grid_first, per_frac = rule->grid_per_frac, end = rule->grid_end;
    float astray = sqrtf(3.0f * mean2) * per_frac, slope_scale = rule->place_share * (per_frac * per_frac);
    for (ptrdiff_t i = 0; i < task->groups; i++) {
        Group *restrict g = task->group + i;
        const Scratch *restrict scratch = task->scratch + i;
        VARIANT(look_ahead)(ahead, i, LOOK_LINES);
        INDEPENDENT
        for (int l = 0; l < LANES; l++) {
            float d = scratch->own[l], ss = g->ss[l], both2 = ss + mean2, reach = sqrtf(both2) * per_frac;
            float x = VARIANT(smaller)(VARIANT(above_zero)((mean + d - first) * per_frac), end);
            int32_t low = (int32_t)VARIANT(above_zero)(x - reach);
            int32_t high = (int32_t)VARIANT(smaller)(x + reach, end) + 1;
            float per_point = (ocv_v[2 * high] - ocv_v[2 * low]) / (float)(high - low);
            float bend_v = ocv_v[2 * low] + per_point * (x - (float)low) - scratch->ocv_v[l];
            float bend = bend_v / both2;
            float above = VARIANT(slope_at)(ocv_v, x + astray, sqrtf(ss) * per_frac, end) - per_point;
            float below = VARIANT(slope_at)(ocv_v, x - astray, sqrtf(ss) * per_frac, end) - per_point;
            float slope2 = (above * above + below * below) * (1.0f / 6.0f);
            g->slope_v[l] = per_point * per_frac;
            float bend2 = bend * bend * (ss * ss + 4.0f * mean2 * (d * d));
            g->bend_v2[l] = bend2 + slope2 * slope_scale * (ss + d * d);
        }
    }
    task->pending->seen_soc_frac = task->mean->soc_frac;
    task->pending->seen_sigma_frac = task->mean->soc_sigma_frac;
}

/* The measurement, for cells whose voltage is present; all of them get their outputs. `common_v` is the error that the
 * string's cells share: of the mean SoC, hysteresis, drop, temperature. What is left tells cell from cell.
 *
 * A lasting error of the voltage (sensor offset, a curve of its own) is considered and never estimated (Schmidt):
 * readings that repeat it bring no news. Errors of the model last as long as a load, noise about a minute: within that
 * time samples count as one. What lies outside `gate` sigmas counts the less the wilder. */
static void VARIANT(update)(const Task *task, const Rule *rule, float common_v, float gain, Ahead ahead)
{
    float mean = (float)task->mean->soc_frac, drop_v = (float)task->mean->drop_v, dt_s = (float)task->dt_s;
    float mean2 = (float)(task->mean->soc_sigma_frac * task->mean->soc_sigma_frac);
    float noise_v2 = rule->noise_v2 * VARIANT(larger)(1.0f, rule->noise_s / dt_s);
    float lasting = VARIANT(larger)(1.0f, rule->model_s / dt_s);
    float ohmic_v2 = rule->ohmic_error2 * drop_v * drop_v;
    float h_r = -gain * drop_v, h_c = gain, per_gate2 = 1.0f / (rule->gate * rule->gate);
    float offset_v2 = rule->offset_v2, absent_v = rule->absent_v;
    float soc_min2 = rule->soc_min2, resistance_min2 = rule->resistance_min2, inverse_min2 = rule->inverse_min2;
    for (ptrdiff_t i = 0; i < task->groups; i++) {
        Group *restrict g = task->group + i;
        Scratch *restrict scratch = task->scratch + i;
        float *restrict soc = task->soc + i * LANES, *restrict sigma = task->sigma + i * LANES;
        VARIANT(look_ahead)(ahead, i, UPDATE_LINES);
        VARIANT(look_ahead_outside)(task, i);
        INDEPENDENT
        for (int l = 0; l < LANES; l++) {
            float off_v = scratch->off_v[l], h_s = gain * g->slope_v[l];
            float ss = g->ss[l], sr = g->sr[l], si = g->si[l], rr = g->rr[l], ri = g->ri[l], ii = g->ii[l];
            float cs = g->cs[l], cr = g->cr[l], ci = g->ci[l];
            float a_s = h_s * ss + h_r * sr + h_c * cs;
            float a_r = h_s * sr + h_r * rr + h_c * cr;
            float a_i = h_s * si + h_r * ri + h_c * ci;
            float a_c = h_s * cs + h_r * cr + h_c * offset_v2;
            float spread_v2 = VARIANT(above_zero)(h_s * a_s + h_r * a_r + h_c * a_c);
            spread_v2 += noise_v2 + (ohmic_v2 + g->bend_v2[l]) * lasting;
            float present = fabsf(off_v) < absent_v ? 1.0f : 0.0f;
            float e = fabsf(off_v) < absent_v ? off_v - common_v : 0.0f;
            float bound_v2 = VARIANT(larger)(spread_v2, e * e * per_gate2);
            float scale = present * (spread_v2 / (bound_v2 * bound_v2));
            float k_s = a_s * scale, k_r = a_r * scale, k_i = a_i * scale, step = k_s * e;
            g->deviation[l] += step;
            g->resistance[l] += k_r * e;
            g->inverse[l] += k_i * e;
            ss = VARIANT(larger)(ss - k_s * a_s, soc_min2);
            g->ss[l] = ss;
            g->sr[l] = sr - k_s * a_r;
            g->si[l] = si - k_s * a_i;
            g->rr[l] = VARIANT(larger)(rr - k_r * a_r, resistance_min2);
            g->ri[l] = ri - k_r * a_i;
            g->ii[l] = VARIANT(larger)(ii - k_i * a_i, inverse_min2);
            g->cs[l] = cs - k_s * a_c;
            g->cr[l] = cr - k_r * a_c;
            g->ci[l] = ci - k_i * a_c;
            float d = scratch->own[l] + step;
            scratch->own[l] = d;
            soc[l] = VARIANT(smaller)(VARIANT(above_zero)(mean + d), 1.0f);
            sigma[l] = sqrtf(ss + mean2);
        }
    }
}

static float VARIANT(ocv_at)(const Task *task, const Rule *rule, float soc)
{
    float x = VARIANT(smaller)(VARIANT(above_zero)((soc - rule->grid_first) * rule->grid_per_frac), rule->grid_end);
    const float *point = (const float *)task->curve + 2 * (int32_t)x;
    return point[0] + (x - (float)(int32_t)x) * point[1];
}

/* By how much the cells' mean SoC lies above the mean cell's, and their mean open-circuit voltage above its. */
static void VARIANT(settle)(const Task *task, float mean_ocv_v)
{
    Lanes own = {0}, ocv_v = {0};
    for (ptrdiff_t k = task->cells; k < task->groups * LANES; k++)
        task->scratch[k / LANES].own[k % LANES] = task->scratch[k / LANES].ocv_v[k % LANES] = 0.0f;
    for (ptrdiff_t i = 0; i < task->groups; i++) {
        own += *(const Lanes *)task->scratch[i].own;
        ocv_v += *(const Lanes *)task->scratch[i].ocv_v;
    }
    task->pending->shift_frac = VARIANT(total)(&own) / (float)task->cells;
    task->pending->centre_frac += task->pending->shift_frac;
    task->pending->curvature_v = VARIANT(total)(&ocv_v) / (float)task->cells - mean_ocv_v;
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

/* One string, one step. */
static void VARIANT(string_step)(const Task *task, const Rule *rule)
{
    Pending *pending = task->pending;
    float mean_ocv_v = VARIANT(ocv_at)(task, rule, (float)task->mean->soc_frac);
    VARIANT(take_voltages)(task);
    pending->moved_frac += task->mean->charge_ah / task->mean->capacity_ah;
    pending->elapsed_s += task->dt_s;
    if (task->bleeding)
        VARIANT(bleed)(task, rule, mean_ocv_v);
    Ahead ahead = {(const char *)(task->group + task->ahead * task->groups), sizeof(Lanes)};
    if (VARIANT(carry_is_due)(pending, rule))
        VARIANT(carry_ahead)(task, rule, VARIANT(lines_of)(task, &ahead, CARRY_LINES));
    float count, few, rough_v = VARIANT(expect)(task, rule, &count, VARIANT(lines_of)(task, &ahead, EXPECT_LINES));
    if (VARIANT(look_is_due)(task, rule))
        VARIANT(look)(task, rule, VARIANT(lines_of)(task, &ahead, LOOK_LINES));
    float common_v = VARIANT(mean_within)(task->scratch, task->groups, rough_v, rule->outlier_v, &few);
    if (2.0f * few < count)
        common_v = rough_v;
    float gain = count > 0.0f ? 1.0f - 1.0f / count : 0.0f;
    VARIANT(update)(task, rule, common_v, gain, VARIANT(lines_of)(task, &ahead, UPDATE_LINES));
    VARIANT(settle)(task, mean_ocv_v);
}
