"""Spreads a bank's hypotheses anew after a gap in which the SoC may have gone far."""

import math

import numpy as np

from kernels.bank import SocBank
from kernels.bank_model import OCV_ERROR, SOC, Floats

SIGMA_FRAC_MAX = 0.5
"""More than that is not known to be unknown."""


def spread_anew(bank: SocBank, voltage_v: float, current_a: float, temperature_degc: float) -> None:
    """Hypotheses around the bank's SoC as far as its sigma says, told apart by this sample, which counts as a first.

    One hypothesis alone would take the slope that the curve had where the SoC was for the one where it is, and be
    sure of a wrong place. All else that the most likely one knows stays, but for the curve's error, which was that
    of another place."""
    kept = bank.save()
    soc_frac, sigma_frac = min(max(bank.soc_frac, 0.0), 1.0), min(bank.soc_sigma_frac, SIGMA_FRAC_MAX)
    bank.start(soc_frac, sigma_frac)
    bank.step(math.nan, current_a, 0.0, temperature_degc, 0.0)
    bank.restore(_with_kept(bank.save(), kept[np.argmax(kept[:, 0])], bank.model.states))
    bank.step(voltage_v, current_a, 0.0, temperature_degc, 0.0)


def _with_kept(rows: Floats, kept: Floats, states: int) -> Floats:
    """Saved hypotheses with all of another one, covariance included, but SoC and the curve's error there."""
    which = np.array([state for state in range(states) if state not in (SOC, OCV_ERROR)])
    covariance = rows[:, 1 + states :].reshape(-1, states, states)
    rows[:, 1 + which] = kept[1 + which]
    covariance[:, which, :] = covariance[:, :, which] = 0.0
    covariance[:, which[:, None], which] = kept[1 + states :].reshape(states, states)[which[:, None], which]
    return rows
