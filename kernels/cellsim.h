/* What kernels.cellsim and its loops share, and the loops of every instruction set. */
#ifndef CELLWARD_CELLSIM_H
#define CELLWARD_CELLSIM_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "variants.h"

enum { PAIRS = 3 };

/* kernels.cell_model's constants and those of one kind of cell. `last` is the curves' last point. */
typedef struct {
    const double *ocv_v, *resistance_factor, *entropic_v_per_k;
    int32_t last;
    double below_v, above_v, hysteresis_v; /* slopes outside SoC 0..1, V per unit of SoC */
    double ocv_v_max, swing, zero_k, warm_degc, per_k, factor_min, factor_max;
} Curve;

/* One pack: a row a quantity, one value a cell. `hysteresis` is -1 after discharge .. 1 after charge; `relaxed` is the
 * terminal voltage without the pack's current, its own bleed included. What ends in `_now` is that of the cell's present
 * SoC and temperature: the factor of all of its resistances, its series resistance, and its OCV's slope by temperature.
 * `joined` is 1 where the next cell is in the same module; `flow_k` warms a cell by what comes from the next one. */
typedef struct {
    ptrdiff_t cells;
    double *resistance_ohm, *rc_resistance_ohm[PAIRS], *capacity_ah;
    double *soc_frac, *rc_voltage_v[PAIRS], *hysteresis, *degc, *bleed_a;
    double *voltage_v, *relaxed_v, *resistance_ohm_now, *factor_now, *entropic_v_per_k_now;
    double *joined, *flow_k;
} Pack;

typedef struct {
    double current_a, dt_s, decay[PAIRS];
    double heating; /* K per W in this step */
    double cooling; /* share of the distance to ambient, implicit */
    double ambient_degc;
    double conduction; /* share of the distance between two neighbours that goes over, at most a half */
} Step;

typedef struct {
    int (*bleed)(const Pack *, const double *);
    void (*advance)(const Pack *, const Curve *, const Step *);
    void (*conduct)(const Pack *, double share);
    void (*show)(const Pack *, const Curve *, double current_a);
} PackLoops;

/* The pack's sums, cell after cell: their last bits do not depend on the instruction set. */
static void pack_sums(const Pack *pack, double *emf_v, double *resistance_ohm)
{
    double volt = 0, ohm = 0;
    for (ptrdiff_t k = 0; k < pack->cells; k++) {
        volt += pack->relaxed_v[k];
        ohm += pack->resistance_ohm_now[k];
    }
    *emf_v = volt;
    *resistance_ohm = ohm;
}

#define VARIANT_SUFFIX _plain
#include "cellsim_loop.h"
#undef VARIANT_SUFFIX

#if CELLWARD_X86_VARIANTS
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3,tune=haswell")
#define VARIANT_SUFFIX _v3
#include "cellsim_loop.h"
#undef VARIANT_SUFFIX
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,tune=icelake-server,prefer-vector-width=512")
#define VARIANT_SUFFIX _v4
#include "cellsim_loop.h"
#undef VARIANT_SUFFIX
#pragma GCC pop_options
static const PackLoops pack_loops[VARIANTS] = {
    {bleed_plain, advance_plain, conduct_plain, show_plain},
    {bleed_v3, advance_v3, conduct_v3, show_v3},
    {bleed_v4, advance_v4, conduct_v4, show_v4}};
#else
static const PackLoops pack_loops[VARIANTS] = {{bleed_plain, advance_plain, conduct_plain, show_plain}, {0}, {0}};
#endif

#endif
