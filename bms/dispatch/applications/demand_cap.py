"""Demand cap: the mean of the grid's import over each wall-clock window stays below the contract."""

from collections import deque
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Any, Literal

from bms.dispatch.applications import ApplicationKind
from bms.dispatch.forecast import DailyProfile
from bms.dispatch.net_load import net_load_w
from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.taper import taper
from bms.dispatch.view import Answer, PowerWindow, SiteView
from drivers.config.settings import about

SOC_HYSTERESIS_FRAC = 0.01
WANDER_FRAC = 0.03
"""How far a load strays within 5 minutes before anything was learnt, in shares of the contract."""
SURE_SIGMAS = 2.0
JUMP_S = 2.0
"""A clock that is so far from where it should be has jumped."""
END_S = 5.0
"""What is left in the last seconds of a window is spread over so much: a power, not a spike."""
WINDOWS_MAX = 4
BIN_S = 5.0


class DemandCap(ApplicationSettings):
    """Holds the mean of the import over wall-clock windows below a contract."""

    kind: Annotated[Literal["demand-cap"], about("", "which application this is")]
    contract_power_w: Annotated[float, about("W", "no window's mean import is above it", gt=0, le=1e10)]
    window_min: Annotated[
        Literal[0, 15, 30, 60], about("min", "length of a window; 0 caps the power at every moment", "demand in Japan")
    ] = 30
    margin_frac: Annotated[
        float, about("frac", "share of the contract that is left free", "a class 0.5 meter", ge=0, le=0.5)
    ] = 0.005
    peak_frac: Annotated[
        float,
        about(
            "frac",
            "charging never takes the import itself above this share of the contract",
            "a quiet beginning of a window may be made up for",
            ge=0,
            le=10,
        ),
    ] = 1.2
    start_frac: Annotated[
        float,
        about(
            "frac",
            "it discharges once that needs this share of the power that there is, and not before",
            "the other half is for a load that rises later",
            ge=0,
            le=1,
        ),
    ] = 0.5
    soc_frac_min: Annotated[float, about("frac", "it discharges no further", "reserve over the limit", ge=0, le=1)] = (
        0.2
    )
    soc_frac_kept: Annotated[
        float,
        about("frac", "those after it discharge no further: what is below is for the cap", "half of it", ge=0, le=1),
    ] = 0.5
    soc_frac_target: Annotated[
        float, about("frac", "it recharges up to here, inside the cap", "5 % under the limit", ge=0, le=1)
    ] = 0.9
    recharge_power_w_max: Annotated[
        float, about("W", "most power with which it recharges", "what cap and battery allow", ge=0, le=1e10)
    ] = 1e10


@dataclass(slots=True)
class _Window:
    """One window: how long it still lasts, and what was imported in it."""

    left_s: float
    used_j: float


class _History:
    """Import over the last hour, by the time that passed: nothing a clock does can change it."""

    def __init__(self, length_s: float) -> None:
        self._bins: deque[tuple[float, float]] = deque(maxlen=int(length_s / BIN_S) + 2)
        self._bin_s = self._bin_j = 0.0

    def add(self, power_w: float, dt_s: float) -> None:
        self._bin_s += dt_s
        self._bin_j += power_w * dt_s
        if self._bin_s >= BIN_S:
            self._bins.append((self._bin_s, self._bin_j))
            self._bin_s = self._bin_j = 0.0

    def imported_j(self, last_s: float, unseen_w: float) -> float:
        """Over the last `last_s`; what was not seen of them counts with `unseen_w`."""
        left_s, used_j = last_s, 0.0
        for bin_s, bin_j in [(self._bin_s, self._bin_j), *reversed(self._bins)]:
            if left_s <= 0.0 or bin_s <= 0.0:
                continue
            taken_s = min(bin_s, left_s)
            used_j += bin_j * taken_s / bin_s
            left_s -= taken_s
        return used_j + max(left_s, 0.0) * unseen_w


class DemandCapApplication:
    """Adds up the import of the running window, forecasts the rest of it (see DailyProfile, two sigma up) and holds the
    battery's power above what makes the mean of the whole window equal to the contract.

    It spreads what is missing over the rest of the window, and waits as long as `start_frac` of the battery's power
    would still do: a load that falls by itself costs no energy. Inside a window others may charge as far as the cap
    holds, and it recharges itself with what they leave.

    What nobody saw (over a restart, or while power could not flow) counts with the contract's power or with the
    import now, whichever is more. When the clock jumps, the window that it leaves is held to its end beside the new
    one, and the new one begins with what really was imported in the time before. Without a clock the power itself is
    capped, which holds every window.
    """

    def __init__(self, settings: DemandCap) -> None:
        self.name = settings.kind
        self._settings = settings
        self._length_s = settings.window_min * 60.0
        self._cap_w = settings.contract_power_w * (1.0 - settings.margin_frac)
        self._profile = DailyProfile(WANDER_FRAC * settings.contract_power_w)
        self._history = _History(self._length_s)
        self._windows: list[_Window] = []
        self._grid_w = settings.contract_power_w
        self._utc_s: float | None = None
        self._paused = False
        self._discharging = self._recharging = False

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        settings = self._settings
        self._count(view)
        net_w = net_load_w(view)
        if net_w is None:
            return Answer(power_w_min=0.0, reason="grid power is not known")
        if view.local_time is not None:
            self._profile.see(view.local_time, net_w, view.dt_s)
        need_w = self._need_w(view, net_w)
        most_w = window.power_w_max * taper(view.soc_frac - settings.soc_frac_min)
        floor_w = self._floor_w(need_w, most_w)
        kept_w = window.power_w_max * taper(view.soc_frac - settings.soc_frac_kept)
        return Answer(
            power_w_min=floor_w,
            power_w_max=max(kept_w, floor_w, 0.0),
            request_w=self._recharge_w(view.soc_frac, floor_w),
            reason="reserve of the demand cap" if need_w > most_w else "demand cap",
        )

    def reset(self) -> None:
        """Energy flowed meanwhile, and nobody saw it."""
        self._paused = True
        self._discharging = False

    def save(self) -> dict[str, Any]:
        """The running windows, as they stood at the wall-clock time `utc_s`; nothing without a clock."""
        if self._utc_s is None:
            return {}
        windows = [[each.left_s, each.used_j] for each in self._windows]
        return {"utc_s": self._utc_s, "grid_w": self._grid_w, "windows": windows}

    def restore(self, saved: dict[str, Any]) -> None:
        """The time since then counts as a pause."""
        utc_s, grid_w, windows = (saved.get(name) for name in ("utc_s", "grid_w", "windows"))
        if not _number(utc_s) or not _number(grid_w):
            raise ValueError(f"expected utc_s and grid_w as numbers (got {utc_s!r}, {grid_w!r})")
        if not isinstance(windows, list) or not all(_is_window(each, self._length_s) for each in windows):
            raise ValueError(f"windows: expected up to {self._length_s:g} s left and an energy each (got {windows!r})")
        self._windows = [_Window(float(left_s), float(used_j)) for left_s, used_j in windows[-WINDOWS_MAX:]]
        self._utc_s, self._grid_w, self._paused = utc_s, float(grid_w or 0.0), True

    def _floor_w(self, need_w: float, most_w: float) -> float:
        """The least that the battery must give; negative: the most that it may take."""
        if need_w <= 0.0:
            self._discharging = False
            return need_w
        self._discharging = self._discharging or need_w >= self._start_frac * most_w
        return min(need_w, most_w) if self._discharging else 0.0

    @property
    def _start_frac(self) -> float:
        return self._settings.start_frac if self._windows else 0.0

    def _recharge_w(self, soc_frac: float, floor_w: float) -> float | None:
        target = self._settings.soc_frac_target
        self._recharging = soc_frac < target - (0.0 if self._recharging else SOC_HYSTERESIS_FRAC)
        request_w = max(floor_w, -self._settings.recharge_power_w_max)
        return request_w if self._recharging and request_w < 0.0 else None

    def _count(self, view: SiteView) -> None:
        """Add the time since the last look to the windows, and open the one that the clock is in."""
        if view.grid_power_w is None:
            self._take(max(self._grid_w, self._cap_w), view.dt_s)
        else:
            self._grid_w = view.grid_power_w
            self._take(self._grid_w, view.dt_s)
        self._count_pause(view.utc_s)
        self._utc_s = view.utc_s
        self._windows = [each for each in self._windows if each.left_s > 1e-6]
        now = view.local_time
        if now is None or not self._length_s:
            return
        offset = now.utcoffset()
        local_s = (view.utc_s or 0.0) + (0.0 if offset is None else offset.total_seconds())
        self._open(local_s % self._length_s)

    def _count_pause(self, utc_s: float | None) -> None:
        """While power could not flow nothing was seen: the wall clock says how long that was, a window at most."""
        if not self._paused:
            return
        self._paused = False
        passed_s = self._length_s if utc_s is None or self._utc_s is None else utc_s - self._utc_s
        if not 0.0 <= passed_s <= self._length_s:
            passed_s = self._length_s
        self._take(max(self._grid_w, self._cap_w), passed_s)

    def _take(self, power_w: float, dt_s: float) -> None:
        self._history.add(power_w, dt_s)
        for each in self._windows:
            each.left_s -= dt_s
            each.used_j += power_w * dt_s

    def _open(self, into_s: float) -> None:
        left_s = self._length_s - into_s
        for each in self._windows:
            if abs(each.left_s - left_s) <= JUMP_S:
                each.left_s = left_s
                return
        unseen_w = max(self._grid_w, self._cap_w)
        self._windows.append(_Window(left_s, self._history.imported_j(into_s, unseen_w)))
        if len(self._windows) > WINDOWS_MAX:
            self._windows.remove(min(self._windows, key=lambda each: each.used_j))

    def _need_w(self, view: SiteView, net_w: float) -> float:
        """The battery's power that makes the worst window just hold; negative: what is still free."""
        if not self._windows:
            return net_w - self._cap_w
        return max(self._window_need_w(view, net_w, each) for each in self._windows)

    def _window_need_w(self, view: SiteView, net_w: float, each: _Window) -> float:
        allowed_w = (self._cap_w * self._length_s - each.used_j) / max(each.left_s, END_S)
        need_w = self._rest_w(view, net_w, each.left_s) - allowed_w
        if need_w > 0.0:
            return need_w
        return max(need_w, min(net_w - self._settings.peak_frac * self._settings.contract_power_w, 0.0))

    def _rest_w(self, view: SiteView, net_w: float, left_s: float) -> float:
        """Net load of the rest of a window that is passed in one case of forty; at its very end the load now."""
        now = view.local_time
        expected_w = None if now is None else self._profile.mean_w(now, left_s)
        if now is None or expected_w is None:
            return net_w
        sure_w = expected_w + SURE_SIGMAS * self._profile.sigma_w(now, left_s)
        fresh = max(1.0 - left_s / 120.0, 0.0)
        return sure_w + fresh * (net_w - sure_w)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _is_window(saved: object, length_s: float) -> bool:
    return isinstance(saved, list) and len(saved) == 2 and all(map(_number, saved)) and 0.0 <= saved[0] <= length_s


APPLICATION = ApplicationKind(DemandCap, DemandCapApplication)
