"""What the plain line and the live screen say of powers, of faults, and of a state or a record that is not saved."""

from dataclasses import asdict
from typing import Any

import pytest
from rich.console import Console

from bms.north.screen import picture, plain_line
from bms.protect.faults import FAULTS
from bms.protect.protection import ActiveFault
from bms.status import Status
from bms.tick_report import worst_first

HEALTHY: dict[str, Any] = asdict(
    Status(
        time_s=12.0, site="test", mode="running", rack_modes={"rack1": "closed"},
        grid_power_w=0.0, load_power_w=0.0, battery_power_w=0.0, requested_power_w=0.0, sent_power_w=0.0,
        clipped_by="", clip_reason="", soc_frac_min=0.5, soc_frac_mean=0.5, soc_frac_max=0.5, soc_sigma_frac_max=0.01,
        cell_voltage_v_min=3.3, cell_voltage_v_max=3.3, cell_temperature_degc_min=25.0, cell_temperature_degc_max=25.0,
        cells_bleeding=0, balance_reason="", charge_power_w_limit=1e3, discharge_power_w_limit=1e3,
        charge_reason="", discharge_reason="", faults=[], state_fault="",
        tick_ms_p50=1.0, tick_ms_p99=2.0, overruns=0, frames=0, frames_lost=0, transactions=0, transactions_lost=0,
    )
)  # fmt: skip


@pytest.mark.parametrize("what", ["state", "record"])
def test_what_is_not_saved_is_in_the_line_and_on_the_screen(what: str) -> None:
    broken = {**HEALTHY, f"{what}_fault": "disk: cannot be saved"}
    assert f"  faults -  {what} disk: cannot be saved  tick" in plain_line(broken)
    assert "cannot be saved" not in plain_line(HEALTHY)
    console = Console(width=100)
    with console.capture() as shown:
        console.print(picture(broken, 100))
    assert f"{what}: disk: cannot be saved" in shown.get()


@pytest.mark.parametrize(
    ("faults", "shown"),
    [
        ([], "-"),
        (["meter_lost (site: never heard)"], "meter_lost (site: never heard)"),
        (
            ["emergency_stop (site: pressed)", "meter_lost (site: never heard)", "rack_lost (rack-1: never heard)"],
            "3, worst emergency_stop (site: pressed), all: bms status",
        ),
    ],
    ids=len,
)
def test_line_says_how_many_faults_there_are_and_the_worst(faults: list[str], shown: str) -> None:
    assert f"  faults {shown}  tick p99" in plain_line({**HEALTHY, "faults": faults})


def test_what_opens_comes_before_what_stops_power_and_that_before_what_warns() -> None:
    ids = ["redundant_sensor_lost", "meter_lost", "rack_maintenance", "local_control", "emergency_stop"]
    shown = worst_first([ActiveFault(FAULTS[fault_id], "site", 0, "") for fault_id in ids])
    assert [fault.kind.id for fault in shown] == [
        "emergency_stop",
        "rack_maintenance",
        "meter_lost",
        "redundant_sensor_lost",
        "local_control",
    ]


@pytest.mark.parametrize(("power_w", "shown"), [(-20.0, "0.0 kW"), (-60.0, "-0.1 kW"), (float("nan"), "-")])
def test_a_power_that_is_nearly_none_has_no_sign(power_w: float, shown: str) -> None:
    assert f"  grid {shown}  load " in plain_line({**HEALTHY, "grid_power_w": power_w})
