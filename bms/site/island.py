"""What a site says about its life without the grid: load blocks, windows, waits and their bounds."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from drivers.config.settings import Broken, Settings, about

CHOICE = "engineering choice"
ENTER = "IEEE 1547-2018, 4.10.2: enter service"
SYNC = "IEEE 1547-2018, table 5, above 1.5 MVA"


class LoadBlock(Settings):
    """Loads behind one contactor."""

    name: Annotated[
        str,
        about(
            "", "name in messages", pattern=r"^[a-z][a-z0-9-]{0,31}$",
            shape="a name of at most 32 lower-case letters, digits and -",
        ),
    ]  # fmt: skip
    bit: Annotated[int, about("", "its bit in the switchgear's registers", ge=0, le=15)]
    power_w: Annotated[float, about("W", "what it takes when it is connected", gt=0, le=1e9)]
    soc_frac_min: Annotated[
        float, about("frac", "on an island it is shed below this SoC, and comes back 5 % above", "never", ge=0, le=0.9)
    ] = 0.0


class Island(Settings):
    """How the site leaves its grid, lives without it and comes back."""

    blocks: Annotated[
        tuple[LoadBlock, ...],
        Field(strict=False),
        about("", "in order of importance: the last is shed first", min_length=1, max_length=16),
    ]
    frequency_hz_nominal: Annotated[Literal[50, 60], about("Hz", "nominal frequency")]
    voltage_v_nominal: Annotated[float, about("V", "nominal voltage as the switchgear counts it", gt=0, le=1e6)]
    leave_voltage_frac_min: Annotated[float, about("frac", "a grid below it is left", "IEEE 1547-2018", gt=0, lt=1)] = (
        0.88
    )
    leave_voltage_frac_max: Annotated[
        float, about("frac", "a grid above it is left", "IEEE 1547-2018", gt=1, le=1.5)
    ] = 1.1
    leave_frequency_off_hz_max: Annotated[
        float, about("Hz", "a grid further off nominal is left", "IEEE 1547-2018: 58.5 Hz", gt=0, le=5)
    ] = 1.5
    dip_s_max: Annotated[
        float, about("s", "so long such a grid is borne; the switch itself may be faster", CHOICE, ge=0, le=60)
    ] = 0.5
    return_voltage_frac_min: Annotated[float, about("frac", "a grid from here on is good", ENTER, gt=0, lt=1)] = 0.917
    return_voltage_frac_max: Annotated[float, about("frac", "a grid up to here is good", ENTER, gt=1, le=1.5)] = 1.05
    return_frequency_off_hz_max: Annotated[
        float, about("Hz", "a grid not further off nominal is good", ENTER, gt=0, le=5)
    ] = 0.5
    settle_s: Annotated[float, about("s", "a grid that was good for so long is trusted", ENTER, gt=0, le=3600)] = 300.0
    sync_phase_deg_max: Annotated[
        float, about("deg", "it closes within this angle, as far as the switchgear says one", CHOICE, gt=0, le=20)
    ] = 5.0
    sync_slip_hz_max: Annotated[float, about("Hz", "it closes within this difference", SYNC, gt=0, le=1)] = 0.1
    sync_voltage_off_frac_max: Annotated[
        float, about("frac", "it closes within this difference", SYNC, gt=0, le=0.1)
    ] = 0.03
    sync_hold_s: Annotated[float, about("s", "both sides agree for so long before it closes", CHOICE, gt=0, le=10)] = (
        0.3
    )
    return_ramp_w_per_s: Annotated[
        float, about("W/s", "back on the grid the battery's power goes so fast to what is wanted", CHOICE, gt=0, le=1e9)
    ] = 25e3
    block_step_s: Annotated[float, about("s", "between two blocks that come back", CHOICE, gt=0, le=600)] = 2.0
    shed_s: Annotated[
        float, about("s", "between two blocks that are shed, for the power to show", CHOICE, gt=0, le=10)
    ] = 0.4
    restore_frac: Annotated[
        float, about("frac", "a block comes back if load and block are below this share of what the battery can give",
                     CHOICE, gt=0, le=1),
    ] = 0.9  # fmt: skip
    intertie_age_s_max: Annotated[
        float, about("s", "older words of the switchgear count no more", CHOICE, gt=0, le=5)
    ] = 0.5
    open_s_max: Annotated[float, about("s", "the intertie opens within this time", CHOICE, gt=0, le=60)] = 1.0
    form_s_max: Annotated[float, about("s", "the converter makes a voltage within this time", CHOICE, gt=0, le=600)] = (
        8.0
    )
    shed_s_max: Annotated[
        float, about("s", "the load is shed to what can be given within this time", CHOICE, gt=0, le=60)
    ] = 8.0
    sync_s_max: Annotated[float, about("s", "both sides agree within this time", CHOICE, gt=0, le=3600)] = 60.0
    close_s_max: Annotated[float, about("s", "the intertie closes within this time", CHOICE, gt=0, le=60)] = 2.0
    block_s_max: Annotated[float, about("s", "a block's contactor obeys within this time", CHOICE, gt=0, le=60)] = 1.0
    restore_s_max: Annotated[float, about("s", "the blocks are back within this time", CHOICE, gt=0, le=3600)] = 120.0
    black_start: Annotated[bool, about("", "a dark site starts by itself", CHOICE)] = True
    dead_bus_s: Annotated[
        float, about("s", "the site's bus is dead for so long before it is fed", CHOICE, gt=0, le=60)
    ] = 1.0
    dead_bus_s_max: Annotated[float, about("s", "it is dead within this time", CHOICE, gt=0, le=600)] = 10.0
    racks_s_max: Annotated[
        float, about("s", "a rack is on the DC link within this time of darkness", CHOICE, gt=0, le=3600)
    ] = 120.0
    tries_max: Annotated[int, about("", "black starts before somebody has to come", CHOICE, ge=1, le=20)] = 3
    retry_s: Annotated[float, about("s", "between two black starts", CHOICE, gt=0, le=3600)] = 10.0

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.below("leave_voltage_frac_min", "return_voltage_frac_min")
        yield from self.below("return_voltage_frac_max", "leave_voltage_frac_max")
        yield from self.below("return_frequency_off_hz_max", "leave_frequency_off_hz_max")
        yield from self.below("sync_hold_s", "sync_s_max")
        yield from self.below("dead_bus_s", "dead_bus_s_max")
        for name in ("name", "bit"):
            first: dict[object, int] = {}
            for i, block in enumerate(self.blocks):
                value = getattr(block, name)
                if (twin := first.setdefault(value, i)) != i:
                    others = (("blocks", twin, name),)
                    yield Broken(("blocks", i, name), value, f"same {name} as blocks.{twin}", "one of its own", others)

    @property
    def all_blocks(self) -> int:
        """Every block's bit."""
        return sum(1 << block.bit for block in self.blocks)
