"""What the raw values of a described register mean: states, alarms, yes and no."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from drivers.config.settings import Broken, Settings, about
from drivers.readings import InverterState

RawValues = Annotated[tuple[int, ...], Field(strict=False)]


def raw_values(says: str) -> object:
    """Field description of a list of raw register values."""
    return about("", says, max_length=32)


class StateMap(Settings):
    """Raw values of the state register that mean each state; all others are unknown."""

    off: Annotated[RawValues, raw_values("off, power stage blocked")] = ()
    sleeping: Annotated[RawValues, raw_values("asleep")] = ()
    starting: Annotated[RawValues, raw_values("on its way to run")] = ()
    running: Annotated[RawValues, raw_values("following its set-point")] = ()
    throttled: Annotated[RawValues, raw_values("running, derated")] = ()
    shutting_down: Annotated[RawValues, raw_values("on its way to off")] = ()
    fault: Annotated[RawValues, raw_values("stopped by a fault of its own")] = ()
    standby: Annotated[RawValues, raw_values("ready, power stage blocked")] = ()

    def table(self) -> dict[int, InverterState]:
        """State by raw value."""
        return {raw: InverterState(name) for name in type(self).model_fields for raw in getattr(self, name)}

    def broken_relations(self) -> Iterator[Broken]:
        first: dict[int, str] = {}
        for name in type(self).model_fields:
            for i, raw in enumerate(getattr(self, name)):
                if (twin := first.setdefault(raw, name)) != name:
                    yield Broken((name, i), raw, f"also means {twin}", "a value of one state only", ((twin,),))
        if not self.running:
            yield Broken((), "no value", "no value means running", "running: [...]")
        if not (self.off or self.standby):
            yield Broken((), "no value", "no value means that it has stopped", "off: [...] or standby: [...]")


class AlarmMap(Settings):
    """Bits of the alarm register (0 = lowest) that mean each alarm of SunSpec model 701; all others are the maker's
    own."""

    ground_fault: Annotated[RawValues, raw_values("ground fault")] = ()
    dc_over_voltage: Annotated[RawValues, raw_values("DC over-voltage")] = ()
    ac_disconnected: Annotated[RawValues, raw_values("AC side disconnected")] = ()
    dc_disconnected: Annotated[RawValues, raw_values("DC side disconnected")] = ()
    grid_disconnected: Annotated[RawValues, raw_values("disconnected from the grid")] = ()
    cabinet_open: Annotated[RawValues, raw_values("cabinet open")] = ()
    manual_shutdown: Annotated[RawValues, raw_values("shut down by hand")] = ()
    over_temperature: Annotated[RawValues, raw_values("over-temperature")] = ()
    over_frequency: Annotated[RawValues, raw_values("over-frequency")] = ()
    under_frequency: Annotated[RawValues, raw_values("under-frequency")] = ()
    ac_over_voltage: Annotated[RawValues, raw_values("AC over-voltage")] = ()
    ac_under_voltage: Annotated[RawValues, raw_values("AC under-voltage")] = ()
    fuse_blown: Annotated[RawValues, raw_values("blown fuse")] = ()
    under_temperature: Annotated[RawValues, raw_values("under-temperature")] = ()
    memory_loss: Annotated[RawValues, raw_values("memory or communication loss")] = ()
    hardware_test_failed: Annotated[RawValues, raw_values("hardware test failed")] = ()
    manufacturer_alarm: Annotated[RawValues, raw_values("an alarm of its maker's")] = ()

    def table(self) -> dict[int, int]:
        """Bit of model 701's Alrm by bit of the register; the fields stand in the order of the model's bits."""
        names = enumerate(type(self).model_fields)
        return {bit: number for number, name in names for bit in getattr(self, name)}


MANUFACTURER_ALARM = len(AlarmMap.model_fields) - 1
