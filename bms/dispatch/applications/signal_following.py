"""Signal following: power that a named input asks for (AGC, load-frequency control, economic dispatch)."""

from collections.abc import Iterator
from typing import Annotated, Literal

from bms.dispatch.applications import ApplicationKind
from bms.dispatch.product import ProductFile
from bms.dispatch.sold import Sale, SoldProduct, room_for
from bms.dispatch.view import NO_ANSWER, Answer, PowerWindow, SiteView
from drivers.config.settings import Broken, about


class SignalFollowing(SoldProduct):
    """Follows one signal, discharge positive."""

    kind: Annotated[Literal["signal-following"], about("", "which application this is")]
    signal: Annotated[str, about("", "name of the input", pattern=r"^[a-z][a-z0-9_-]{0,47}$", shape="a short name")]
    unit: Annotated[
        Literal["pu", "W"], about("", "of the signal; pu is of what is sold in its direction", "as AGC has it")
    ] = "pu"
    ramp_w_per_s_max: Annotated[
        float | None, about("W/s", "fastest change of the power", "as fast as the converter can", gt=0, le=1e10)
    ] = None

    def broken_sale(self, product: ProductFile) -> Iterator[Broken]:
        if product.answers != "signal":
            yield Broken(("product",), self.product, f"{product.name} answers to frequency", "a product for a signal")
            return
        yield from super().broken_sale(product)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.signal,)


class SignalFollowingApplication:
    """Answers with the signal as a response inside what is sold; without it (never told, or expired) with nothing, at
    the same ramp. A baseline brings the SoC back as for a frequency response; a product whose recovery does not wait
    moves it beside the response."""

    def __init__(self, settings: SignalFollowing) -> None:
        self._settings, self._sale = settings, Sale(settings)
        self.name = f"{settings.kind} {self._sale.product.name}"
        self._power_w = 0.0

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        if view.islanded:
            self.reset()
            return NO_ANSWER
        settings = self._settings
        self._ramp_to(self._wanted_w(view.inputs.get(settings.signal, 0.0)), view.dt_s)
        response_w = self._sale.limited_w(self._power_w, view)
        quiet = self._power_w == 0.0 or self._sale.product.recovery.wait_s == 0.0
        return self._sale.answer(view, room_for(settings, window), response_w, quiet=quiet)

    def reset(self) -> None:
        self._sale.reset()
        self._power_w = 0.0

    def _wanted_w(self, signal: float) -> float:
        settings = self._settings
        sold_w = settings.discharge_power_w if signal > 0.0 else settings.charge_power_w
        wanted_w = signal * sold_w if settings.unit == "pu" else signal
        return min(max(wanted_w, -settings.charge_power_w), settings.discharge_power_w)

    def _ramp_to(self, wanted_w: float, dt_s: float) -> None:
        ramp_w_per_s = self._settings.ramp_w_per_s_max
        if ramp_w_per_s is not None:
            step_w = ramp_w_per_s * dt_s
            wanted_w = min(max(wanted_w, self._power_w - step_w), self._power_w + step_w)
        self._power_w = wanted_w


APPLICATION = ApplicationKind(SignalFollowing, SignalFollowingApplication)
