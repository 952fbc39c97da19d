/* The choice of one string's bleeding cells; included by balance.h once per instruction set. Twin: kernels/reference/
 * balance.py. Cells are never sorted: whole numbers that order as their SoC does are counted against a cut. */

static float VARIANT(lowest)(const float *restrict soc_frac, ptrdiff_t cells)
{
    enum { AT_ONCE = 16 };
    float lanes[AT_ONCE], least = INFINITY;
    ptrdiff_t k, whole = cells / AT_ONCE * AT_ONCE;
    for (int l = 0; l < AT_ONCE; l++)
        lanes[l] = INFINITY;
    for (k = 0; k < whole; k += AT_ONCE)
        for (int l = 0; l < AT_ONCE; l++)
            lanes[l] = soc_frac[k + l] < lanes[l] ? soc_frac[k + l] : lanes[l];
    for (; k < cells; k++)
        least = soc_frac[k] < least ? soc_frac[k] : least;
    for (int l = 0; l < AT_ONCE; l++)
        least = lanes[l] < least ? lanes[l] : least;
    return least;
}

/* The key of each cell that stands out, NO_KEY of the others; how many do. NaN fails every comparison. */
static ptrdiff_t VARIANT(mark)(const BleedTask *task, const BleedRule *rule)
{
    const float *restrict soc_frac = task->soc_frac, *restrict sigma_frac = task->sigma_frac;
    const double *restrict voltage_v = task->voltage_v, *restrict temperature_degc = task->temperature_degc;
    const uint8_t *restrict bleeding = task->bleeding;
    int32_t *restrict key = task->key, found = 0;
    float lowest = VARIANT(lowest)(soc_frac, task->cells), sigma_max = rule->sigma_frac_max;
    float on = lowest + rule->on_above_frac, off = lowest + rule->off_above_frac;
    float voltage_min = rule->voltage_v_min, temperature_max = rule->temperature_degc_max;
    INDEPENDENT
    for (ptrdiff_t k = 0; k < task->cells; k++) {
        float soc = soc_frac[k] + 0.0f, above = bleeding[k] ? off : on;
        int32_t stands_out = (soc > above) & (sigma_frac[k] < sigma_max) & ((float)voltage_v[k] > voltage_min)
            & ((float)temperature_degc[k] < temperature_max);
        union { float f; int32_t i; } same = {soc};
        key[k] = stands_out ? same.i ^ ((same.i >> 31) & INT32_MAX) : NO_KEY;
        found += stands_out;
    }
    return found;
}

/* Takes in what the time since the last choice did to each resistor's duty, and lets those rest that had enough. */
static void VARIANT(rest)(const BleedTask *task, const BleedRule *rule)
{
    const uint8_t *restrict bleeding = task->bleeding;
    float *restrict duty = task->duty;
    int32_t *restrict key = task->key;
    float kept = task->kept, duty_max = rule->duty_max, duty_restart = rule->duty_restart;
    INDEPENDENT
    for (ptrdiff_t k = 0; k < task->cells; k++) {
        float now = bleeding[k] ? 1.0f : 0.0f, used = now + kept * (duty[k] - now);
        key[k] = used <= (bleeding[k] ? duty_max : duty_restart) ? key[k] : NO_KEY;
        duty[k] = used;
    }
}

/* Of the cells from `start` on, as many as a vector holds. An equal key comes before that of a later cell. */
static void VARIANT(cut_lanes)(int32_t *key, ptrdiff_t cells, ptrdiff_t start, int32_t keep)
{
    typedef int32_t Lanes __attribute__((vector_size(VARIANT_BYTES)));
    enum { AT_ONCE = VARIANT_BYTES / 4 };
    Lanes own, later, place, before = {0};
    ptrdiff_t j = 0, among = cells < start + AT_ONCE ? cells : start + AT_ONCE;
    for (int l = 0; l < AT_ONCE; l++)
        place[l] = (int32_t)start + l;
    memcpy(&own, key + start, sizeof own);
    for (; j < start; j++)
        before -= key[j] >= own;
    for (; j < among; j++) {
        memcpy(&later, one_less_from_16 + 15 - (j - start), sizeof later);
        before -= key[j] > own + later;
    }
    for (; j < cells; j++)
        before -= key[j] > own;
    Lanes stays = (before < keep) | (place >= (int32_t)cells);
    own = (own & stays) | (~stays & NO_KEY);
    memcpy(key + start, &own, sizeof own);
}

/* Leaves each module its highest `keep`, the first ones of equals: a cell goes when that many come before it. Those in
 * front are never cut, so that it does not matter that others have been. */
static void VARIANT(cut_modules)(const BleedTask *task, ptrdiff_t keep)
{
    for (ptrdiff_t first = 0; first < task->cells; first += task->cells_per_module) {
        ptrdiff_t left = task->cells - first, m = left < task->cells_per_module ? left : task->cells_per_module;
        for (ptrdiff_t start = 0; start < m; start += VARIANT_BYTES / 4)
            VARIANT(cut_lanes)(task->key + first, m, start, (int32_t)keep);
    }
}

/* `key` holds NO_KEY behind the string's cells. */
static ptrdiff_t VARIANT(count_above)(const int32_t *restrict key, ptrdiff_t cells, int32_t cut)
{
    int32_t count = 0;
    for (ptrdiff_t k = 0; k < cells; k += KEYS_BEYOND)
        for (int l = 0; l < KEYS_BEYOND; l++)
            count += key[k + l] > cut;
    return count;
}

/* Leaves the string its highest `keep`, the first ones of equals. Halving, from lowest to highest, finds a cut that
 * exactly `keep` exceed, or, if equals prevent that, the lowest one that fewer do. */
static void VARIANT(cut_string)(const BleedTask *task, ptrdiff_t keep)
{
    int32_t *restrict key = task->key, highest = NO_KEY, lowest = INT32_MAX;
    ptrdiff_t cells = task->cells, above = 0, equal = 0;
    for (ptrdiff_t k = 0; k < cells; k++) {
        highest = key[k] > highest ? key[k] : highest;
        lowest = key[k] > NO_KEY && key[k] < lowest ? key[k] : lowest;
    }
    int64_t low = (int64_t)lowest - 1, high = highest;
    while (low < high && above != keep) {
        int64_t middle = low + (high - low) / 2;
        ptrdiff_t count = VARIANT(count_above)(key, cells, (int32_t)middle);
        if (count > keep) {
            low = middle + 1;
        } else {
            high = middle;
            above = count;
        }
    }
    int32_t cut = (int32_t)high;
    for (ptrdiff_t k = 0; k < cells; k++) {
        key[k] = key[k] < cut ? NO_KEY : key[k];
        equal += key[k] == cut;
    }
    for (ptrdiff_t k = cells - 1; above + equal > keep; k--)
        if (key[k] == cut) {
            key[k] = NO_KEY;
            equal--;
        }
}

static void VARIANT(string_bleed)(const BleedTask *task, const BleedRule *rule)
{
    int32_t *restrict key = task->key;
    uint8_t *restrict chosen = task->chosen;
    ptrdiff_t cells = task->cells, found = VARIANT(mark)(task, rule);
    for (int l = 0; l < KEYS_BEYOND; l++)
        key[cells + l] = NO_KEY;
    if (rule->duty_max < 1.0f)
        VARIANT(rest)(task, rule);
    if (found > 0 && rule->module_cells_max < task->cells_per_module)
        VARIANT(cut_modules)(task, rule->module_cells_max);
    if (found > rule->string_cells_max)
        found = VARIANT(count_above)(key, cells, NO_KEY);
    if (found > rule->string_cells_max)
        VARIANT(cut_string)(task, rule->string_cells_max);
    for (ptrdiff_t k = 0; k < cells; k++)
        chosen[k] = key[k] != NO_KEY;
}
