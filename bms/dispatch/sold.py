"""What applications that sell a product share: how much is sold, and between which SoC."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, NamedTuple

from pydantic import AfterValidator

from bms.dispatch.energy_reserve import Contract, EnergyReserve
from bms.dispatch.product import ProductFile, find_product, known_product
from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.view import Answer, PowerWindow, SiteView
from drivers.config.config_yaml import ConfigErrors
from drivers.config.settings import Broken, about
from drivers.config.shipped import UnknownNameError


class SoldProduct(ApplicationSettings):
    """A product, the power that is sold of it in each direction, and the SoC that it may use."""

    several: ClassVar[bool] = True

    product: Annotated[
        str,
        about("", "name of a shipped product, or a file with one", min_length=1, max_length=500),
        AfterValidator(known_product),
    ]
    discharge_power_w: Annotated[
        float, about("W", "sold upwards: for low frequency, or a positive signal", "none", ge=0, le=1e10)
    ] = 0.0
    charge_power_w: Annotated[
        float, about("W", "sold downwards: for high frequency, or a negative signal", "none", ge=0, le=1e10)
    ] = 0.0
    soc_frac_min: Annotated[
        float, about("frac", "the response discharges no further", "reserve of 5 % over the limit", ge=0, le=1)
    ] = 0.1
    soc_frac_max: Annotated[
        float, about("frac", "the response charges no further", "reserve of 5 % under the limit", ge=0, le=1)
    ] = 0.9
    efficiency_frac: Annotated[
        float, about("frac", "one way, between cells and meter", "converter 98.5 %, cells and wiring", gt=0, le=1)
    ] = 0.96

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.in_order("soc_frac_min", "soc_frac_max")
        try:
            product = find_product(self.product)
        except (UnknownNameError, ConfigErrors):
            return
        yield from self.broken_sale(product)

    def broken_sale(self, product: ProductFile) -> Iterator[Broken]:
        """What of this the product does not have."""
        for direction, setting in (("up", "discharge_power_w"), ("down", "charge_power_w")):
            if getattr(self, setting) > 0.0 and direction not in product.directions:
                wrong = f"{product.name} has no such direction"
                yield Broken((setting,), getattr(self, setting), wrong, "0", (("product",),))
        if self.discharge_power_w == self.charge_power_w == 0.0:
            yield Broken(("discharge_power_w",), 0.0, "nothing is sold", "more than 0 here or in charge_power_w")


class Room(NamedTuple):
    """Of what is sold, what those before it leave room for, and what is lacking; magnitudes in W."""

    charge_w: float
    discharge_w: float
    lacks_charge_w: float
    lacks_discharge_w: float


def room_for(sold: SoldProduct, window: PowerWindow) -> Room:
    """Around the power of the window that is nearest to rest: nobody has to move where the window is narrower than what
    is sold, and the response stays inside it."""
    rest_w = window.nearest_w(0.0)
    charge_w = min(sold.charge_power_w, rest_w - window.power_w_min)
    discharge_w = min(sold.discharge_power_w, window.power_w_max - rest_w)
    return Room(charge_w, discharge_w, sold.charge_power_w - charge_w, sold.discharge_power_w - discharge_w)


class Sale:
    """What is sold of a product: keeps the energy for it, and answers with a response on a baseline that brings it
    back."""

    def __init__(self, sold: SoldProduct) -> None:
        self.product = find_product(sold.product)
        self._contract = Contract(
            charge_power_w=sold.charge_power_w,
            discharge_power_w=sold.discharge_power_w,
            hold_s=self.product.hold_s,
            soc_frac_min=sold.soc_frac_min,
            soc_frac_max=sold.soc_frac_max,
            efficiency_frac=sold.efficiency_frac,
        )
        self._energy = EnergyReserve(self._contract, self.product.recovery)

    def reset(self) -> None:
        self._energy.reset()

    def limited_w(self, response_w: float, view: SiteView) -> float:
        """A response as far as the SoC bears it."""
        return self._energy.limited_w(response_w, view.soc_frac)

    def answer(self, view: SiteView, room: Room, response_w: float, *, quiet: bool) -> Answer:
        """Once a control tick: `room` is kept free; the baseline moves while it is `quiet`."""
        low_w, high_w = self._energy.bounds_w(view)
        return Answer(
            power_w_min=low_w - room.charge_w,
            power_w_max=high_w + room.discharge_w,
            request_w=self._energy.baseline_w(view, quiet=quiet),
            response_w=response_w,
            reserve_charge_w=room.charge_w,
            reserve_discharge_w=room.discharge_w,
            reason=f"reserve of {self.product.name}",
            lacks_charge_w=room.lacks_charge_w,
            lacks_discharge_w=room.lacks_discharge_w,
            stored_wh=self._contract.stored_wh,
            room_wh=self._contract.room_wh,
        )
