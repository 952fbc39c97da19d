"""What a broken site file is answered: every mistake, each on its own line, at its own place."""

from pathlib import Path

import pytest

import kernels
from bms.site import ConfigErrors, load_site
from bms.site.applications import APPLICATIONS

KINDS = f"one of {', '.join(map(repr, APPLICATIONS))}"
"""A list that grows with every application."""

GOOD = """\
name: demo
racks:
  - name: rack-1
    modules: 26
    cells_per_module: 16
    cell: lfp-280ah
    can: {interface: socketcand, channel: can0, host: 127.0.0.1, port: 29536}
    contactor_break_current_a: 50
  - name: rack-2
    modules: 26
    cells_per_module: 16
    cell: lfp-280ah
    can: {interface: socketcand, channel: can1, host: 127.0.0.1, port: 29536}
    contactor_break_current_a: 50
inverter: {host: 127.0.0.1, port: 5020}
grid_meter: {host: 127.0.0.1, port: 5021}
limits: {soc_frac_min: 0.1}
applications:
  - {kind: grid-smoothing, ramp_w_per_s_max: 2e4, grid_power_w_max: 1.25e6}
"""


def errors_of(folder: Path, content: str | bytes) -> list[str]:
    path = folder / "site.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigErrors) as caught:
        load_site(path)
    return str(caught.value).replace(f"{folder}/", "").split("\n")


def swap(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def test_right_file_has_no_errors(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(GOOD)
    assert load_site(tmp_path / "site.yaml").cells == 832


VALUES = [
    (
        "inverter: {host: 127.0.0.1,",
        "inverter: {host: 127.0.0.300,",
        "site.yaml:15:18: inverter.host: not in the right form (got '127.0.0.300'), expected a host name or address",
    ),
    (
        "port: 5020",
        "port: 12:30",
        "site.yaml:15:35: inverter.port: not a whole number (got '12:30'), expected a whole number from 1 to 65535",
    ),
    (
        "port: 5020",
        "port: 70000",
        "site.yaml:15:35: inverter.port: too large (got 70000), expected a whole number from 1 to 65535",
    ),
    (
        "port: 5020",
        "port: 5020.0",
        "site.yaml:15:35: inverter.port: not a whole number (got 5020.0), expected a whole number from 1 to 65535",
    ),
    (
        "port: 5020",
        "port: true",
        "site.yaml:15:35: inverter.port: not a whole number (got true), expected a whole number from 1 to 65535",
    ),
    (
        "port: 5020",
        "prot: 5020",
        "site.yaml:15:29: inverter.prot: unknown key (got 'prot'), expected 'port' perhaps",
    ),
    (
        "port: 5020",
        "zoo: 1",
        "site.yaml:15:29: inverter.zoo: unknown key (got 'zoo'), "
        "expected one of host, port, unit, tls, serial, driver, profile, poll_period_s, function, reversion_s, "
        "supply, boot_s_max, response_time_s",
    ),
    (
        "host: 127.0.0.1, port: 5020",
        "port: 5020",
        "site.yaml:15:1: inverter.host: missing (got nothing), expected a host name or address, or serial",
    ),
    (
        "soc_frac_min: 0.1",
        'soc_frac_min: "0.1"',
        "site.yaml:17:24: limits.soc_frac_min: not a number (got '0.1'), expected a number from 0 to 1",
    ),
    (
        "soc_frac_min: 0.1",
        "soc_frac_min: .nan",
        "site.yaml:17:24: limits.soc_frac_min: not a finite number (got nan), expected a number from 0 to 1",
    ),
    (
        "soc_frac_min: 0.1",
        "soc_frac_min:",
        "site.yaml:17:23: limits.soc_frac_min: not a number (got nothing), expected a number from 0 to 1",
    ),
    (
        "soc_frac_min: 0.1",
        "meter_age_s_max: -1",
        "site.yaml:17:27: limits.meter_age_s_max: too small (got -1), expected a number above 0 and at most 60, in s",
    ),
    (
        "grid_power_w_max: 1.25e6",
        "grid_power_w_max: 1e999",
        "site.yaml:19:69: applications.0.grid_power_w_max: not a finite number (got inf), "
        "expected a number above 0 and at most 1e+10, in W",
    ),
    (
        "kind: grid-smoothing",
        "kind: peak-shaving",
        f"site.yaml:19:12: applications.0.kind: unknown choice (got 'peak-shaving'), expected {KINDS}",
    ),
    (
        "kind: grid-smoothing, ",
        "",
        f"site.yaml:19:5: applications.0.kind: missing (got nothing), expected {KINDS}",
    ),
    (
        "limits: {soc_frac_min: 0.1}",
        "limits: 5",
        "site.yaml:17:9: limits: not a mapping (got 5), expected a mapping",
    ),
    (
        "name: demo",
        "name: Demo site",
        "site.yaml:1:7: name: not in the right form (got 'Demo site'), "
        "expected a name of at most 32 lower-case letters, digits and -",
    ),
    ("name: demo", "name: 7", "site.yaml:1:7: name: not text (got 7), "
     "expected a name of at most 32 lower-case letters, digits and -"),
    (
        "name: demo",
        "name: demo\nname: other",
        "site.yaml:2:1: name: duplicate key (got 'name' again), expected once; first on line 1",
    ),
    (
        "soc_frac_min: 0.1",
        "soc_frac_min: 0.1, soc_frac_min: 0.2",
        "site.yaml:17:29: limits.soc_frac_min: duplicate key (got 'soc_frac_min' again), "
        "expected once; first on line 17",
    ),
    (
        "  - name: rack-2\n    modules: 26",
        "  - name: rack-2\n    modules: 33",
        "site.yaml:10:14: racks.1.modules: too large (got 33), expected a whole number from 1 to 32",
    ),
    (
        "limits: {soc_frac_min: 0.1}",
        "safety: {fire_cooling: maybe}",
        "site.yaml:17:24: safety.fire_cooling: unknown choice (got 'maybe'), expected one of 'on', 'off'",
    ),
    (
        "    contactor_break_current_a: 50\n  - name: rack-2",
        "    contactor_break_current_a: 50\n    safety_inputs: [gaz]\n  - name: rack-2",
        "site.yaml:9:21: racks.0.safety_inputs.0: unknown choice (got 'gaz'), expected 'gas' perhaps",
    ),
    (
        "    contactor_break_current_a: 50\n  - name: rack-2",
        "    contactor_break_current_a: 50\n    safety_inputs: [noise]\n  - name: rack-2",
        "site.yaml:9:21: racks.0.safety_inputs.0: unknown choice (got 'noise'), expected one of 'insulation', "
        "'interlock', 'emergency-stop', 'smoke', 'gas', 'fire-panel', 'fire-output', 'door', 'fuse', 'cooling', "
        "'aux-supply', 'coolant-temperature', 'precharge-temperature', 'monitor-alarms'",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line"), VALUES, ids=[f"{new[:30]}" for _, new, _ in VALUES])
def test_wrong_value_or_key(tmp_path: Path, old: str, new: str, line: str) -> None:
    assert errors_of(tmp_path, swap(old, new)) == [line]


RELATIONS = [
    (
        "limits: {soc_frac_min: 0.1}",
        "battery_bus: {variant: sma, can: {interface: socketcan, channel: can9}}",
        "site.yaml:17:14: battery_bus: racks of 416 cells reach 1518 V, which the protocol cannot say (got 'a bus'), "
        "expected racks of at most 327.67 V",
    ),
    (
        "limits: {soc_frac_min: 0.1}",
        "safety: {insulation_ohm_per_v_fatal: 600}",
        "site.yaml:17:38: safety.insulation_ohm_per_v_fatal: not below insulation_ohm_per_v_warning, 500 by default "
        "(got 600.0), expected less than 500",
    ),
    (
        "limits: {soc_frac_min: 0.1}",
        "safety: {aux_supply_v_min_recommended: 19}",
        "site.yaml:17:40: safety.aux_supply_v_min_recommended: not above aux_supply_v_min, 19.2 by default "
        "(got 19.0), expected more than 19.2",
    ),
    (
        "limits: {soc_frac_min: 0.1}",
        "faults: [{id: smoke_detected, action: warn}]",
        "site.yaml:17:39: faults.0.action: too weak for smoke_detected, a maximum level (got 'warn'), "
        "expected open-all",
    ),
    (
        "    contactor_break_current_a: 50\n  - name: rack-2",
        "    contactor_break_current_a: 50\n    safety_inputs: [smoke, gas, smoke]\n  - name: rack-2",
        "site.yaml:9:33: racks.0.safety_inputs.2: same input as safety_inputs.0 (got 'smoke'), expected one of its own",
    ),
    (
        "soc_frac_min: 0.1",
        "cell_voltage_v_max: 3.4",
        "site.yaml:17:30: limits.cell_voltage_v_max: not above cell_voltage_v_max_recommended, 3.58 by default "
        "(got 3.4), expected more than 3.58",
    ),
    (
        "soc_frac_min: 0.1",
        "cell_voltage_v_min_operating: 3.6, cell_voltage_v_max_operating: 3.5",
        "site.yaml:17:40: limits.cell_voltage_v_min_operating: not below cell_voltage_v_max_operating, 3.5 (got 3.6), "
        "expected less than 3.5",
    ),
    (
        "limits: {soc_frac_min: 0.1}",
        "precharge: {circulating_current_a_max: 300}",
        "site.yaml:17:40: precharge.circulating_current_a_max: above limits.rack_charge_current_a_max, 280 by default "
        "(got 300.0), expected at most 280",
    ),
    (
        "soc_frac_min: 0.1",
        "rack_charge_current_a_max: 45, rack_discharge_current_a_max: 40",
        "site.yaml:17:71: limits.rack_discharge_current_a_max: below precharge.circulating_current_a_max, 50 by "
        "default (got 40.0), expected at least 50",
    ),
    (
        "soc_frac_min: 0.1",
        "charge_temperature_degc_min: -30",
        "site.yaml:17:39: limits.charge_temperature_degc_min: below discharge_temperature_degc_min, -25 by default "
        "(got -30.0), expected at least -25",
    ),
    (
        "soc_frac_min: 0.1",
        "soc_frac_min: 0.3",
        "site.yaml:17:24: limits.soc_frac_min: above applications.0.soc_frac_min, 0.2 by default (got 0.3), "
        "expected at most 0.2",
    ),
    (
        "grid_power_w_max: 1.25e6",
        "grid_power_w_max: 1.25e6, soc_frac_target: 0.95",
        "site.yaml:19:94: applications.0.soc_frac_target: not below soc_frac_max, 0.9 by default (got 0.95), "
        "expected less than 0.9",
    ),
    (
        "port: 5020",
        "reversion_s: 4",
        "site.yaml:15:42: inverter.reversion_s: not below the contactors' own watchdog: a dead gateway would open them "
        "under load (got 4), expected less than 4",
    ),
    (
        "port: 5020",
        "poll_period_s: 0.6",
        "site.yaml:15:44: inverter.poll_period_s: too slow to refresh reversion_s (got 0.6), expected at most 0.5",
    ),
    (
        "host: 127.0.0.1, port: 5020",
        "port: 5020",
        "site.yaml:15:1: inverter.host: missing (got nothing), expected a host name or address, or serial",
    ),
    (
        "port: 5020",
        "serial: {port: /dev/ttyS0}",
        "site.yaml:15:18: inverter.host: beside serial (got 'host'), expected one way to the device",
    ),
    (
        "host: 127.0.0.1, port: 5020",
        "serial: {port: /dev/ttyS0}, unit: 248",
        "site.yaml:15:46: inverter.unit: no unit of a serial line (got 248), expected 1 to 247",
    ),
    (
        "inverter: {host: 127.0.0.1, port: 5020}\ngrid_meter: {host: 127.0.0.1, port: 5021}",
        "inverter: {serial: {port: /dev/ttyS0}}\ngrid_meter: {serial: {port: /dev/ttyS0}}",
        "site.yaml:16:22: grid_meter.unit: same unit as inverter at one line (got 1), expected one of its own",
    ),
    (
        "inverter: {host: 127.0.0.1, port: 5020}\ngrid_meter: {host: 127.0.0.1, port: 5021}",
        "inverter: {serial: {port: /dev/ttyS0}}\ngrid_meter: {serial: {port: /dev/ttyS0, baudrate: 9600}, unit: 2}",
        "site.yaml:16:22: grid_meter.serial: set otherwise than in inverter (got 'a mapping'), "
        "expected the same baudrate, parity and stop bits",
    ),
    (
        "port: 5021",
        "poll_period_s: 0.5",
        "site.yaml:16:46: grid_meter.poll_period_s: not below limits.meter_age_s_max, 0.5 by default (got 0.5), "
        "expected less than 0.5",
    ),
    (
        "soc_frac_min: 0.1}",
        "soc_frac_min: 0.1}\ncontroller: {protect_period_s: 0.03}",
        "site.yaml:18:32: controller.control_period_s: not a whole multiple of protect_period_s (got 0.1), "
        "expected a multiple of 0.03",
    ),
    (
        "soc_frac_min: 0.1}",
        "soc_frac_min: 0.1}\nbalancing: {off_above_frac: 0.02}",
        "site.yaml:18:29: balancing.off_above_frac: not below on_above_frac, 0.005 by default (got 0.02), "
        "expected less than 0.005",
    ),
    (
        "name: rack-2",
        "name: rack-1",
        "site.yaml:9:11: racks.1.name: same name as racks.0 (got 'rack-1'), expected one of its own",
    ),
    (
        "channel: can1",
        "channel: can0",
        "site.yaml:13:43: racks.1.can.channel: same bus as racks.0 (got 'can0'), expected one of its own",
    ),
    (
        "  - name: rack-2\n    modules: 26",
        "  - name: rack-2\n    modules: 25",
        "site.yaml:10:14: racks.1.modules: 400 cells in series beside 416 in racks.0 on one DC bus (got 25), "
        "expected 416 cells",
    ),
    (
        "channel: can1, host: 127.0.0.1, ",
        "channel: can1, ",
        "site.yaml:13:5: racks.1.can.host: missing for socketcand (got nothing), "
        "expected the host of the socketcand server",
    ),
]


@pytest.mark.parametrize(("old", "new", "line"), RELATIONS, ids=[f"{new[-30:]}" for _, new, _ in RELATIONS])
def test_broken_relation(tmp_path: Path, old: str, new: str, line: str) -> None:
    assert errors_of(tmp_path, swap(old, new)) == [line]


def test_a_monitor_that_is_too_slow_for_protection_is_refused_until_the_limits_say_that_it_is_wanted(
    tmp_path: Path,
) -> None:
    slow = GOOD.replace("    cell: lfp-280ah\n", "    cell: lfp-280ah\n    monitor: foxbms\n", 1)
    ages = "cell_data_age_s_max: 5.2, temperature_age_s_max: 20, current_age_s_max: 0.3"
    text = slow.replace("limits: {soc_frac_min: 0.1}", f"limits: {{{ages}}}")
    assert errors_of(tmp_path, text) == [
        "site.yaml:18:31: limits.cell_data_age_s_max: racks.0 sends its values only every 10.4 s, too slow for "
        "protection (got 5.2), expected more than 10.4, if foxBMS 2 protects the cells by itself"
    ]
    (tmp_path / "site.yaml").write_text(text.replace("5.2", "11"))
    assert load_site(tmp_path / "site.yaml").racks[0].monitor == "foxbms"
    assert len(errors_of(tmp_path, slow)) == 3


def test_unknown_can_interface_names_those_that_exist(tmp_path: Path) -> None:
    text = swap("interface: socketcand, channel: can1", "interface: socketcam, channel: can1")
    (line,) = errors_of(tmp_path, text)
    assert line.startswith("site.yaml:13:22: racks.1.can.interface: python-can has no such interface (got 'socketcam')")
    assert "socketcan, socketcand, " in line


def test_unknown_cell_is_found_when_the_site_is_loaded(tmp_path: Path) -> None:
    text = swap("    cell: lfp-280ah\n    can: {interface: socketcand, channel: can1", "    cell: lfp-28ah\n"
                "    can: {interface: socketcand, channel: can1")  # fmt: skip
    assert errors_of(tmp_path, text) == [
        "site.yaml:12:11: racks.1.cell: lfp-28ah: no such cell file; shipped cells: lfp-280ah, lfp-314ah, "
        "lfp-314ah-20p, zinc-200ah (got 'lfp-28ah'), "
        "expected name or path of a cell's parameter file"
    ]


@pytest.mark.parametrize(
    ("cell", "limits", "expected"),
    [
        ("lfp", "nmc", "a cell of nmc, nca, lmo, or limits.chemistry lfp"),
        ("nmc", "lfp", "a cell of lfp, or limits.chemistry nmc"),
        ("nca", "lfp", "a cell of lfp, or limits.chemistry nmc"),
        ("lmo", "zinc", "a cell of zinc, or limits.chemistry nmc"),
        ("zinc", "lfp", "a cell of lfp, or limits.chemistry zinc"),
        ("lead", "lfp", "a cell of lfp"),
    ],
)
def test_cell_of_another_chemistry_than_the_limits_is_refused(
    tmp_path: Path, cell: str, limits: str, expected: str
) -> None:
    text = site_of_chemistries(tmp_path, cell, limits)
    assert errors_of(tmp_path, text) == [
        f"site.yaml:6:11: racks.0.cell: its chemistry does not fit the limits for {limits} (got '{cell}'), expected "
        f"{expected}"
    ]


@pytest.mark.parametrize(
    ("cell", "limits"), [("lfp", "lfp"), ("nmc", "nmc"), ("nca", "nmc"), ("lmo", "nmc"), ("zinc", "zinc")]
)
def test_cell_of_a_chemistry_that_keeps_the_limits_is_taken(tmp_path: Path, cell: str, limits: str) -> None:
    (tmp_path / "site.yaml").write_text(site_of_chemistries(tmp_path, cell, limits))
    assert load_site(tmp_path / "site.yaml").limits.chemistry == limits


def site_of_chemistries(folder: Path, cell: str, limits: str) -> str:
    lfp = (Path(kernels.__file__).parent / "cells" / "lfp-280ah.yaml").read_text()
    (folder / "mine.yaml").write_text(lfp.replace("chemistry: lfp", f"chemistry: {cell}"))
    text = GOOD.replace("cell: lfp-280ah", "cell: mine.yaml")
    text = text.replace("inverter:", "balancing: {voltage_v_min: 1.82}\ninverter:")
    return text.replace("limits: {soc_frac_min: 0.1}", f"limits: {{chemistry: {limits}}}")


def test_last_module_has_no_more_cells_than_the_others(tmp_path: Path) -> None:
    old = "    cells_per_module: 16\n    cell: lfp-280ah\n    can: {interface: socketcand, channel: can1"
    text = swap(old, old.replace("16\n", "16\n    last_module_cells: 11\n"))
    assert errors_of(tmp_path, text) == [
        "site.yaml:10:14: racks.1.modules: 411 cells in series beside 416 in racks.0 on one DC bus (got 26), "
        "expected 416 cells"
    ]
    too_many = text.replace("16\n    last_module_cells: 11", "10\n    last_module_cells: 11")
    assert errors_of(tmp_path, too_many)[1] == (
        "site.yaml:12:24: racks.1.last_module_cells: more than the others have (got 11), expected at most 10"
    )


def test_all_errors_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        GOOD.replace("name: demo", "name: on\nname: off")
        .replace("rack-2", "rack-1")
        .replace("host: 127.0.0.1, port: 5020", "prot: 5020, reversion_s: 5")
        .replace("soc_frac_min: 0.1", "soc_frac_max: yes, cell_voltage_v_min: 2.9")
        .replace("ramp_w_per_s_max: 2e4", "soc_frac_min: 0.6")
    )
    assert errors_of(tmp_path, text) == [
        "site.yaml:2:1: name: duplicate key (got 'name' again), expected once; first on line 1",
        "site.yaml:10:11: racks.1.name: same name as racks.0 (got 'rack-1'), expected one of its own",
        "site.yaml:16:1: inverter.host: missing (got nothing), expected a host name or address, or serial",
        "site.yaml:16:12: inverter.prot: unknown key (got 'prot'), expected 'port' perhaps",
        "site.yaml:16:37: inverter.reversion_s: not below the contactors' own watchdog: a dead gateway would open them "
        "under load (got 5), expected less than 4",
        "site.yaml:18:24: limits.soc_frac_max: not a number (got 'yes'), expected a number from 0 to 1",
        "site.yaml:18:49: limits.cell_voltage_v_min: not below cell_voltage_v_min_recommended, 2.65 by default "
        "(got 2.9), expected less than 2.65",
        "site.yaml:20:5: applications.0.ramp_w_per_s_max: missing (got nothing), "
        "expected a number above 0 and at most 1e+09, in W/s",
        "site.yaml:20:42: applications.0.soc_frac_min: not below soc_frac_target, 0.55 by default (got 0.6), "
        "expected less than 0.55",
    ]


def test_a_wrong_entry_does_not_count_as_a_missing_one(tmp_path: Path) -> None:
    second = GOOD.index("  - name: rack-2")
    text = GOOD[:second].replace("modules: 26", "modules: 0") + GOOD[GOOD.index("inverter:") :]
    assert errors_of(tmp_path, text) == [
        "site.yaml:4:14: racks.0.modules: too small (got 0), expected a whole number from 1 to 32"
    ]


def test_a_relation_with_a_wrong_value_is_not_judged(tmp_path: Path) -> None:
    text = swap("soc_frac_min: 0.1", "cell_voltage_v_max: high, cell_voltage_v_max_operating: 3.55")
    assert errors_of(tmp_path, text) == [
        "site.yaml:17:30: limits.cell_voltage_v_max: not a number (got 'high'), "
        "expected a number above 0 and at most 10, in V"
    ]


ISLAND = """\
island:
  frequency_hz_nominal: 60
  voltage_v_nominal: 400
  blocks: [{name: hall, bit: 0, power_w: 1e5}, {name: hall, bit: 1, power_w: 1e5}]
"""
INTERTIE = "intertie: {host: 127.0.0.1, profile: PROFILE}\n"


def test_island_and_intertie_stand_together(tmp_path: Path) -> None:
    assert errors_of(tmp_path, GOOD + ISLAND.replace("{name: hall, bit: 1", "{name: yard, bit: 1")) == [
        "site.yaml:21:3: intertie: missing beside island (got nothing), expected both or none"
    ]


def test_blocks_have_names_and_bits_of_their_own_and_the_intertie_is_a_switchgear(tmp_path: Path) -> None:
    assert errors_of(tmp_path, GOOD + ISLAND + INTERTIE.replace("PROFILE", "meter-input-f32")) == [
        "site.yaml:23:55: island.blocks.1.name: same name as blocks.0 (got 'hall'), expected one of its own",
        "site.yaml:24:38: intertie.profile: describes a device of kind meter (got 'meter-input-f32'), expected a "
        "profile of kind switchgear",
    ]


AUXILIARIES = """\
auxiliaries:
  - {name: panel, host: 127.0.0.1, profile: fire-panel}
  - {name: loops, host: 127.0.0.1, profile: io-block, racks: [rack-1]}
"""


def test_auxiliary_devices_are_right(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(GOOD + AUXILIARIES)
    assert [device.concerns("rack-2") for device in load_site(tmp_path / "site.yaml").auxiliaries] == [True, False]


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [
        ("name: loops", "name: panel",
         "site.yaml:22:12: auxiliaries.1.name: same name as auxiliaries.0 (got 'panel'), expected one of its own"),
        ("racks: [rack-1]", "racks: [rack-9]",
         "site.yaml:22:63: auxiliaries.1.racks.0: no such rack (got 'rack-9'), expected one of rack-1, rack-2"),
        ("profile: io-block", "profile: fire-panel",
         "site.yaml:22:45: auxiliaries.1.profile: smoke-detected of rack-1, which auxiliaries.0 says as well "
         "(got 'fire-panel'), expected one source"),
        ("profile: io-block", "profile: static-switch",
         "site.yaml:22:45: auxiliaries.1.profile: describes a device of kind switchgear (got 'static-switch'), "
         "expected a profile of kind auxiliary"),
        ("racks: [rack-1]", "poll_period_s: 2",
         "site.yaml:22:70: auxiliaries.1.poll_period_s: not below age_s_max, 1 by default (got 2.0), "
         "expected less than 1"),
        ("host: 127.0.0.1, profile: io-block, racks: [rack-1]",
         "serial: {port: /dev/ttyS0}, unit: 3, profile: io-block}\n"
         "  - {name: supply, serial: {port: /dev/ttyS0}, unit: 3, profile: dc-ups",
         "site.yaml:23:54: auxiliaries.2.unit: same unit as auxiliaries.1 at one line (got 3), expected one of its "
         "own"),
    ],
)  # fmt: skip
def test_wrong_auxiliary_device_is_named(tmp_path: Path, right: str, wrong: str, line: str) -> None:
    assert right in AUXILIARIES
    assert line in errors_of(tmp_path, GOOD + AUXILIARIES.replace(right, wrong))


BLOCK = "    contactor_block: {host: 10.0.0.31, profile: contactor-block}\n"
WITH_BLOCK = swap("  - name: rack-2\n", BLOCK + "  - name: rack-2\n")
FIXED = """\
name: fixed
says: a block whose watchdog has a time of its own, without precharge
kind: contactors
source: the test
registers:
  - {name: main-says, role: main-closed, address: 0, function: 2, type: bit, true_at: [1]}
  - {name: main, role: main-output, address: 0, function: 1, write: 5, type: bit, true_at: [1], false_at: [0]}
  - {name: beat, role: heartbeat, address: 4099, write: 6}
silence: {kind: heartbeat, period_s: 0.2, time_s: 1}
"""


def test_contactor_block_is_right(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(WITH_BLOCK)
    block = load_site(tmp_path / "site.yaml").racks[0].contactor_block
    assert block is not None
    assert (block.host, block.description.name) == ("10.0.0.31", "contactor-block")


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (WITH_BLOCK.replace("profile: contactor-block", "profile: io-block"),
         ["site.yaml:9:49: racks.0.contactor_block.profile: describes a device of kind auxiliary (got 'io-block'), "
          "expected a profile of kind contactors"]),
        (WITH_BLOCK.replace(BLOCK, BLOCK + "    contactors: rack\n"),
         ["site.yaml:9:22: racks.0.contactor_block: beside contactors: rack, which moves the contactors itself (got 'a "
          "mapping'), expected one who moves them"]),
        (WITH_BLOCK.replace("profile: contactor-block", "profile: fixed.yaml"),
         ["site.yaml:9:49: racks.0.contactor_block.profile: it opens after 1 s, before the converter is at 0 W: under "
          "load (got 'fixed'), expected more than 1",
          "site.yaml:9:49: racks.0.contactor_block.profile: no output precharges (got 'fixed'), expected one of role "
          "precharge-output"]),
    ],
)  # fmt: skip
def test_wrong_contactor_block_is_named(tmp_path: Path, content: str, lines: list[str]) -> None:
    (tmp_path / "fixed.yaml").write_text(FIXED)
    assert errors_of(tmp_path, content) == lines


def test_island_has_no_contactors_that_open_by_themselves(tmp_path: Path) -> None:
    (tmp_path / "fixed.yaml").write_text(FIXED.replace("time_s: 1", "time_s: 4"))
    fixed = WITH_BLOCK.replace("profile: contactor-block", "profile: fixed.yaml")
    content = fixed + ISLAND.replace("{name: hall, bit: 1", "{name: yard, bit: 1")
    content += INTERTIE.replace("PROFILE", "static-switch")
    assert (
        "site.yaml:9:49: racks.0.contactor_block.profile: its watchdog would black out the island of a dead gateway "
        "(got 'fixed'), expected one with a sequence hold"
    ) in errors_of(tmp_path, content)
    (tmp_path / "right.yaml").write_text(content.replace("fixed.yaml", "contactor-block"))
    assert load_site(tmp_path / "right.yaml").island is not None


ZINC = (
    GOOD.replace("limits: {soc_frac_min: 0.1}", "limits: {chemistry: zinc}")
    .replace("lfp-280ah", "zinc-200ah")
    .replace("inverter:", "balancing: {voltage_v_min: 1.82}\ninverter:")
)
STRIPS = [
    (
        GOOD + "  - {kind: strip}\n",
        "site.yaml:20:12: applications.1.kind: an empty cell of this chemistry is damaged (got 'strip'), "
        "expected no strip, or chemistry zinc",
    ),
    (
        ZINC + "  - {kind: strip, racks_out_max: 2}\n",
        "site.yaml:21:34: applications.1.racks_out_max: 2 racks, of which 1 must stay online (got 2), "
        "expected at most 1",
    ),
    (
        ZINC + "  - {kind: strip, interval_h: 40, duration_h: 12}\n",
        "site.yaml:21:47: applications.1.duration_h: 2 racks, 1 at once, take 24 h of an interval's end (got 12.0), "
        "expected at most 10",
    ),
    (
        ZINC + "  - {kind: strip, interval_h: 20}\n",
        "site.yaml:21:31: applications.1.duration_h: longer than what start_frac leaves of the interval (got 12.0), "
        "expected at most 10",
    ),
    (
        ZINC.replace("channel: can1, host: 127.0.0.1, port: 29536}", "channel: can1, host: 127.0.0.1, port: 29536}\n"
                     "    contactors: rack") + "  - {kind: strip}\n",
        "site.yaml:22:12: applications.1.kind: an empty rack is refilled through its own precharge contactor, by the "
        "gateway's command (got 'strip'), expected precharge by rack, contactors of the gateway",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("content", "line"), STRIPS)
def test_strip_that_these_racks_cannot_follow_is_refused(tmp_path: Path, content: str, line: str) -> None:
    assert errors_of(tmp_path, content) == [line]


def test_strip_that_they_can_follow_is_taken(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(ZINC + "  - {kind: strip}\n")
    assert load_site(tmp_path / "site.yaml").applications[1].kind == "strip"


HOME = """\
name: home
racks:
  - name: rack-1
    modules: 1
    cells_per_module: 16
    cell: lfp-280ah
    monitor: low-voltage
    low_voltage: {variant: pylontech}
    can: {interface: socketcand, channel: can0, host: 127.0.0.1, port: 29536}
    contactor_break_current_a: 50
    safety_inputs: []
inverter: {host: 127.0.0.1, port: 5020}
grid_meter: {host: 127.0.0.1, port: 5021}
limits: {cell_data_age_s_max: 3, temperature_age_s_max: 3, current_age_s_max: 3}
"""


@pytest.mark.parametrize(
    ("right", "wrong", "lines"),
    [
        ("    low_voltage: {variant: pylontech}\n", "",
         ["site.yaml:7:14: racks.0.low_voltage: missing for this monitor (got nothing), expected the variant of its "
          "maker"]),
        ("    monitor: low-voltage\n", "",
         ["site.yaml:7:18: racks.0.low_voltage: not for a native monitor (got 'a mapping'), expected nothing, or "
          "monitor: low-voltage"]),
        ("    safety_inputs: []\n", "",
         ["site.yaml:7:14: racks.0.safety_inputs: such a battery has none (got '14 inputs'), expected an empty list"]),
        ("current_age_s_max: 3", "current_age_s_max: 0.5",
         ["site.yaml:14:79: limits.current_age_s_max: racks.0 sends its values only every 1 s, too slow for protection "
          "(got 0.5), expected more than 1, if the battery protects the cells by itself"]),
    ],
)  # fmt: skip
def test_wrong_battery_with_a_management_of_its_own_is_named(
    tmp_path: Path, right: str, wrong: str, lines: list[str]
) -> None:
    (tmp_path / "right.yaml").write_text(HOME)
    assert load_site(tmp_path / "right.yaml").racks[0].cells == 16
    assert right in HOME
    assert errors_of(tmp_path, HOME.replace(right, wrong)) == lines


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "255.255.255.255", "localhost", "pcs-1", "pcs.site-7.example", "10-0-0-5.example", "3com", "a.b.",
     "gw_1", "::1", "fe80::1", "2001:db8:0:1:2:3:4:5", "::ffff:10.0.0.1"],
)  # fmt: skip
def test_host_names_and_addresses_are_taken(tmp_path: Path, host: str) -> None:
    (tmp_path / "site.yaml").write_text(swap("inverter: {host: 127.0.0.1", f'inverter: {{host: "{host}"'))
    assert load_site(tmp_path / "site.yaml").inverter.host == host


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.256",
        "10.0.0",
        "10.0.0.1.1",
        "010.0.0.1",
        "1",
        "site.7",
        "10.0.0.5:502",
        "pcs:502",
        "pcs..site",
        ".",
        "a b",
        "",
    ],
)
def test_what_looks_like_an_address_and_is_none_is_refused(tmp_path: Path, host: str) -> None:
    (said,) = errors_of(tmp_path, swap("inverter: {host: 127.0.0.1", f'inverter: {{host: "{host}"'))
    assert said.startswith("site.yaml:15:18: inverter.host: ")
    assert said.endswith(f"(got {host!r}), expected a host name or address")
