"""The deployed controller killed at any moment and started again: SoC, latched faults and counters are still there."""

import json
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bms.state.files import StateFiles
from tests.e2e.processes import BMS, Process, Rig, saved, wait_for_power, wait_until

SEED = 20260701


def test_input_that_is_told_moves_the_battery_until_it_ends(
    rig: Callable[..., Rig], run: Callable[..., Process], files: StateFiles, tmp_path: Path
) -> None:
    served = rig()
    site = tmp_path / "site.yaml"
    told = "applications: [{kind: remote-power, charge_power_w_max: 100e+3, discharge_power_w_max: 100e+3}]"
    site.write_text(re.sub(r"applications:\n(?:[ -].*\n)+", told + "\n", site.read_text()))
    controller = run()
    controller.until("running")
    late = {"set": [["power_w", 40e3, 60.0]], "asked_s": time.monotonic() - 10.5}
    files.request.write_text(json.dumps(late))
    controller.until(r"asked for 1\d s ago, too late to be done: .*power_w")
    words = [*BMS, "set", "inputs.power_w=-80e3", "--site", str(site), "--for"]
    at_once = [subprocess.Popen([*words, for_s]) for for_s in ("4", "3.9", "3.8")]
    assert [each.wait(timeout=60) for each in at_once] == [0, 0, 0]
    wait_until(lambda: served.battery_w() < -79e3)
    wait_until(lambda: abs(served.battery_w()) < 1e3)
    assert controller.end(signal.SIGINT) == 0
    events = [json.loads(line) for line in files.events.read_bytes().splitlines()]
    assert sorted((each["input"], each["value"], each["for_s"]) for each in events if each["event"] == "set") == [
        ("power_w", -80e3, for_s) for for_s in (3.8, 3.9, 4.0)
    ]


def soc_pct(line: str) -> list[float]:
    found = re.search(r"SoC ([\d.]+)/([\d.]+)/([\d.]+) %", line)
    assert found is not None, line
    return [float(number) for number in found.groups()]


def reset(tmp_path: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [*BMS, "reset", str(tmp_path / "site.yaml"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def status(tmp_path: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [*BMS, "status", str(tmp_path / "site.yaml"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_kills_at_random_moments_lose_nothing(rig: Callable[..., Rig], run: Callable[..., Process],
                                              files: StateFiles) -> None:  # fmt: skip
    chance, plant = random.Random(SEED), rig()
    before, throughput_ah, closings = None, 0.0, 0
    for number in range(1, 5):
        controller = run()
        now = soc_pct(controller.until(r" SoC \d"))  # the first word: later ones are what it has learnt since
        if number in (1, 4):
            controller.until(r"  running ")
        assert before is None or max(abs(a - b) for a, b in zip(now, before, strict=True)) <= 0.5, f"seed {SEED}"
        if number == 1:
            wait_for_power(plant)
        time.sleep(chance.uniform(0.0, 4.0))
        controller.kill()
        before = soc_pct([line for line in controller.lines if " SoC " in line][-1])
        state = saved(files)
        rack = state.racks["rack-1"]
        assert state.starts == number
        assert rack.charged_ah + rack.discharged_ah >= throughput_ah > -1.0
        assert rack.contactor_closings >= closings
        throughput_ah, closings = rack.charged_ah + rack.discharged_ah, rack.contactor_closings
    assert closings >= 2
    assert throughput_ah > 0.0


def test_latched_fault_survives_kills_until_reset(
    rig: Callable[..., Rig], run: Callable[..., Process], files: StateFiles, tmp_path: Path
) -> None:
    plant = rig("--fault", "cell-overvoltage@12:rack-1/17:3.8")
    controller = run()
    controller.until("^TRIP cell_voltage_high ")
    command = rf"bms reset {tmp_path}/site\.yaml cell_voltage_high --target rack-1$"
    controller.until(rf"^  reset: \S*{command}")
    controller.kill()
    wait_until(lambda: [fault.id for fault in saved(files).latched] == ["cell_voltage_high"])
    controller = run()
    controller.until("^state: latched until `bms reset`: cell_voltage_high ")
    controller.until(rf"^  reset: \S*{command}")
    controller.until(r"  running .* cell_voltage_high \(rack-1: ")

    said = status(tmp_path, "--json")
    document = json.loads(said.stdout)
    assert (said.returncode, document["running"], document["ok"]) == (1, True, False)
    assert document["tick_age_s"] < 1.0
    assert document["status"]["mode"] == "running"
    (fault,) = [each for each in document["faults"] if each["latched"]]
    assert re.search(rf"^\S*{command}", fault["reset"])
    assert fault["do"]
    picture = status(tmp_path).stdout
    for words in ("RUNNING", "rack-2 online", "may charge", "tick p50", fault["reset"]):
        assert words in picture

    assert reset(tmp_path, "cell_voltage_low").returncode == 2
    again = reset(tmp_path, "all", "--json")
    assert again.returncode == 1, again.stderr
    document = json.loads(again.stdout)
    assert [document[key][0]["id"] for key in ("reset", "again")] == ["cell_voltage_high"] * 2
    controller.kill()
    plant.kill()

    rig()
    offline = reset(tmp_path, "cell_voltage_high", "--target", "rack-1")
    assert (offline.returncode, offline.stderr) == (0, "")
    assert "its next start finds it so" in offline.stdout
    assert saved(files).trips["cell_voltage_high"] == 2
    controller = run()
    controller.until(r"  running ")
    events = [json.loads(line) for line in files.events.read_bytes().splitlines()]
    assert [event["event"] for event in events if event.get("fault") == "cell_voltage_high"] == [
        "tripped",
        "reset",
        "tripped",
        "reset",
    ]
    assert [event["starts"] for event in events if event["event"] == "started"] == [1, 2, 3]


def test_reset_of_a_running_controller_lets_it_join(
    rig: Callable[..., Rig], run: Callable[..., Process], files: StateFiles, tmp_path: Path
) -> None:
    rig()
    files.current.write_bytes(b'{"version": 1, "site": "demo", "latched": [], "sha')
    controller = run()
    controller.until(r"^state: .*demo\.state\.json: refused: no JSON, or cut short")
    controller.until("^TRIP state_lost ")
    for _ in range(3):
        assert " fault " in controller.until(r" SoC \d")
    done = reset(tmp_path, "state_lost")
    assert (done.returncode, done.stderr) == (0, "")
    controller.until(r"^RESET state_lost \(state\)$")
    controller.until(r"  running ")
    assert controller.end(signal.SIGINT) == 1
    assert saved(files).latched == ()


def test_second_controller_of_a_site_is_refused(rig: Callable[..., Rig], run: Callable[..., Process]) -> None:
    rig()
    run().until(r" SoC \d")
    second = run()
    assert second.status() == 2
    assert second.lines[-1].endswith("another controller keeps the state of this site there")
