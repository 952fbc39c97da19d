"""foxBMS 2 frames of one rack in, frozen readings out."""

import math
from enum import IntEnum

import numpy as np

from drivers.battery import BatterySays
from drivers.cell_monitors.foxbms.layout import FoxBmsLayout
from drivers.frames import FrameBatch
from drivers.readings import NEVER_NS, Flags, Floats, MonitorHealth, RackReading, Times
from drivers.safety import NOT_HEARD, InsulationState, MonitorAlarm, SafetyInputs
from kernels.canbits import FrameDecoder


class BmsState(IntEnum):
    """States of a foxBMS 2 master that the driver looks at."""

    PRECHARGE = 6
    ERROR = 10


class FoxBmsDecoder:
    """Newest values of one rack. `sensor_of_cell`: which temperature sensor each cell has."""

    def __init__(self, layout: FoxBmsLayout, sensor_of_cell: Times) -> None:
        self._layout = layout
        self._decoder = FrameDecoder(layout.measured.frames)
        cells, sensors = layout.cells, layout.sensors
        self._voltage, self._voltage_valid = slice(cells), slice(cells, 2 * cells)
        self._degc, self._degc_valid = 2 * cells + sensor_of_cell, 2 * cells + sensors + sensor_of_cell
        frames = layout.measured.frames.signal_frame
        self._voltage_frame, self._degc_frame = frames[self._voltage], frames[self._degc]
        self._not_bleeding: Flags = np.zeros(cells, np.uint8)
        self._not_bleeding.flags.writeable = False

    def feed(self, batch: FrameBatch) -> int:
        """Take a batch; returns how many frames were accepted."""
        return self._decoder.feed(batch.data, batch.at_ns)

    def reading(self) -> RackReading:
        """What is known now; every array is a private, read-only copy."""
        values, at_ns, scalars = self._decoder.values, self._decoder.at_ns, self._layout.scalars
        voltage_v = np.where(values[self._voltage_valid] == 1.0, values[self._voltage], np.nan)
        temperature_degc = np.where(values[self._degc_valid] == 1.0, values[self._degc], np.nan)
        current_a, rack_v, link_v, state, connected, *_ = values[scalars].tolist()
        measured_ns = self._at_ns("PackValues")
        return RackReading(
            voltage_v=_sealed(voltage_v),
            voltage_at_ns=_times(at_ns[self._voltage_frame], voltage_v),
            temperature_degc=_sealed(temperature_degc),
            temperature_at_ns=_times(at_ns[self._degc_frame], temperature_degc),
            bleeding=self._not_bleeding,
            current_a=current_a,
            current_at_ns=measured_ns,
            rack_voltage_v=rack_v,
            link_voltage_v=link_v,
            main_closed=None if math.isnan(connected) else connected > 0.0,
            precharge_closed=None if math.isnan(state) else state == BmsState.PRECHARGE,
            command_age_s=math.nan,
            io_at_ns=min(self._at_ns("State"), measured_ns),
            health=self.health,
            safety=self._safety(values[scalars].tolist()),
            beside_cells=self._says(values[scalars].tolist()),
        )

    @property
    def health(self) -> MonitorHealth:
        """Frame counts since start; foxBMS 2 has neither counter nor checksum in these frames."""
        decoder = self._decoder
        return MonitorHealth(decoder.accepted, 0, 0, decoder.length_errors, 0, decoder.unknown)

    def _at_ns(self, message: str) -> int:
        return self._decoder.at_ns.item(self._layout.measured.frame_index[message])

    def _safety(self, scalars: list[float]) -> SafetyInputs:
        at_ns = self._at_ns("State")
        if at_ns == NEVER_NS:
            return NOT_HEARD
        _, _, _, state, _, monitoring, fuse_blown, interlock_open, insulation_kohm = scalars[:9]
        return NOT_HEARD._replace(
            at_ns=at_ns,
            interlock_closed=interlock_open == 0.0,
            fuse_intact=fuse_blown == 0.0,
            insulation_at_ns=at_ns,
            insulation_kohm=insulation_kohm,
            insulation_state=InsulationState.ACTIVE if monitoring == 1.0 else InsulationState.OFF,
            alarms=MonitorAlarm.INTERNAL_FAULT if state == BmsState.ERROR else MonitorAlarm(0),
        )

    def _says(self, scalars: list[float]) -> BatterySays:
        charge_a, discharge_a, voltage_v_max, voltage_v_min, soc_min, _, soh = scalars[9:]
        return BatterySays(
            limits_at_ns=self._at_ns("PackLimits"),
            charge_voltage_v_max=voltage_v_max,
            charge_current_a_max=charge_a,
            discharge_current_a_max=discharge_a,
            discharge_voltage_v_min=voltage_v_min,
            soc_at_ns=self._at_ns("PackCharge"),
            soc_frac=soc_min / 100.0 if soc_min <= 100.0 else math.nan,
            soh_frac=soh / 100.0 if soh <= 100.0 else math.nan,
        )


def _sealed(values: Floats) -> Floats:
    values.flags.writeable = False
    return values


def _times(at_ns: Times, values: Floats) -> Times:
    """The times, NEVER_NS where the value is absent."""
    times = np.where(np.isnan(values), NEVER_NS, at_ns)
    times.flags.writeable = False
    return times
