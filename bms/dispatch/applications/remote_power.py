"""Remote power: somebody outside asks for a battery power, inside bounds, for as long as the asking lasts."""

from collections.abc import Iterator
from typing import Annotated, Literal

from bms.dispatch.applications import ApplicationKind
from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.view import NO_ANSWER, Answer, PowerWindow, SiteView
from drivers.config.settings import Broken, about

SOC_TAPER_FRAC = 0.02


class RemotePower(ApplicationSettings):
    """Settings of remote power; whoever asks tells the input again before it expires."""

    kind: Annotated[Literal["remote-power"], about("", "which application this is")]
    input: Annotated[
        str,
        about(
            "", "name of the input that says the power in W", "what `bms set` names", pattern=r"^[a-z][a-z0-9_]{0,47}$",
            shape="a name of lower-case letters, digits and _",
        ),
    ] = "power_w"  # fmt: skip
    charge_power_w_max: Annotated[float, about("W", "no more is charged by request", ge=0, le=1e10)]
    discharge_power_w_max: Annotated[float, about("W", "no more is discharged by request", ge=0, le=1e10)]
    ramp_w_per_s_max: Annotated[
        float, about("W/s", "fastest change of the power by request", "at once", gt=0, le=1e12)
    ] = 1e12
    fallback_power_w: Annotated[
        float | None,
        about(
            "W",
            "battery power once a remote request was neither renewed nor withdrawn, until somebody asks anew",
            "those after it decide",
            ge=-1e10,
            le=1e10,
        ),
    ] = None
    soc_frac_min: Annotated[
        float, about("frac", "no request discharges further", "reserve of 5 % over the limit", ge=0, le=1)
    ] = 0.1
    soc_frac_max: Annotated[
        float, about("frac", "no request charges further", "reserve of 5 % under the limit", ge=0, le=1)
    ] = 0.9

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.in_order("soc_frac_min", "soc_frac_max")
        fallback_w = self.fallback_power_w or 0.0
        if not -self.charge_power_w_max <= fallback_w <= self.discharge_power_w_max:
            expected = f"from {-self.charge_power_w_max:g} to {self.discharge_power_w_max:g}"
            others = (("charge_power_w_max",), ("discharge_power_w_max",))
            yield Broken(("fallback_power_w",), fallback_w, "beyond the bounds of requests", expected, others)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


class RemotePowerApplication:
    """Requests what the input says, and nothing once it has expired: those after it decide then, or the fallback of a
    request that was lost. An island takes no request, since its load decides."""

    def __init__(self, settings: RemotePower) -> None:
        self.name = settings.kind
        self._settings = settings
        self._power_w: float | None = None

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        wanted_w = view.inputs.get(self._settings.input)
        lost = wanted_w is None and self._settings.input in view.lost
        if lost:
            wanted_w = self._settings.fallback_power_w
        if wanted_w is None or view.islanded:
            self.reset()
            return NO_ANSWER
        low_w, high_w = self._bounds(view)
        if self._power_w is None:
            self._power_w = view.battery_power_w or 0.0
        step_w = self._settings.ramp_w_per_s_max * view.dt_s
        self._power_w = min(max(wanted_w, self._power_w - step_w), self._power_w + step_w)
        self._power_w = min(max(self._power_w, low_w), high_w)
        reason = "remote request lost" if lost else "remote request"
        if self._power_w != wanted_w:
            reason = "bounds of remote requests"
        return Answer(request_w=self._power_w, firm=True, reason=reason)

    def reset(self) -> None:
        self._power_w = None

    def _bounds(self, view: SiteView) -> tuple[float, float]:
        """Full power inside the SoC band, less and less over its last SOC_TAPER_FRAC."""
        settings = self._settings
        above = (view.soc_frac - settings.soc_frac_min) / SOC_TAPER_FRAC
        below = (settings.soc_frac_max - view.soc_frac) / SOC_TAPER_FRAC
        return (
            -settings.charge_power_w_max * min(max(below, 0.0), 1.0),
            settings.discharge_power_w_max * min(max(above, 0.0), 1.0),
        )


APPLICATION = ApplicationKind(RemotePower, RemotePowerApplication)
