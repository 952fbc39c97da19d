"""Frequency response: power that answers to the grid's frequency as a sold product says, on top of everything else."""

from collections.abc import Iterator
from math import exp, isinf
from typing import Annotated, Literal

from pydantic import Field

from bms.dispatch.applications import ApplicationKind
from bms.dispatch.curves import Lag
from bms.dispatch.frequency_shape import CurveShape, DroopShape, Shape, TriggerShape
from bms.dispatch.product import CurvePoint, ProductFile, Span, broken_curve
from bms.dispatch.sold import Room, Sale, SoldProduct, room_for
from bms.dispatch.view import NO_ANSWER, Answer, PowerWindow, SiteView
from drivers.config.settings import Broken, about


class FrequencyResponse(SoldProduct):
    """One product, or a curve of the site's own."""

    kind: Annotated[Literal["frequency-response"], about("", "which application this is")]
    nominal_hz: Annotated[float | None, about("Hz", "of the grid", "the product's first", ge=40, le=70)] = None
    curve: Annotated[
        tuple[CurvePoint, ...],
        Field(strict=False),
        about("", "instead of the product's: off_hz and power_frac, moving away from nominal", max_length=16),
    ] = ()
    droop_frac: Annotated[float | None, about("frac", "instead of the product's", "the product's", gt=0, le=1)] = None
    deadband_hz: Annotated[
        float | None, about("Hz", "of a droop, instead of the product's", "the product's", ge=0, le=2)
    ] = None
    response_time_s: Annotated[
        float | None,
        about("s", "90 % of a step after, instead of the product's", "the product's", ge=0, le=3600),
    ] = None
    base_power_w: Annotated[
        float | None, about("W", "power that a droop refers to", "the converter's rating", gt=0, le=1e10)
    ] = None
    threshold_hz: Annotated[
        float | None,
        about("Hz", "distance from nominal, of a product with several", "the product's first", gt=0, le=10),
    ] = None
    support_s: Annotated[
        float | None, about("s", "of a product with several", "the product's first", gt=0, le=3600)
    ] = None
    filter_time_s: Annotated[
        float, about("s", "time constant of a filter on the measured frequency", "none: it costs time", ge=0, le=60)
    ] = 0.0

    def broken_relations(self) -> Iterator[Broken]:
        yield from super().broken_relations()
        yield from broken_curve(self.curve)

    def broken_sale(self, product: ProductFile) -> Iterator[Broken]:
        at, name = (("product",),), product.name
        if product.answers != "frequency":
            yield Broken(("product",), self.product, f"{name} answers to a signal", "a product for frequency")
            return
        yield from super().broken_sale(product)
        yield from self._broken_choice("nominal_hz", product.nominal_hz, at)
        trigger = product.trigger
        yield from self._broken_choice("threshold_hz", trigger.off_hz if trigger else (), at)
        yield from self._broken_choice("support_s", trigger.support_s if trigger else (), at)
        if self.curve and (product.droop or trigger):
            yield Broken(("curve",), "curve", f"{name} has no curve to replace", "none", at)
        droop = product.droop
        for setting, word, span in (
            ("droop_frac", "droop", None if droop is None else droop.droop_frac_span),
            ("deadband_hz", "droop", None if droop is None else droop.deadband_hz_span),
            ("response_time_s", "response time of its own", product.response_time_s_span),
        ):
            yield from self._broken_span(setting, f"{name} has no {word}", span)
        if not (self.curve or product.curve or product.droop or trigger):
            yield Broken(("curve",), "none", f"{name} has no curve of its own", "at least one point", at)

    def _broken_span(self, setting: str, without: str, span: Span | None) -> Iterator[Broken]:
        chosen = getattr(self, setting)
        if chosen is None:
            return
        if span is None:
            yield Broken((setting,), chosen, without, "none", (("product",),))
        elif not span.least <= chosen <= span.most:
            wrong, expected = f"outside what {self.product} allows", f"from {span.least:g} to {span.most:g}"
            yield Broken((setting,), chosen, wrong, expected, (("product",),))

    def _broken_choice(
        self, setting: str, choices: tuple[float, ...], others: tuple[tuple[str], ...]
    ) -> Iterator[Broken]:
        chosen = getattr(self, setting)
        if chosen is not None and chosen not in choices:
            expected = f"one of {', '.join(f'{choice:g}' for choice in choices)}" if choices else "none"
            yield Broken((setting,), chosen, "the product has no such choice", expected, others)


class FrequencyResponseApplication:
    """Answers with a response inside the reserve that it keeps, and with a slow baseline that brings the SoC back to
    where the reserve lasts as long as the product wants.

    Without a frequency (or on an island, whose frequency is the converter's own) there is no response; the reserve
    stays."""

    def __init__(self, settings: FrequencyResponse) -> None:
        self._sale = Sale(settings)
        product = self._sale.product
        self.name = f"{settings.kind} {product.name}"
        self._settings, self._product = settings, product
        self._nominal_hz = settings.nominal_hz or product.nominal_hz[0]
        self._shape = _shape(settings, product, self._nominal_hz)
        response_time_s = settings.response_time_s
        self._lag = Lag(product.response_time_s if response_time_s is None else response_time_s)
        self._filtered_hz: float | None = None

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        if view.islanded:
            self.reset()
            return NO_ANSWER
        off_hz = self._off_hz(view)
        frac = self._lag.follow(self._shape.power_frac(off_hz, view.dt_s), view.dt_s)
        response_w = self._sale.limited_w(self._power_w(frac, view), view)
        near = off_hz is not None and abs(off_hz) <= self._product.recovery.off_hz_max
        return self._sale.answer(view, self._room(response_w, window), response_w, quiet=near and not self._shape.busy)

    def reset(self) -> None:
        self._shape.reset()
        self._lag.reset()
        self._sale.reset()
        self._filtered_hz = None

    def _off_hz(self, view: SiteView) -> float | None:
        """Distance from nominal, low positive, filtered."""
        if view.frequency_hz is None:
            self._filtered_hz = None
            return None
        tau_s = self._settings.filter_time_s
        if self._filtered_hz is None or tau_s == 0.0:
            self._filtered_hz = view.frequency_hz
        else:
            self._filtered_hz += (1.0 - exp(-view.dt_s / tau_s)) * (view.frequency_hz - self._filtered_hz)
        return self._nominal_hz - self._filtered_hz

    def _power_w(self, frac: float, view: SiteView) -> float:
        """Of a product's share, within what is sold."""
        sold_w = self._settings.discharge_power_w if frac > 0.0 else self._settings.charge_power_w
        wanted_w = frac * (self._base_w(view) if self._product.droop else sold_w)
        return min(max(wanted_w, -self._settings.charge_power_w), self._settings.discharge_power_w)

    def _base_w(self, view: SiteView) -> float:
        settings = self._settings
        if settings.base_power_w is not None:
            return settings.base_power_w
        rated_w = view.base_power_w
        return max(settings.charge_power_w, settings.discharge_power_w) if isinf(rated_w) else rated_w

    def _room(self, response_w: float, window: PowerWindow) -> Room:
        if self._product.reserved:
            return room_for(self._settings, window)
        rest_w = window.nearest_w(0.0)
        charge_w = min(max(-response_w, 0.0), rest_w - window.power_w_min)
        return Room(charge_w, min(max(response_w, 0.0), window.power_w_max - rest_w), 0.0, 0.0)


def _shape(settings: FrequencyResponse, product: ProductFile, nominal_hz: float) -> Shape:
    if product.trigger is not None:
        off_hz = settings.threshold_hz or product.trigger.off_hz[0]
        return TriggerShape(product.trigger, off_hz, settings.support_s or product.trigger.support_s[0])
    if product.droop is not None:
        chosen = {name: getattr(settings, name) for name in ("droop_frac", "deadband_hz")}
        written = {name: value for name, value in chosen.items() if value is not None}
        return DroopShape(product.droop.model_copy(update=written), nominal_hz)
    return CurveShape(settings.curve or product.curve)


APPLICATION = ApplicationKind(FrequencyResponse, FrequencyResponseApplication)
