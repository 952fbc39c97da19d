"""What cools a rack's cells, and a converter's power stage, that an FMU computes."""

from pathlib import Path

import numpy as np
import pytest

from drivers.config.config_yaml import ConfigErrors, parse_strict
from hil_rigs.cli import main
from hil_rigs.plant.build import build_plant
from hil_rigs.plant.converter import ConverterParameters, ConverterPlant
from hil_rigs.plant.fmu_coolant import FmuCoolant
from hil_rigs.plant.fmu_stage import FmuStage
from hil_rigs.plant.load_file import LoadFileError
from hil_rigs.rig import RigFile
from hil_rigs.rig_plant import plant_config
from tests.hil.test_fmu_load import SOURCE, built_of, needs_fmpy

INPUTS = (
    "heat_w", "ambient_degc", "cooling_works",
    "power_set_w", "reactive_set_var", "running", "dc_voltage_v", "grid_voltage_pu", "grid_frequency_hz",
)  # fmt: skip
OUTPUTS = ("coolant_degc", "power_w", "reactive_var", "loss_w")
HEADER = """
#include "fmi2Functions.h"
static double in[9], out[4], time_s;
fmi2Component fmi2Instantiate(fmi2String n, fmi2Type t, fmi2String g, fmi2String r, const fmi2CallbackFunctions *f,
                              fmi2Boolean v, fmi2Boolean l)
    { out[0] = START; out[1] = out[2] = out[3] = time_s = 0; return &time_s; }
"""
STEP = """
fmi2Status fmi2GetReal(fmi2Component c, const fmi2ValueReference vr[], size_t n, fmi2Real value[])
    { for (size_t i = 0; i < n; i++) value[i] = out[vr[i] - 9]; return fmi2OK; }
fmi2Status fmi2SetReal(fmi2Component c, const fmi2ValueReference vr[], size_t n, const fmi2Real value[])
    { for (size_t i = 0; i < n; i++) in[vr[i]] = value[i]; return fmi2OK; }
fmi2Status fmi2DoStep(fmi2Component c, fmi2Real at, fmi2Real step, fmi2Boolean b)
    { out[0] += step * (in[0] - (in[2] ? 1000 * (out[0] - in[1]) : 0)) / 10000;
      double change = in[5] ? (in[3] - out[1]) : -out[1], most = 1e6 * step;
      out[1] += in[5] ? (change > most ? most : change < -most ? -most : change) : change;
      out[2] = in[4]; out[3] = in[5] ? 1000 + (out[1] < 0 ? -0.03 : 0.03) * out[1] : 0;
      return fmi2OK; }
"""
"""A coolant of 10 kJ/K that the cooling ties to the ambient with 1 kW/K; a power stage that moves by 1 MW/s, gives the
reactive power at once, and loses 1 kW and 3 %."""
SAME = SOURCE[SOURCE.index("void fmi2FreeInstance") : SOURCE.index("fmi2Status fmi2GetReal")].replace("INIT", "fmi2OK")

RIG = """
name: modelled
says: coolant and power stage are FMUs
load: {kind: constant, rated_power_w: 10000}
plant: {racks: 1, modules_per_rack: 1, cells_per_module: 16, cell: lfp-280ah, soc_frac: 0.5, ambient_degc: 25,
        contactor_break_current_a: 50, inverter_power_w: 10000, inverter_standby_w: 20,
        coolant: {kind: fmu, path: plant.fmu}, inverter_stage: {kind: fmu, path: plant.fmu}}
"""


def built(folder: Path, start_degc: float = 20.0) -> Path:
    source = HEADER.replace("START", str(start_degc)) + SAME + STEP
    return built_of(folder, "plant", source, INPUTS, OUTPUTS)


def running(path: Path) -> ConverterPlant:
    link = ConverterParameters(500e3, 1131.0, 1040.0, 1570.0, dc_current_a_max=455.0)
    converter = ConverterPlant(link)
    converter.stage = FmuStage(path, 500e3)
    converter.settle(1373.0, 0.0)
    converter.start()
    for _ in range(100):
        converter.step(0.01)
    assert converter.state == "running"
    return converter


@needs_fmpy
def test_coolant_takes_the_cells_heat_and_the_cooling_takes_the_coolants(tmp_path: Path) -> None:
    """16 cells of 30 degC give 1.5 W/K each: 240 W at 20 degC, into 10 kJ/K."""
    coolant = FmuCoolant(built(tmp_path), in_parallel=1)
    cells_degc = np.full(16, 30.0)
    coolant.works = False
    assert coolant.step(cells_degc, 18.0, 10.0) == pytest.approx(20.24)
    assert coolant.rise_k == pytest.approx(2.24)
    coolant.works = True
    assert coolant.step(cells_degc, 18.0, 1.0) == pytest.approx(20.24 + (234.24 - 2240.0) / 10000.0)


@needs_fmpy
def test_cells_in_parallel_give_as_much_more_heat(tmp_path: Path) -> None:
    coolant = FmuCoolant(built(tmp_path), in_parallel=5)
    coolant.works = False
    assert coolant.step(np.full(16, 30.0), 18.0, 1.0) == pytest.approx(20.12)


@needs_fmpy
def test_power_follows_as_the_stage_says_and_takes_its_losses_from_the_link(tmp_path: Path) -> None:
    converter = running(built(tmp_path))
    converter.set_power(100e3)
    converter.set_reactive(-20e3)
    converter.step(0.01)
    assert (converter.ac_power_w, converter.reactive_var) == (pytest.approx(10e3), -20e3)
    assert converter.dc_power_w == pytest.approx(10e3 + 1000.0 + 300.0)
    converter.set_power(-100e3)
    for _ in range(20):
        converter.step(0.01)
    assert converter.ac_power_w == pytest.approx(-100e3)
    assert converter.dc_power_w == pytest.approx(-100e3 + 1000.0 + 3000.0)
    converter.stop()
    converter.step(0.01)
    assert (converter.ac_power_w, converter.dc_power_w, converter.reactive_var) == (0.0, 0.0, 0.0)


@needs_fmpy
def test_converter_keeps_its_own_limits_whatever_the_stage_says(tmp_path: Path) -> None:
    converter = running(built(tmp_path))
    converter.set_power(500e3)
    converter.settle(1050.0, 0.0)
    for _ in range(100):
        converter.step(0.01)
    assert converter.ac_power_w == pytest.approx((455.0 * 1050.0 - 1500.0) * 0.985)


@needs_fmpy
def test_a_rig_runs_with_both_and_accounts_for_all_energy(tmp_path: Path) -> None:
    built(tmp_path)
    (tmp_path / "modelled.yaml").write_text(RIG)
    (tmp_path / "steady.yaml").write_text(
        f"name: steady\nsays: both are FMUs\nrig: {tmp_path}/modelled.yaml\nduration_s: 7\n"
        "applications: [{kind: remote-power, charge_power_w_max: 10000, discharge_power_w_max: 10000}]\n"
        "tell: [{at_s: 4, name: power_w, value: -8000, for_s: 5}]\n"
        "expect: {no_faults: true, invariants: true, checks: ['at the end: battery_power_w < -2.6 kW']}\n"
    )
    assert main(["run", str(tmp_path / "steady.yaml")]) == 0


@needs_fmpy
def test_every_rack_has_a_coolant_of_its_own(tmp_path: Path) -> None:
    """Both take 1.5 W/K of 16 cells of 25 degC from 20 degC on, steps of 1 s; one is tied to the ambient as well."""
    built(tmp_path)
    rig = parse_strict(RIG.replace("racks: 1", "racks: 2"), RigFile, file="two.yaml", folder=tmp_path)
    first, second = build_plant(plant_config(rig, seed=1)).racks
    first.coolant.works = False
    for _ in range(10):
        first.step(1.0, 25.0)
        second.step(1.0, 25.0)
    assert first.coolant.rise_k == pytest.approx(-5.0 * 0.9976**10, abs=0.005)
    assert second.coolant.rise_k == pytest.approx(-5.0 * 0.8976**10, abs=0.005)


@needs_fmpy
def test_what_no_coolant_and_no_stage_can_be_ends_the_run_and_names_the_file(tmp_path: Path) -> None:
    coolant = FmuCoolant(built(tmp_path))
    coolant.works = False
    with pytest.raises(LoadFileError, match=r"plant\.fmu: coolant_degc is .* at 1\.00 s, expected -60 to 200"):
        coolant.step(np.full(16, 1e6), 25.0, 1.0)
    converter = running(tmp_path / "plant.fmu")
    assert converter.stage is not None
    converter.runaway_w = 2e6
    with pytest.raises(LoadFileError, match=r"plant\.fmu: power_w is 1\.5e\+06 at 2\.50 s, expected -1e\+06 to 1e\+06"):
        converter.step(1.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("racks: 1,", "racks: 1, converter: forming,"), "an island's load decides what its power stage does"),
        (("plant:", "microgrid: {critical_power_w: 1000}\nplant:"), "an island's load decides what its power stage"),
    ],
)
def test_a_stage_that_makes_a_grid_is_refused(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match=said):
        parse_strict(RIG.replace(*change), RigFile, file="rig.yaml", folder=tmp_path)
