"""Profiles as files: the shipped ones are right, and every mistake in one is named with its place, all at once."""

from pathlib import Path

import pytest

from bms.cli import main
from drivers.config.config_yaml import ConfigErrors, parse_strict
from drivers.config.shipped import UnknownNameError, shipped
from drivers.profiles import Profile, find_profile, shipped_profiles

FOLDER = Path(__file__).parents[2] / "drivers" / "profiles"
RIGHT = """\
name: tiny-pcs
says: the smallest converter
kind: inverter
source: a test
registers:
  - {name: state, role: state, address: 0, states: {off: [0], running: [1]}}
  - {name: power, role: ac-power, address: 1, type: s16, unit: kW, positive: discharge}
  - {name: wish, role: set-point, address: 10, write: 6, type: s16, unit: kW, positive: discharge}
  - {name: run, role: command, address: 11, write: 6}
limits: {charge_power_w_max: 50000, discharge_power_w_max: 50000}
silence: {kind: keeps-on}
start: [{to: run, raw: 1}]
stop: [{to: run, raw: 0}]
"""
STATE, POWER, WISH, RUN = RIGHT.splitlines()[5:9]


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as errors:
        parse_strict(text, Profile, file="p.yaml", folder=Path())
    return str(errors.value).splitlines()


def test_shipped_profiles_are_right_and_named_like_their_files() -> None:
    assert [profile.name for profile in shipped_profiles()] == [
        "contactor-block", "cooling-unit", "dc-ups", "fire-panel", "io-block",
        "meter-input-f32", "pcs-holding-s32", "pcs-input-f32", "static-switch",
    ]  # fmt: skip


def test_broken_shipped_profile_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(RIGHT.replace("tiny-pcs", "good"))
    (tmp_path / "other.yaml").write_text(RIGHT.replace("kind: inverter", "kind: toaster"))
    with pytest.raises(ConfigErrors, match=r"other\.yaml:3:7: kind: unknown choice \(got 'toaster'\)"):
        shipped(tmp_path, Profile)


def test_unknown_name_is_answered_with_a_near_one() -> None:
    with pytest.raises(UnknownNameError, match=r"no profile named 'pcs-holding-s23': did you mean pcs-holding-s32\?"):
        find_profile("pcs-holding-s23")


def test_smallest_profile_is_right() -> None:
    assert parse_strict(RIGHT, Profile, file="p.yaml", folder=Path()).name == "tiny-pcs"


WRONG = [
    (POWER, "", "p.yaml:6:3: registers: no register has role ac-power (got 'none'), expected one with role ac-power"),
    (
        "address: 1,",
        "address: 0,",
        "p.yaml:7:44: registers.1.address: overlaps state (registers.0) (got 0), expected at least 1",
    ),
    (
        "name: power",
        "name: state",
        "p.yaml:7:12: registers.1.name: same name as registers.0 (got 'state'), expected one of its own",
    ),
    (
        "role: command",
        "role: state, states: {off: [0], running: [1]}",
        "p.yaml:9:23: registers.3.role: same role as registers.0 (got 'state'), expected one of its own",
    ),
    (
        "type: s16, unit: kW, positive: discharge}\n  - {name: wish",
        "type: s16, unit: V, positive: discharge}\n  - {name: wish",
        "p.yaml:7:64: registers.1.unit: does not fit role ac-power (got 'V'), expected one of W, kW, MW",
    ),
    (
        "unit: kW, positive: discharge}\n  - {name: wish",
        "unit: kW}\n  - {name: wish",
        "p.yaml:7:25: registers.1.positive: missing for role ac-power (got nothing), "
        "expected the direction of positive values",
    ),
    (
        "positive: discharge}\n  - {name: wish",
        "positive: import}\n  - {name: wish",
        "p.yaml:7:78: registers.1.positive: no direction of an inverter (got 'import'), expected discharge or charge",
    ),
    (
        "address: 10, write: 6",
        "address: 10",
        "p.yaml:8:24: registers.2.write: missing for role set-point (got nothing), expected 6, 16, 5 or 15",
    ),
    (
        "write: 6, type: s16",
        "write: 6, type: s32",
        "p.yaml:8:55: registers.2.write: writes one register, s32 has two (got 6), expected 16",
    ),
    (
        "address: 11, write: 6",
        "address: 11, function: 4, write: 6",
        "p.yaml:9:65: registers.3.write: inputs cannot be written (got 6), expected function 3, 1 or 0",
    ),
    (
        "off: [0], running: [1]",
        "off: [0, 1], running: [1]",
        "p.yaml:6:76: registers.0.states.running.0: also means off (got 1), expected a value of one state only",
    ),
    (
        "off: [0], running: [1]",
        "running: [1]",
        "p.yaml:6:52: registers.0.states: no value means that it has stopped (got 'no value'), "
        "expected off: [...] or standby: [...]",
    ),
    (
        "running: [1]",
        "running: [70000]",
        "p.yaml:6:73: registers.0.states.running.0: does not fit u16 (got 70000), expected a value of u16",
    ),
    (
        ", states: {off: [0], running: [1]}",
        "",
        "p.yaml:6:25: registers.0.states: missing for role state (got nothing), "
         "expected which raw values mean which state",
    ),
    (
        "write: 6, type: s16",
        "write: 6, at_least: 1, type: s16",
        "p.yaml:8:68: registers.2.at_least: 0 W could not be told (got 1.0), expected at most 0",
    ),
    (
        RUN,
        RUN + "\n  - {name: q, role: reactive-power, address: 12, unit: var, positive: discharge}",
        "p.yaml:10:71: registers.4.positive: no direction of reactive power (got 'discharge'), "
        "expected injected or absorbed",
    ),
    (
        RUN,
        RUN + "\n  - {name: q, role: reactive-set-point, address: 12, write: 6, at_least: 1, unit: var}",
        "p.yaml:10:74: registers.4.at_least: 0 var could not be told (got 1.0), expected at most 0",
    ),
    (
        RUN,
        RUN + "\n  - {name: s, role: apparent-power-max, address: 12, unit: kVA}",
        "p.yaml:11:9: limits: registers say it as well (got 'limits'), expected one of both",
    ),
    ("start: [{to: run", "start: [{to: walk", "p.yaml:12:14: start.0.to: no such command (got 'walk'), "
     "expected one of run"),
    ("{to: run, raw: 1}", "{to: run, raw: -1}", "p.yaml:12:24: start.0.raw: does not fit u16 (got -1), "
     "expected a value of u16"),
    ("stop: [{to: run, raw: 0}]\n", "", "p.yaml:3:7: stop: missing for an inverter (got nothing), "
     "expected the writes that stop it"),
    (
        "silence: {kind: keeps-on}\n",
        "",
        "p.yaml:3:7: silence: missing for an inverter (got nothing), expected kind timer, heartbeat or keeps-on",
    ),
    (
        "kind: keeps-on",
        "kind: timer",
        "p.yaml:11:17: silence.kind: no register has role reversion-time (got 'timer'), "
         "expected one with role reversion-time",
    ),
    (
        "kind: keeps-on",
        "kind: heartbeat, period_s: 2, time_s: 3",
        "p.yaml:11:38: silence.period_s: one lost count stops the device (got 2.0), "
         "expected at most 1.5, half of time_s",
    ),
    (
        RUN,
        RUN + "\n  - {name: alive, role: heartbeat, address: 12, write: 6}",
        "p.yaml:10:25: registers.4.role: silence is of kind keeps-on (got 'heartbeat'), "
         "expected silence of kind heartbeat",
    ),
    (
        "limits: {charge_power_w_max: 50000, discharge_power_w_max: 50000}\n",
        "",
        "p.yaml:3:7: limits: missing, and no register says it (got nothing), "
        "expected both limits, or registers with roles charge-power-max and discharge-power-max",
    ),
    ("kind: inverter", "kind: meter", "p.yaml:6:25: registers.0.role: not a role of a meter (got 'state'), "
     "expected one of ac-power, frequency, voltage"),
    ("address: 11", "address: 65536", "p.yaml:9:41: registers.3.address: too large (got 65536), "
     "expected a whole number from 0 to 65535"),
    ("role: command", "role: comand",
     "p.yaml:9:23: registers.3.role: unknown choice (got 'comand'), expected 'command' perhaps"),
    ("role: command", "role: yes", "p.yaml:9:23: registers.3.role: unknown choice (got 'yes'), expected one of "
     "'ac-power', 'reactive-power', 'ac-voltage', 'dc-power', 'dc-voltage', 'dc-current', 'frequency', 'voltage', "
     "'state', 'alarms', 'grid-connected', 'remote-control', 'charge-power-max', 'discharge-power-max', "
     "'apparent-power-max', 'reactive-injected-max', 'reactive-absorbed-max', 'set-point', 'reactive-set-point', "
     "'command', 'heartbeat', 'reversion-time', 'loop-enable', 'loop-filter-time', 'loop-ramp', 'loop-gain', "
     "'loop-charge-power-max', 'loop-discharge-power-max', 'intertie-closed', 'sync-ok', 'grid-voltage', "
     "'grid-frequency', 'site-voltage', 'site-frequency', 'phase-angle', 'blocks-closed', 'blocks-command', "
     "'sync-command', 'interlock-closed', 'emergency-stop-released', 'smoke-detected', 'gas-detected', "
     "'fire-panel-alarm', 'fire-output-on', 'door-closed', 'fuse-intact', 'cooling-running', 'cooling-failed', "
     "'coolant-temperature', 'precharge-temperature', 'supply-voltage', 'supply-on-battery', 'supply-charge', "
     "'fire-output', 'cooling-output', 'main-closed', 'precharge-closed', 'main-output', 'precharge-output'"),
]  # fmt: skip


AUXILIARY = """\
name: panel
says: a fire panel
kind: auxiliary
source: a test
registers:
  - {name: smoke, role: smoke-detected, address: 0, mask: 0x08FF, absent: 0x00FF, false_at: [0]}
  - {name: alarm, role: fire-output, address: 1, write: 6, true_at: [1], false_at: [0]}
"""
WRONG_AUXILIARY = [
    ("role: smoke-detected", "role: fire-output",
     "p.yaml:6:3: registers: it says nothing (got 'none'), expected one of interlock-closed, emergency-stop-released, "
     "smoke-detected, gas-detected, fire-panel-alarm, fire-output-on, door-closed, fuse-intact, cooling-running, "
     "cooling-failed, coolant-temperature, precharge-temperature, supply-voltage, supply-on-battery, supply-charge"),
    (", false_at: [0]}\n  - {name: alarm", "}\n  - {name: alarm",
     "p.yaml:6:25: registers.0.true_at: missing for role smoke-detected (got nothing), expected raw values that mean "
     "yes, or false_at"),
    ("true_at: [1], false_at: [0]", "true_at: [1]",
     "p.yaml:7:25: registers.1.false_at: missing for role fire-output (got nothing), expected the raw value to write"),
    ("true_at: [1], false_at: [0]", "true_at: [1], false_at: [1]",
     "p.yaml:7:85: registers.1.false_at.0: also means yes (got 1), expected a value of one meaning"),
    ("false_at: [0]}\n  - {name: alarm", "false_at: [0x1000]}\n  - {name: alarm",
     "p.yaml:6:94: registers.0.false_at.0: has bits outside the mask (got 4096), expected bits of the mask only"),
    ("address: 0, mask", "address: 0, write: 6, mask",
     "p.yaml:6:69: registers.0.mask: a write would change the other bits (got 2303), expected nothing"),
    ("source: a test", "source: a test\nsilence: {kind: keeps-on}",
     "p.yaml:5:10: silence: an auxiliary device has none (got 'silence'), expected nothing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("right", "wrong", "line"), WRONG_AUXILIARY, ids=[line.split("(got")[0] for _, _, line in WRONG_AUXILIARY]
)
def test_mistake_in_an_auxiliary_device_is_named_too(right: str, wrong: str, line: str) -> None:
    assert parse_strict(AUXILIARY, Profile, file="p.yaml", folder=Path()).name == "panel"
    assert right in AUXILIARY
    assert line in mistakes(AUXILIARY.replace(right, wrong))


@pytest.mark.parametrize(("right", "wrong", "line"), WRONG, ids=[line.split("(got")[0] for _, _, line in WRONG])
def test_mistake_is_named_with_its_place_and_what_was_expected(right: str, wrong: str, line: str) -> None:
    assert right in RIGHT
    assert line in mistakes(RIGHT.replace(right, wrong))


def test_all_mistakes_come_at_once() -> None:
    text = RIGHT.replace("address: 1,", "address: 0,").replace("raw: 1}]", "raw: -1}]").replace("says: the", "says: ")
    assert len(mistakes(text.replace("source: a test\n", ""))) == 3


def test_profile_check_shows_the_reads_of_a_right_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(RIGHT)
    assert main(["profile", "check", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: fine (inverter tiny-pcs: 4 registers)",
        "  each poll: function 3 0..1",
        "  each connection: nothing to read",
        "  read back: function 3 10..10",
        "  WARNING: in silence it keeps its last set-point for ever; a dead controller does not stop it",
    ]


def test_profile_check_of_a_wrong_one_ends_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(RIGHT.replace("kind: inverter", "kind: toaster"))
    assert main(["profile", "check", str(path)]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == (
        "",
        f"{path}:3:7: kind: unknown choice (got 'toaster'), expected one of 'inverter', 'meter', 'switchgear', "
        "'auxiliary', 'contactors'\n",
    )
