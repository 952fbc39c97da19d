/* What kernels.balance and its loops share, and the loops of every instruction set. */
#ifndef CELLWARD_BALANCE_H
#define CELLWARD_BALANCE_H

#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "variants.h"

enum { NO_KEY = INT32_MIN + 1, KEYS_BEYOND = 16 };

static const int32_t one_less_from_16[2 * KEYS_BEYOND] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
};

/* kernels.balance_model.BleedLimits, as floats and counts. */
typedef struct {
    float on_above_frac, off_above_frac, sigma_frac_max, voltage_v_min, temperature_degc_max, duty_max, duty_restart;
    ptrdiff_t module_cells_max, string_cells_max;
} BleedRule;

/* One string; `key` is scratch, with KEYS_BEYOND more behind it. `kept` is what is left of the duty of before. */
typedef struct {
    const float *soc_frac, *sigma_frac;
    const double *voltage_v, *temperature_degc;
    const uint8_t *bleeding;
    uint8_t *chosen;
    float *duty;
    int32_t *key;
    ptrdiff_t cells, cells_per_module;
    float kept;
} BleedTask;

typedef void (*StringBleed)(const BleedTask *, const BleedRule *);

#define VARIANT_SUFFIX _plain
#define VARIANT_BYTES 16
#include "balance_loop.h"
#undef VARIANT_SUFFIX
#undef VARIANT_BYTES

#if CELLWARD_X86_VARIANTS
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3,tune=haswell")
#define VARIANT_SUFFIX _v3
#define VARIANT_BYTES 32
#include "balance_loop.h"
#undef VARIANT_SUFFIX
#undef VARIANT_BYTES
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,tune=icelake-server,prefer-vector-width=512")
#define VARIANT_SUFFIX _v4
#define VARIANT_BYTES 64
#include "balance_loop.h"
#undef VARIANT_SUFFIX
#undef VARIANT_BYTES
#pragma GCC pop_options
static const StringBleed string_bleeds[VARIANTS] = {string_bleed_plain, string_bleed_v3, string_bleed_v4};
#else
static const StringBleed string_bleeds[VARIANTS] = {string_bleed_plain, NULL, NULL};
#endif

#endif
