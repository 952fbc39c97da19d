/* The steps of a pack's cells, which do not depend on each other; included by cellsim.h once per instruction set.
 * Twin: kernels/reference/cellsim.py. */

/* By temperature alone. */
static inline double VARIANT(factor_at)(double degc, const Curve *curve)
{
    double factor = 1 + curve->per_k * (curve->warm_degc - degc);
    factor = factor < curve->factor_min ? curve->factor_min : factor;
    return factor > curve->factor_max ? curve->factor_max : factor;
}

/* Place of a SoC on the curves, held at their ends. */
static inline double VARIANT(place_of)(double soc_frac, const Curve *curve)
{
    double x = soc_frac * curve->last, place = x < 0 ? 0 : x;
    return place > curve->last ? curve->last : place;
}

/* The curve's point at or before the place, from which on it is straight. */
static inline int32_t VARIANT(point_of)(double place, const Curve *curve)
{
    int32_t j = (int32_t)place;
    return j < curve->last ? j : curve->last - 1;
}

/* Straight between the curve's points, steep outside, within 0 and the highest voltage. */
static inline double VARIANT(ocv_at)(double soc_frac, int32_t j, const Curve *curve)
{
    const double *ocv_v = curve->ocv_v;
    double inside_v = ocv_v[j] + (soc_frac * curve->last - j) * (ocv_v[j + 1] - ocv_v[j]);
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
    double *restrict ohm_now = pack->resistance_ohm_now, *restrict factor_now = pack->factor_now;
    double *restrict entropic_now = pack->entropic_v_per_k_now;
    const Curve own = *curve;
    const double *factors = own.resistance_factor, *entropic = own.entropic_v_per_k;
    INDEPENDENT
    for (ptrdiff_t k = 0; k < pack->cells; k++) {
        double place = VARIANT(place_of)(soc_frac[k], &own);
        int32_t j = VARIANT(point_of)(place, &own);
        double by_soc = factors[j] + (place - j) * (factors[j + 1] - factors[j]);
        double v_per_k = entropic[j] + (place - j) * (entropic[j + 1] - entropic[j]);
        double ocv_v = VARIANT(ocv_at)(soc_frac[k], j, &own) + v_per_k * (degc[k] - own.warm_degc);
        double factor = by_soc * VARIANT(factor_at)(degc[k], &own), ohm = resistance_ohm[k] * factor;
        double relaxing_v = ocv_v + own.hysteresis_v * hysteresis[k] - (rc0[k] + rc1[k] + rc2[k]);
        voltage_v[k] = relaxing_v - ohm * (current_a + bleed_a[k]);
        relaxed_v[k] = relaxing_v - ohm * bleed_a[k];
        ohm_now[k] = ohm;
        factor_now[k] = factor;
        entropic_now[k] = v_per_k;
    }
}

/* One step of charge, overvoltages, hysteresis and heat, with the resistances that the pack shows now. */
static void VARIANT(advance)(const Pack *pack, const Curve *curve, const Step *step)
{
    const double *restrict ohm_now = pack->resistance_ohm_now, *restrict capacity_ah = pack->capacity_ah;
    const double *restrict factor_now = pack->factor_now, *restrict entropic_now = pack->entropic_v_per_k_now;
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
        double pair_a = factor_now[k] * current_a;
        soc_frac[k] -= moved;
        hysteresis[k] = (hysteresis[k] - own.swing * moved) / (1 + own.swing * fabs(moved));
        rc0[k] = now.decay[0] * rc0[k] + (1 - now.decay[0]) * ohm0[k] * pair_a;
        rc1[k] = now.decay[1] * rc1[k] + (1 - now.decay[1]) * ohm1[k] * pair_a;
        rc2[k] = now.decay[2] * rc2[k] + (1 - now.decay[2]) * ohm2[k] * pair_a;
        double lost_v = ohm_now[k] * current_a + (rc0[k] + rc1[k] + rc2[k]);
        double heat_w = current_a * (lost_v - entropic_now[k] * (degc[k] + own.zero_k));
        degc[k] += (now.heating * heat_w + now.cooling * (now.ambient_degc - degc[k])) / (1 + now.cooling);
    }
}

/* Heat between neighbours of one module: what leaves one arrives at the other. With shares up to a half no step is too
 * long, and two cells alone go together as exp() does. */
static void VARIANT(conduct)(const Pack *pack, double share)
{
    const double *restrict joined = pack->joined;
    double *restrict degc = pack->degc, *restrict flow_k = pack->flow_k;
    INDEPENDENT
    for (ptrdiff_t k = 0; k < pack->cells - 1; k++)
        flow_k[k] = share * joined[k] * (degc[k + 1] - degc[k]);
    degc[0] += flow_k[0];
    INDEPENDENT
    for (ptrdiff_t k = 1; k < pack->cells; k++)
        degc[k] += flow_k[k] - flow_k[k - 1];
}
