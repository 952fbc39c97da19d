/* The steps of a pack's cells, which do not depend on each other; included by cellsim.h once per instruction set.
 * Twin: kernels/reference/cellsim.py. */

static inline double VARIANT(resistance_at)(double resistance_ohm, double degc, const Curve *curve)
{
    double factor = 1 + curve->per_k * (curve->warm_degc - degc);
    factor = factor < curve->factor_min ? curve->factor_min : factor;
    return resistance_ohm * (factor > curve->factor_max ? curve->factor_max : factor);
}

/* Straight between the curve's points, steep outside, within 0 and the highest voltage. */
static inline double VARIANT(ocv_at)(double soc_frac, const Curve *curve)
{
    const double *ocv_v = curve->ocv_v;
    double x = soc_frac * curve->last, place = x < 0 ? 0 : x;
    place = place > curve->last ? curve->last : place;
    int32_t j = (int32_t)place;
    j = j < curve->last ? j : curve->last - 1;
    double inside_v = ocv_v[j] + (x - j) * (ocv_v[j + 1] - ocv_v[j]);
    double below_v = ocv_v[0] + soc_frac * curve->below_v;
    double above_v = ocv_v[curve->last] + (soc_frac - 1) * curve->above_v;
    below_v = below_v < 0 ? 0 : below_v;
    above_v = above_v > curve->ocv_v_max ? curve->ocv_v_max : above_v;
    return soc_frac < 0 ? below_v : (soc_frac >= 1 ? above_v : inside_v);
}

/* Takes the bleed currents; 0 when one of them is below 0 or no finite number. */
static int VARIANT(bleed)(const Pack *pack, const double *restrict given_a)
{
    double *restrict bleed_a = pack->bleed_a;
    int64_t wrong = 0;
    for (ptrdiff_t k = 0; k < pack->cells; k++)
        wrong |= !((given_a[k] >= 0) & (given_a[k] <= DBL_MAX));
    if (!wrong)
        memcpy(bleed_a, given_a, (size_t)pack->cells * sizeof(double));
    return !wrong;
}

/* Voltages as they are now, with `current_a` through the pack. */
static void VARIANT(show)(const Pack *pack, const Curve *curve, double current_a)
{
    const double *restrict resistance_ohm = pack->resistance_ohm, *restrict soc_frac = pack->soc_frac;
    const double *restrict rc0 = pack->rc_voltage_v[0], *restrict rc1 = pack->rc_voltage_v[1];
    const double *restrict rc2 = pack->rc_voltage_v[2], *restrict hysteresis = pack->hysteresis;
    const double *restrict degc = pack->degc, *restrict bleed_a = pack->bleed_a;
    double *restrict voltage_v = pack->voltage_v, *restrict relaxed_v = pack->relaxed_v;
    double *restrict now_ohm = pack->resistance_now_ohm;
    const Curve own = *curve;
    INDEPENDENT
    for (ptrdiff_t k = 0; k < pack->cells; k++) {
        double ocv_v = VARIANT(ocv_at)(soc_frac[k], &own), ohm = VARIANT(resistance_at)(resistance_ohm[k], degc[k], &own);
        double relaxing_v = ocv_v + own.hysteresis_v * hysteresis[k] - (rc0[k] + rc1[k] + rc2[k]);
        voltage_v[k] = relaxing_v - ohm * (current_a + bleed_a[k]);
        relaxed_v[k] = relaxing_v - ohm * bleed_a[k];
        now_ohm[k] = ohm;
    }
}

/* One step of charge, overvoltages, hysteresis and heat. */
static void VARIANT(advance)(const Pack *pack, const Curve *curve, const Step *step)
{
    const double *restrict resistance_ohm = pack->resistance_ohm, *restrict capacity_ah = pack->capacity_ah;
    const double *restrict ohm0 = pack->rc_resistance_ohm[0], *restrict ohm1 = pack->rc_resistance_ohm[1];
    const double *restrict ohm2 = pack->rc_resistance_ohm[2], *restrict bleed_a = pack->bleed_a;
    double *restrict rc0 = pack->rc_voltage_v[0], *restrict rc1 = pack->rc_voltage_v[1];
    double *restrict rc2 = pack->rc_voltage_v[2], *restrict hysteresis = pack->hysteresis;
    double *restrict soc_frac = pack->soc_frac, *restrict degc = pack->degc;
    const Curve own = *curve;
    const Step now = *step;
    INDEPENDENT
    for (ptrdiff_t k = 0; k < pack->cells; k++) {
        double current_a = now.current_a + bleed_a[k];
        double moved = current_a * now.dt_s / (3600 * capacity_ah[k]);
        double ohm = VARIANT(resistance_at)(resistance_ohm[k], degc[k], &own);
        soc_frac[k] -= moved;
        hysteresis[k] = (hysteresis[k] - own.swing * moved) / (1 + own.swing * fabs(moved));
        rc0[k] = now.decay[0] * rc0[k] + (1 - now.decay[0]) * ohm0[k] * current_a;
        rc1[k] = now.decay[1] * rc1[k] + (1 - now.decay[1]) * ohm1[k] * current_a;
        rc2[k] = now.decay[2] * rc2[k] + (1 - now.decay[2]) * ohm2[k] * current_a;
        double heat_w = current_a * (ohm * current_a + (rc0[k] + rc1[k] + rc2[k]));
        degc[k] += (now.heating * heat_w + now.cooling * (now.ambient_degc - degc[k])) / (1 + now.cooling);
    }
}
