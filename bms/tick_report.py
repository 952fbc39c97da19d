"""What a tick leaves behind: one row of the record, and the status that people see."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from bms.battery import BatteryState
from bms.decision import Contactors, Decision
from bms.devices import Device
from bms.dispatch.dispatch import Wish
from bms.estimate.site_power import SitePowers
from bms.estimate.soc import SocSummary
from bms.image import Image
from bms.protect.fault_kind import Action
from bms.protect.limits import PowerLimits
from bms.protect.protection import ActiveFault
from bms.record import Recorder, TickRow
from bms.record.readings import ReadingsTaker
from bms.site import Site
from bms.smoothing_way import SmoothingNow
from bms.state.memory import SiteMemory
from bms.status import Status
from bms.summary import Summary

RECENT_TICKS = 512
"""Ticks over which the status gives percentiles."""

GRAVITY = {action: rank for rank, action in enumerate(Action)}

CONTACTOR_WORDS = {
    Contactors(False, False): "open",
    Contactors(True, False): "main",
    Contactors(False, True): "precharge",
    Contactors(True, True): "both",
}


class TickOutcome(NamedTuple):
    """Everything that one tick saw and decided."""

    image: Image
    summary: Summary
    powers: SitePowers
    faults: tuple[ActiveFault, ...]
    battery: BatteryState
    limits: PowerLimits
    wish: Wish
    decision: Decision
    soc: SocSummary
    balance_reason: str
    wanted: bool
    smoothing: SmoothingNow = SmoothingNow()
    island: str = ""
    """How the site stands to its grid, unless it is on it; empty also where it never leaves it."""
    strip: str = ""
    """Which racks are out for their strip, and which waits why."""
    told: str = ""
    """Inputs that hold and who told them, see Requests.words."""


class TickReporter:
    """Keeps the newest tick, for whom it is put into a row or a status when somebody wants one. `north_faults` says
    what is wrong with the way in from outside, `record_fault` why the record loses rows."""

    def __init__(self, site: Site, recorder: Recorder | None, modbus: Sequence[Device], memory: SiteMemory) -> None:
        self._site = site
        self._memory = memory
        self._recorder = recorder
        self._modbus = modbus
        self._start_ns: int | None = None
        self._taker = ReadingsTaker(len(site.racks))
        self._tick_ms: deque[float] = deque(maxlen=RECENT_TICKS)
        self._tick: TickOutcome | None = None
        self.overruns = 0
        self.north_faults: list[Callable[[], str]] = []
        self.record_fault: Callable[[], str] = str

    @property
    def newest(self) -> TickOutcome | None:
        """All of the newest tick; None before the first."""
        return self._tick

    def ticked(self, tick_ms: float, overruns: int) -> None:
        """Take the duration of the newest tick and how many ticks were missed since the start."""
        self._tick_ms.append(tick_ms)
        self.overruns = overruns

    def see(self, tick: TickOutcome) -> None:
        """Take what this tick saw and decided, and hand its row to the recorder."""
        recorder, self._tick = self._recorder, tick
        if self._start_ns is None:
            self._start_ns = tick.image.at_ns
        if recorder is not None:
            keeps = recorder.keeps_readings
            readings = self._taker.take(tick.image, tick.summary, self._start_ns) if keeps else None
            recorder.add(self._row(tick, self._start_ns), readings)

    def _row(self, tick: TickOutcome, start_ns: int) -> TickRow:
        image, racks, limits, decision = tick.image, tick.summary.racks, tick.limits, tick.decision
        monitors, links = [rack.health for rack in image.racks], [device.health for device in self._modbus]
        return TickRow(
            time_s=(image.at_ns - start_ns) / 1e9,
            mode=f"{tick.battery.mode}, {tick.island}" if tick.island else tick.battery.mode,
            requested_power_w=tick.wish.requested_power_w,
            sent_power_w=decision.power_w,
            clipped_by=decision.clipped_by or None,
            clip_reason=decision.clip_reason or None,
            grid_power_w=_number(tick.powers.grid_w),
            battery_power_w=_number(tick.powers.battery_w),
            load_power_w=_number(tick.powers.load_w),
            soc_min_frac=tick.soc.frac_min,
            soc_mean_frac=tick.soc.frac_mean,
            soc_max_frac=tick.soc.frac_max,
            soc_sigma_max_frac=tick.soc.sigma_frac_max,
            cell_voltage_v_min=min([rack.voltage_v_min for rack in racks]),
            cell_voltage_v_max=max([rack.voltage_v_max for rack in racks]),
            cell_temperature_degc_min=min([rack.temperature_degc_min for rack in racks]),
            cell_temperature_degc_max=max([rack.temperature_degc_max for rack in racks]),
            charge_power_w_limit=limits.charge_power_w,
            discharge_power_w_limit=limits.discharge_power_w,
            limit_reason_charge=limits.charge_reason,
            limit_reason_discharge=limits.discharge_reason,
            faults=",".join(sorted({fault.kind.id for fault in tick.faults})) if tick.faults else "",
            rack_states=",".join(tick.battery.rack_modes),
            rack_current_a_max_abs=max([abs(rack.current_a) for rack in racks]),
            tick_ms=self._tick_ms[-1] if self._tick_ms else float("nan"),
            overruns=self.overruns,
            frames=sum([health.accepted + health.rejected for health in monitors]),
            frames_lost=sum([health.lost + health.rejected for health in monitors]),
            transactions=sum([link.transactions for link in links]),
            transactions_lost=sum([link.timeouts + link.errors for link in links]),
            asked_by=tick.wish.asked_by or None,
            unmet="; ".join(map(str, tick.wish.unmet)) or None,
            converter_run=int(decision.run),
            contactors=",".join([_word(wanted) for wanted in decision.contactors]),
            wanted=int(tick.wanted),
            smoothing_way=tick.smoothing.way or None,
            lane_age_ms=tick.smoothing.lane_age_s * 1e3,
            lane_jitter_ms=tick.smoothing.lane_jitter_s * 1e3,
            load_range_w_5s=tick.smoothing.measured.load_w,
            grid_range_w_5s=tick.smoothing.measured.grid_w,
            strip=tick.strip or None,
            told=tick.told or None,
        )

    def status(self) -> Status | None:
        """The newest tick in short; None before the first."""
        tick, start_ns = self._tick, self._start_ns
        if tick is None or start_ns is None:
            return None
        row = self._row(tick, start_ns)
        ticks = np.percentile(list(self._tick_ms), [50, 99]) if self._tick_ms else (float("nan"), float("nan"))
        return Status(
            time_s=row.time_s,
            site=self._site.name,
            mode=row.mode,
            rack_modes=dict(zip((rack.name for rack in self._site.racks), row.rack_states.split(","), strict=True)),
            grid_power_w=row.grid_power_w,
            load_power_w=row.load_power_w,
            battery_power_w=row.battery_power_w,
            requested_power_w=row.requested_power_w,
            sent_power_w=row.sent_power_w,
            clipped_by=row.clipped_by or "",
            clip_reason=row.clip_reason or "",
            soc_frac_min=row.soc_min_frac,
            soc_frac_mean=row.soc_mean_frac,
            soc_frac_max=row.soc_max_frac,
            soc_sigma_frac_max=row.soc_sigma_max_frac,
            cell_voltage_v_min=row.cell_voltage_v_min,
            cell_voltage_v_max=row.cell_voltage_v_max,
            cell_temperature_degc_min=row.cell_temperature_degc_min,
            cell_temperature_degc_max=row.cell_temperature_degc_max,
            cells_bleeding=sum(int(mask.sum()) for mask in tick.decision.bleed if mask is not None),
            balance_reason=tick.balance_reason,
            charge_power_w_limit=row.charge_power_w_limit,
            discharge_power_w_limit=row.discharge_power_w_limit,
            charge_reason=row.limit_reason_charge or "",
            discharge_reason=row.limit_reason_discharge or "",
            faults=[str(fault) for fault in worst_first(tick.faults)],
            state_fault=self._memory.fault,
            tick_ms_p50=float(ticks[0]),
            tick_ms_p99=float(ticks[1]),
            overruns=self.overruns,
            frames=row.frames,
            frames_lost=row.frames_lost,
            transactions=row.transactions,
            transactions_lost=row.transactions_lost,
            smoothing_way=row.smoothing_way or "",
            lane_age_ms=row.lane_age_ms,
            lane_jitter_ms=row.lane_jitter_ms,
            load_range_w_5s=row.load_range_w_5s,
            grid_range_w_5s=row.grid_range_w_5s,
            strip=tick.strip,
            told=row.told or "",
            north_fault="; ".join(filter(None, [fault() for fault in self.north_faults])),
            record_fault=self.record_fault(),
        )


def worst_first(faults: Sequence[ActiveFault]) -> list[ActiveFault]:
    """By what they do, mere warnings last; those that do the same stay in their order."""
    return sorted(faults, key=lambda fault: GRAVITY[fault.kind.action], reverse=True)


def _word(wanted: Contactors | None) -> str:
    return "-" if wanted is None else CONTACTOR_WORDS[wanted]


def _number(power_w: float | None) -> float:
    return float("nan") if power_w is None else power_w
