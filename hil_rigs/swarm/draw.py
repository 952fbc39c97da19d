"""What a seed stands for: a base scenario, which faults strike it, where, when and how hard."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from hil_rigs.faults.place import UnknownTargetError, locate
from hil_rigs.faults.spec import FAULT_KINDS, FaultKind, parse_fault
from hil_rigs.rig import RigFile
from hil_rigs.scenario import find_scenario

BASES = ("swarm-plateau", "swarm-charging", "swarm-discharging", "swarm-island", "swarm-microgrid")
FAULTS_MAX = 4
FIRST_S = 1.0
"""Some faults strike while the racks still join."""
LAST_S = 12.0
"""None strikes in the last seconds: what it does must be seen."""
SPREAD_FRAC = 0.3
"""A value is drawn so far around its kind's default."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One seed's run; `faults` as `hil run --fault` takes them."""

    seed: int
    base: str
    duration_s: float
    faults: tuple[str, ...]


def draw(seed: int, duration_s: float) -> Draw:
    """The same seed and length give the same draw."""
    rng = np.random.default_rng([seed, 11])
    base = BASES[int(rng.integers(len(BASES)))]
    rig = _rig_of(base)
    kinds = rng.choice(_possible_on(base), size=int(rng.integers(1, FAULTS_MAX + 1)), replace=False)
    at_s = np.sort(rng.uniform(FIRST_S, duration_s - LAST_S, len(kinds)))
    faults = [_fault(FAULT_KINDS[str(kind)], float(at), rig, rng) for kind, at in zip(kinds, at_s, strict=True)]
    return Draw(seed, base, duration_s, tuple(faults))


def possible(rig: RigFile) -> list[str]:
    """Kinds of faults that the rig can have."""
    return [name for name in FAULT_KINDS if _fits(rig, name)]


@cache
def _possible_on(base: str) -> list[str]:
    return possible(_rig_of(base))


def _fits(rig: RigFile, kind: str) -> bool:
    try:
        locate(rig, parse_fault(f"{kind}@0"))
    except UnknownTargetError:
        return False
    return True


@cache
def _rig_of(base: str) -> RigFile:
    return find_scenario(base).find_rig()


def _fault(kind: FaultKind, at_s: float, rig: RigFile, rng: np.random.Generator) -> str:
    """KIND@T[:TARGET[:VALUE]]"""
    plant = rig.plant
    target = ""
    if kind.strikes:
        count = {"cell": plant.cells_per_rack, "module": plant.modules_per_rack}
        number = f"/{rng.integers(count[kind.strikes]) + 1}" if kind.strikes in count else ""
        target = f"{rng.choice(rig.rack_names)}{number}"
    value = "" if kind.value is None else f"{_value(kind, kind.value, rng):.4g}"
    return f"{kind.name}@{at_s:.2f}:{target}:{value}".rstrip(":")


def _value(kind: FaultKind, usual: float, rng: np.random.Generator) -> float:
    if kind.whole:
        return float(rng.integers(round(kind.value_min), round(kind.value_max) + 1))
    drawn = usual * rng.uniform(1.0 - SPREAD_FRAC, 1.0 + SPREAD_FRAC)
    return float(np.clip(drawn, kind.value_min, kind.value_max))
