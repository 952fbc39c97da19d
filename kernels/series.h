/* What kernels.series and its loops share, and the loops of every instruction set. */
#ifndef CELLWARD_SERIES_H
#define CELLWARD_SERIES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "variants.h"

enum { LANES = 16 };

/* Of 16 cells in series, one cache line a quantity: a string's cells are one stream through the memory. */
typedef struct {
    float deviation[LANES];  /* SoC above that of the string's mean cell ... */
    float remainder[LANES];  /* ... and what a float of it cannot hold: rounding, and charge bled since the last carry */
    float resistance[LANES]; /* share above the mean cell's */
    float inverse[LANES];    /* mean capacity / own capacity - 1: linear in the charge moved */
    float ss[LANES], sr[LANES], si[LANES], rr[LANES], ri[LANES], ii[LANES]; /* covariances of the three ... */
    float cs[LANES], cr[LANES], ci[LANES]; /* ... and with the lasting error of the cell's voltage */
    float slope_v[LANES], bend_v2[LANES];  /* of the curve as the belief sees it; made anew when the string has moved */
} Group;

/* How many lines of the next string each pass brings for a group: about as long as it takes itself. The two that are
 * always made bring the whole group; when the rare ones come first, nothing is left for the last. */
enum { CARRY_LINES = 2, EXPECT_LINES = 7, LOOK_LINES = 6, UPDATE_LINES = 8 };

/* The first line that a pass brings, and how far it is to the next; 0 = it brings none. */
typedef struct {
    const char *line;
    ptrdiff_t step;
} Ahead;

/* Of 16 cells, within one step. */
typedef struct {
    float voltage_v[LANES], own[LANES], ocv_v[LANES], off_v[LANES], chosen_v[LANES], chosen[LANES];
} Scratch;

/* Sums run over 16 lanes, in the same order on every processor. */
typedef float Lanes __attribute__((vector_size(4 * LANES), aligned(4 * LANES), may_alias));

/* One string's mean cell: kernels.series_model.MEAN. */
typedef struct {
    double soc_frac, soc_sigma_frac, drop_v, charge_ah, capacity_ah, temperature_degc;
} Mean;

/* Of one string, in double: what moved since it was last carried into the cells, where the curve was last looked at,
 * and what comes out. */
typedef struct {
    double moved_frac, elapsed_s, bled_frac, centre_frac, seen_soc_frac, seen_sigma_frac, shift_frac, curvature_v;
} Pending;

/* kernels.series_model.Rule, in its order. */
typedef struct {
    float grid_first, grid_per_frac, grid_end;
    float noise_v2, ohmic_error2, offset_v2;
    float soc_min2, resistance_min2, inverse_min2;
    float soc_max2, resistance_max2, inverse_max2;
    float soc_walk_per_s, resistance_walk_per_s, inverse_walk_per_s;
    float offset_s, noise_s, model_s, place_share;
    float moved_frac_max, elapsed_s_max, bled_frac_max, centre_frac_max, seen_frac_max, seen_sigma_max;
    float absent_v, outlier_v, gate;
    float bleed_s;
} Rule;

/* A point of a curve is two floats in one word, its voltage first and then the rise to the next point: one gather
 * brings both. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a point's voltage must be the low half of its word"
#endif
typedef union {
    uint32_t bits;
    float number;
} Number;

/* One string in one step. `groups` hold `cells` cells and the padding behind them. */
typedef struct {
    Group *group;
    Scratch *scratch;
    float *soc, *sigma;
    ptrdiff_t groups, cells;
    const uint64_t *curve;
    const char *voltage_v, *bleeding;
    ptrdiff_t voltage_stride, bleeding_stride, next_voltages;
    ptrdiff_t ahead; /* the string that comes next is so many further on */
    const Mean *mean;
    Pending *pending;
    double dt_s;
} Task;

typedef void (*StringStep)(const Task *, const Rule *);

#define VARIANT_SUFFIX _plain
#include "series_loop.h"
#undef VARIANT_SUFFIX

#if CELLWARD_X86_VARIANTS
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3,tune=haswell")
#define VARIANT_SUFFIX _v3
#include "series_loop.h"
#undef VARIANT_SUFFIX
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,tune=icelake-server,prefer-vector-width=512")
#define VARIANT_SUFFIX _v4
#include "series_loop.h"
#undef VARIANT_SUFFIX
#pragma GCC pop_options
static const StringStep string_steps[VARIANTS] = {string_step_plain, string_step_v3, string_step_v4};
static void (*const string_carries[VARIANTS])(const Task *, const Rule *) = {carry_plain, carry_v3, carry_v4};
#else
static const StringStep string_steps[VARIANTS] = {string_step_plain, NULL, NULL};
static void (*const string_carries[VARIANTS])(const Task *, const Rule *) = {carry_plain, NULL, NULL};
#endif

#endif
