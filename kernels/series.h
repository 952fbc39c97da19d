/* What kernels.series and its loops share, and the loops of every instruction set. */
#ifndef CELLWARD_SERIES_H
#define CELLWARD_SERIES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "variants.h"

enum { LANES = 16 };

#define ALWAYS_INLINE __attribute__((always_inline))

/* Of 16 cells in series, one cache line a quantity. A string's groups lie one after another and its beliefs behind them:
 * each pass reads and writes one stream through the memory. */
typedef struct {
    float deviation[LANES];  /* SoC above that of the string's mean cell ... */
    float remainder[LANES];  /* ... and what a float of it cannot hold: rounding, and charge bled since the last carry */
    float resistance[LANES]; /* share above the mean cell's */
    float inverse[LANES];    /* mean capacity / own capacity - 1: linear in the charge moved */
} Group;

typedef struct {
    float ss[LANES], sr[LANES], si[LANES], rr[LANES], ri[LANES], ii[LANES]; /* covariances of the three ... */
    float cs[LANES], cr[LANES], ci[LANES]; /* ... and with the lasting error of the cell's voltage */
    float slope_v[LANES], bend_v2[LANES];  /* of the curve as the belief sees it; made anew when the string has moved */
} Belief;

/* Of 16 cells, within one step ... */
typedef struct {
    float own[LANES], ocv_v[LANES], off_v[LANES];
} Scratch;

/* ... and within a few groups, so many: covariances of the voltage with s, r, i and c, the cell's own error of it, and
 * by how much a covariance is scaled to be a gain. */
enum { TILE = 4 };
typedef struct {
    float s[LANES], r[LANES], i[LANES], c[LANES], e[LANES], scale[LANES];
} Gain;

/* Where the next string is, its state from the first line on that is not on its way yet. */
typedef struct {
    const char *state, *voltage_v;
    const float *soc, *sigma;
} Ahead;

/* How many lines of that state each loop brings for a group: about as long as it takes itself. The four loops that every
 * step has bring the whole. And how many groups ahead those of one's own string are brought nearer. */
enum { LINE = sizeof(float[LANES]), PLACE_LINES = 2, EXPECT_LINES = 4, WEIGH_LINES = 5, CORRECT_LINES = 4 };
enum { CARRY_LINES = 2, LOOK_LINES = 6, NEAR_GROUPS = 4 };

/* One string's mean cell: kernels.series_model.MEAN. */
typedef struct {
    double soc_frac, soc_sigma_frac, drop_v, charge_ah, capacity_ah, temperature_degc;
} Mean;

/* Of one string, in double: what moved since it was last carried into the cells, where the curve was last looked at,
 * and what comes out. */
typedef struct {
    double moved_frac, elapsed_s, bled_frac, centre_frac, seen_soc_frac, seen_sigma_frac, shift_frac, curvature_v;
} Pending;

/* Of the points of every curve. */
typedef struct {
    float first, per_frac, end;
} Grid;

/* kernels.series_model.Rule, in its order. */
typedef struct {
    Grid grid;
    float noise_v2, ohmic_error2, offset_v2;
    float soc_min2, resistance_min2, inverse_min2;
    float soc_max2, resistance_max2, inverse_max2;
    float soc_walk_per_s, resistance_walk_per_s, inverse_walk_per_s;
    float offset_s, noise_s, model_s, place_share;
    float moved_frac_max, elapsed_s_max, bled_frac_max, centre_frac_max, seen_frac_max, seen_sigma_max;
    float absent_v, outlier_v, gate;
    float bleed_s;
} Rule;

/* One string in one step. `groups` hold `cells` cells and the padding behind them. */
typedef struct {
    Group *group;
    Belief *belief;
    Scratch *scratch;
    float *soc, *sigma;
    ptrdiff_t groups, cells;
    const float *curve;
    const char *voltage_v, *bleeding;
    ptrdiff_t voltage_stride, bleeding_stride, next_voltages;
    ptrdiff_t ahead; /* the string that comes next is so many further on */
    const Mean *mean;
    Pending *pending;
    double dt_s;
} Task;

typedef void (*StringStep)(const Task *, const Rule *);

/* VARIANT_WIDTH: floats in a register. */
#define VARIANT_SUFFIX _plain
#define VARIANT_WIDTH 4
#include "series_loop.h"
#undef VARIANT_WIDTH
#undef VARIANT_SUFFIX

#if CELLWARD_X86_VARIANTS
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3,tune=haswell")
#define VARIANT_SUFFIX _v3
#define VARIANT_WIDTH 8
#include "series_loop.h"
#undef VARIANT_WIDTH
#undef VARIANT_SUFFIX
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,tune=icelake-server,prefer-vector-width=512")
#define VARIANT_SUFFIX _v4
#define VARIANT_WIDTH 16
#include "series_loop.h"
#undef VARIANT_WIDTH
#undef VARIANT_SUFFIX
#pragma GCC pop_options
static const StringStep string_steps[VARIANTS] = {string_step_plain, string_step_v3, string_step_v4};
static void (*const string_carries[VARIANTS])(const Task *, const Rule *) = {carry_plain, carry_v3, carry_v4};
#else
static const StringStep string_steps[VARIANTS] = {string_step_plain, NULL, NULL};
static void (*const string_carries[VARIANTS])(const Task *, const Rule *) = {carry_plain, NULL, NULL};
#endif

#endif
