"""Readings and sites as the tests of the controller's rooms need them: healthy by default, one thing changed each."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bms.image import Image
from bms.site import Site
from drivers.readings import (
    InverterRating,
    InverterReading,
    InverterState,
    MeterReading,
    MonitorHealth,
    RackReading,
)
from drivers.safety import InsulationState, MonitorAlarm, SafetyInputs

NOW_NS = 1_000_000_000_000
CELLS = 4
HEALTHY = SafetyInputs(
    at_ns=NOW_NS,
    interlock_closed=True,
    emergency_stop_released=True,
    smoke_detected=False,
    gas_detected=False,
    fire_panel_alarm=False,
    door_closed=True,
    fuse_intact=True,
    cooling_running=True,
    cooling_failed=False,
    fire_output_on=False,
    aux_supply_v=24.0,
    coolant_temperature_degc=22.0,
    precharge_temperature_degc=25.0,
    insulation_at_ns=NOW_NS,
    insulation_kohm=20_000.0,
    insulation_state=InsulationState.ACTIVE,
    alarms=MonitorAlarm(0),
)


@pytest.fixture
def site() -> Site:
    """Two racks of four cells, all limits at their defaults, no application."""
    racks = [
        {
            "name": name,
            "modules": 1,
            "cells_per_module": CELLS,
            "cell": "lfp-280ah",
            "can": {"interface": "socketcand", "channel": channel, "host": "127.0.0.1", "port": 29536},
            "contactor_break_current_a": 20.0,
        }
        for name, channel in (("rack1", "can0"), ("rack2", "can1"))
    ]
    device = {"host": "127.0.0.1", "port": 5020}
    return Site.model_validate({"name": "test", "racks": racks, "inverter": device, "grid_meter": device})


@pytest.fixture
def rack() -> Callable[..., RackReading]:
    """A healthy rack reading taken at NOW_NS; keyword arguments replace fields, `cells` maps cell -> voltage."""

    def make(
        cells: dict[int, float] | None = None, degc: dict[int, float] | None = None, **changes: Any
    ) -> RackReading:
        voltage_v, temperature_degc = np.full(CELLS, 3.3), np.full(CELLS, 25.0)
        for cell, value in (cells or {}).items():
            voltage_v[cell] = value
        for cell, value in (degc or {}).items():
            temperature_degc[cell] = value
        reading = RackReading(
            voltage_v=voltage_v,
            voltage_at_ns=np.full(CELLS, NOW_NS),
            temperature_degc=temperature_degc,
            temperature_at_ns=np.full(CELLS, NOW_NS),
            bleeding=np.zeros(CELLS, np.uint8),
            current_a=0.0,
            current_at_ns=NOW_NS,
            rack_voltage_v=13.2,
            link_voltage_v=13.2,
            main_closed=True,
            precharge_closed=False,
            command_age_s=0.1,
            io_at_ns=NOW_NS,
            health=MonitorHealth(0, 0, 0, 0, 0, 0),
            safety=HEALTHY,
        )
        return reading._replace(**changes)

    return make


@pytest.fixture
def image(rack: Callable[..., RackReading]) -> Callable[..., Image]:
    """A healthy image at NOW_NS of two racks, a running 500 kW converter and a meter; arguments replace fields."""

    def make(first: RackReading | None = None, second: RackReading | None = None, **changes: Any) -> Image:
        inverter = InverterReading(
            at_ns=NOW_NS,
            state=InverterState.RUNNING,
            ac_power_w=0.0,
            dc_power_w=0.0,
            dc_voltage_v=13.2,
            dc_current_a=0.0,
            frequency_hz=60.0,
            grid_connected=True,
            remote_control=True,
            alarm_bits=0,
        )
        second = second or rack()
        if second.safety is HEALTHY:  # one insulation monitor at one DC bus
            off = HEALTHY._replace(insulation_state=InsulationState.OFF, insulation_kohm=float("nan"))
            second = second._replace(safety=off)
        healthy = Image(
            at_ns=NOW_NS,
            racks=(first or rack(), second),
            inverter=inverter,
            rating=InverterRating(charge_power_w_max=500e3, discharge_power_w_max=500e3),
            meter=MeterReading(NOW_NS, 1e6, 60.0),
        )
        return replace(healthy, **changes)

    return make
