"""Where on a rig a fault strikes, or why it cannot."""

from collections.abc import Iterator
from typing import NamedTuple

from hil_rigs.faults.spec import FaultSpec
from hil_rigs.rig import RigFile

OF_THE_MONITOR = ("commands-lost", "contactor-late")
"""Faults of a cell monitor that moves the contactors."""


class UnknownTargetError(ValueError):
    """The rig has no such rack, module or cell; the message is one line."""


class Misplaced(NamedTuple):
    """Which field of the fault (`kind`, `target`, `value`) does not fit the rig, and why; `expected` may be empty."""

    at: str
    wrong: str
    expected: str = ""

    def __str__(self) -> str:
        return f"{self.wrong}, expected {self.expected}" if self.expected else self.wrong


def locate(rig: RigFile, fault: FaultSpec) -> tuple[int, int]:
    """Index of rack and of cell or module, both from 0. UnknownTargetError if the rig has none such, or no switch
    where the fault strikes that."""
    for wrong in misplaced(rig, fault):
        raise UnknownTargetError(f"fault {fault.kind}: {wrong}")
    return rig.rack_names.index(fault.rack) if fault.rack is not None else 0, fault.number - 1


def misplaced(rig: RigFile, fault: FaultSpec) -> Iterator[Misplaced]:
    """Why no rack or device of this rig can have this fault."""
    plant, names = rig.plant, rig.rack_names
    if fault.about.needs == "switch" and rig.microgrid is None:
        yield Misplaced("kind", f"rig {rig.name} has no switch", "one with `microgrid`")
    if fault.rack is not None and fault.rack not in names:
        yield Misplaced("target", f"no rack {fault.rack!r}", f"one of {', '.join(names)}")
    count = {"cell": plant.cells_per_rack, "module": plant.modules_per_rack}
    most = count.get(fault.about.strikes, 1)
    if fault.number > most:
        yield Misplaced("target", f"no {fault.about.strikes} {fault.number}, a rack has {most}")
    yield from _lacking(rig, fault)


def _lacking(rig: RigFile, fault: FaultSpec) -> Iterator[Misplaced]:
    needs, own_management, devices = fault.about.needs, rig.plant.low_voltage is not None, len(rig.auxiliaries)
    at, wrong = "kind", ""
    if fault.about.strikes and needs != "battery" and own_management:
        wrong = "the battery hides what its rack is made of"
    if needs == "battery" and not own_management:
        wrong = "no battery has a management of its own"
    if needs == "contactor-block" and rig.plant.contactor_profile is None:
        wrong = "no rack's contactors hang on a block"
    if fault.kind in OF_THE_MONITOR and rig.plant.contactor_profile is not None:
        wrong = "the racks' contactors hang on a block, not on the cell monitors,"
    if needs == "auxiliaries" and not devices:
        wrong = "there are no auxiliary devices"
    if fault.kind == "auxiliary-lost" and (fault.strength or 0.0) > devices:
        at, wrong = "value", f"no device {fault.strength:g}, there are {devices}"
    if wrong:
        yield Misplaced(at, f"{wrong} in rig {rig.name}")
