"""Load, PV and grid that an FMU computes, built here from a few lines of C with the headers that come with FMPy."""

import importlib.util
import platform
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from drivers.config.config_yaml import parse_strict
from hil_rigs.cli import main
from hil_rigs.plant.build import GridConfig, LoadConfig, PvConfig, build_grid, build_load, build_plant, build_pv
from hil_rigs.plant.load_file import LoadFileError
from hil_rigs.rig import RigFile, find_rig
from hil_rigs.rig_plant import plant_config
from hil_rigs.run import simulate
from hil_rigs.scenario import find_scenario

FMPY = importlib.util.find_spec("fmpy")
needs_fmpy = pytest.mark.skipif(
    FMPY is None or shutil.which("gcc") is None or platform.machine() != "x86_64",
    reason="needs FMPy (pip install 'cellward[fmu]'), gcc and x86-64",
)

SOURCE = """
#include "fmi2Functions.h"
static double time_s, slope, import_w;
fmi2Component fmi2Instantiate(fmi2String n, fmi2Type t, fmi2String g, fmi2String r, const fmi2CallbackFunctions *f,
                              fmi2Boolean v, fmi2Boolean l) { time_s = 0; slope = 1e5; return &time_s; }
void fmi2FreeInstance(fmi2Component c) {}
fmi2Status fmi2SetupExperiment(fmi2Component c, fmi2Boolean d, fmi2Real t, fmi2Real s, fmi2Boolean e, fmi2Real x)
    { return fmi2OK; }
fmi2Status fmi2EnterInitializationMode(fmi2Component c) { return INIT; }
fmi2Status fmi2ExitInitializationMode(fmi2Component c) { return fmi2OK; }
fmi2Status fmi2Terminate(fmi2Component c) { return fmi2OK; }
fmi2Status fmi2GetReal(fmi2Component c, const fmi2ValueReference vr[], size_t n, fmi2Real value[])
    { for (size_t i = 0; i < n; i++)
          value[i] = vr[i] == 7 ? 1e6 + slope * time_s : vr[i] == 8 ? 60 - import_w / 1e7 : 0.97;
      return fmi2OK; }
fmi2Status fmi2SetReal(fmi2Component c, const fmi2ValueReference vr[], size_t n, const fmi2Real value[])
    { import_w = value[0]; return fmi2OK; }
fmi2Status fmi2DoStep(fmi2Component c, fmi2Real at, fmi2Real step, fmi2Boolean b)
    { if (at != time_s && (at - time_s) * (at - time_s) > 1e-18) return fmi2Error; time_s = at + step; return fmi2OK; }
"""
UNUSED = (
    "GetTypesPlatform GetVersion SetDebugLogging Reset GetInteger GetBoolean GetString SetInteger SetBoolean "
    "SetString GetFMUstate SetFMUstate FreeFMUstate SerializedFMUstateSize SerializeFMUstate DeSerializeFMUstate "
    "GetDirectionalDerivative SetRealInputDerivatives GetRealOutputDerivatives CancelStep GetStatus GetRealStatus "
    "GetIntegerStatus GetBooleanStatus GetStringStatus"
)
"""The standard wants every function to be there."""
DESCRIPTION = """<?xml version="1.0" encoding="UTF-8"?>
<fmiModelDescription fmiVersion="2.0" modelName="{name}" guid="{{1}}">
  <{kind} modelIdentifier="{name}"/>
  <ModelVariables>
    {variables}
  </ModelVariables>
  <ModelStructure/>
</fmiModelDescription>
"""


def built_of(
    folder: Path,
    name: str,
    source: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    kind: str = "CoSimulation",
    first: int = 0,
) -> Path:
    """An FMU of this C source: value references count from `first` on, through the inputs and then the outputs."""
    assert FMPY is not None
    assert FMPY.origin is not None
    (folder / f"{name}.c").write_text(source)
    (folder / "unused.c").write_text("".join(f"int fmi2{name}(void) {{ return 3; }}\n" for name in UNUSED.split()))
    headers = Path(FMPY.origin).parent / "c-code"
    library = folder / f"{name}.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", f"-I{headers}", "-o", library, folder / f"{name}.c", folder / "unused.c"],
        check=True,
    )
    variables = [
        f'<ScalarVariable name="{variable}" valueReference="{first + n}" causality="{way}"><Real{start}/>'
        "</ScalarVariable>"
        for n, (variable, way, start) in enumerate(
            [*((each, "input", ' start="0"') for each in inputs), *((each, "output", "") for each in outputs)]
        )
    ]
    with zipfile.ZipFile(folder / f"{name}.fmu", "w") as archive:
        description = DESCRIPTION.format(name=name, kind=kind, variables="\n    ".join(variables))
        archive.writestr("modelDescription.xml", description)
        archive.write(library, f"binaries/linux64/{name}.so")
    return folder / f"{name}.fmu"


def built(
    folder: Path,
    output: str = "power_w",
    kind: str = "CoSimulation",
    init: str = "fmi2OK",
    frequency: str = "frequency_hz",
) -> Path:
    """An FMU whose power is 1 MW, and 100 kW more each second; its grid has 60 Hz, and 0.1 Hz less for each MW that is
    drawn, at 0.97 of its voltage."""
    outputs = (output, frequency, "voltage_pu")
    return built_of(folder, "ramp", SOURCE.replace("INIT", init), ("import_w",), outputs, kind, first=6)


FMU_RIG = """
name: ramp
says: an FMU is load, grid and PV
load: {kind: fmu, path: ramp.fmu, power_w_max: 2e+6}
grid: {kind: fmu, path: ramp.fmu}
pv: {kind: fmu, path: ramp.fmu, rated_power_w: 1e+6, scale: 0.5}
plant: {racks: 1, modules_per_rack: 1, cells_per_module: 16, cell: lfp-280ah, soc_frac: 0.5, ambient_degc: 25,
        contactor_break_current_a: 50, inverter_power_w: 10000}
"""


def load_of(path: Path, power_w_max: float = 2e6, scale: float = 1.0):
    config = LoadConfig(kind="fmu", path=path, rated_power_w=power_w_max, scale=scale)
    return build_load(config, np.random.default_rng(0))


@needs_fmpy
def test_power_is_the_fmus_output_at_the_last_whole_step(tmp_path: Path) -> None:
    load = load_of(built(tmp_path))
    assert load.power_w_max == 2e6
    assert [load.power_w(t_s) for t_s in (0.0, 0.009, 0.01, 1.0, 1.0, 3.456)] == pytest.approx(
        [1e6, 1e6, 1.001e6, 1.1e6, 1.1e6, 1.345e6], abs=1e-3
    )
    assert load_of(tmp_path / "ramp.fmu", scale=0.5).power_w(2.0) == pytest.approx(0.6e6, abs=1e-3)


@needs_fmpy
def test_a_rig_runs_with_it(tmp_path: Path) -> None:
    built(tmp_path)
    (tmp_path / "ramp.yaml").write_text(
        "name: ramp\nsays: an FMU is the load\nduration_s: 7\n"
        "load: {kind: fmu, path: ramp.fmu, power_w_max: 2e+6}\nexpect: {no_faults: true}\n"
    )
    scenario = find_scenario(str(tmp_path / "ramp.yaml"))
    outcome = simulate(find_rig("demo"), seed=1, duration_s=7, load=scenario.load)
    at_5_s = outcome.curves.time_s.searchsorted(5.0)
    assert outcome.curves.load_power_w[at_5_s] == pytest.approx(1.5e6, rel=2e-3)
    assert outcome.trips == ()
    assert main(["run", str(tmp_path / "ramp.yaml")]) == 0


@needs_fmpy
def test_an_fmu_that_says_too_much_ends_the_run_and_names_itself(tmp_path: Path) -> None:
    load = load_of(built(tmp_path), power_w_max=1.05e6)
    with pytest.raises(LoadFileError, match=r"ramp\.fmu: power_w is 1\.051e\+06 W at 0\.51 s, expected at most"):
        load.power_w(0.6)


@needs_fmpy
@pytest.mark.parametrize(
    ("built_with", "said"),
    [
        ({"output": "power"}, "has no output power_w of type Real (outputs: frequency_hz, power, voltage_pu)"),
        ({"kind": "ModelExchange"}, "FMI 2.0 without co-simulation, expected one of FMI 2.0 for co-simulation"),
        ({"init": "fmi2Error"}, "the FMU does not start: "),
    ],
)
def test_an_fmu_that_cannot_be_the_load_is_refused(tmp_path: Path, built_with: dict[str, str], said: str) -> None:
    path = built(tmp_path, **built_with)
    with pytest.raises(LoadFileError) as error:
        load_of(path)
    assert str(error.value).startswith(f"{path}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@needs_fmpy
def test_a_file_that_is_none_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.yaml").write_text(
        "name: text\nsays: no FMU\nduration_s: 7\nload: {kind: fmu, path: text.fmu, power_w_max: 2e+6}\n"
        "expect: {no_faults: true}\n"
    )
    for content, said in ((None, "no such file"), ("not at all", "no FMU (")):
        if content is not None:
            (tmp_path / "text.fmu").write_text(content)
        assert main(["run", str(tmp_path / "text.yaml")]) == 2
        line = capsys.readouterr().err
        assert line.startswith(f"{tmp_path}/text.fmu: {said}")
        assert line.count("\n") == 1


@needs_fmpy
def test_a_grid_answers_to_what_the_site_draws(tmp_path: Path) -> None:
    grid = build_grid(GridConfig("fmu", path=built(tmp_path)), np.random.default_rng(0))
    for import_w, frequency_hz in ((0.0, 60.0), (2e6, 59.8), (-1e6, 60.1)):
        grid.step(0.01, import_w)
        assert (grid.frequency_hz, grid.voltage_pu) == (pytest.approx(frequency_hz), 0.97)
    with pytest.raises(LoadFileError, match=r"ramp\.fmu: frequency_hz is -40 at 0\.04 s, expected 0 to 100"):
        grid.step(0.01, 1e9)
    with pytest.raises(LoadFileError, match="has no output frequency_hz of type Real"):
        build_grid(GridConfig("fmu", path=built(tmp_path, frequency="hz")), np.random.default_rng(0))


@needs_fmpy
def test_pv_gives_what_the_fmu_offers_up_to_its_rating(tmp_path: Path) -> None:
    pv = build_pv(PvConfig("fmu", 1.2e6, path=built(tmp_path)), 60.0, np.random.default_rng(0))
    powers_w = []
    for seconds in range(1, 5):
        for step in range(100):
            pv.step(seconds - 1 + (step + 1) / 100, 0.01)
        powers_w.append(pv.ac_power_w)
    assert powers_w == pytest.approx([1.08e6, 1.18e6, 1.2e6, 1.2e6], rel=5e-3)


@needs_fmpy
def test_a_rig_has_all_three_of_them(tmp_path: Path) -> None:
    built(tmp_path)
    rig = parse_strict(FMU_RIG, RigFile, file="ramp.yaml", folder=tmp_path)
    plant = build_plant(plant_config(rig, seed=1))
    for _ in range(100):
        plant.step(0.01)
    assert plant.load_power_w == pytest.approx(1.1e6, rel=1e-3)
    assert plant.pv_power_w == pytest.approx(5.4e5, rel=0.01)
    assert plant.frequency_hz == pytest.approx(60.0 - plant.grid_power_w / 1e7, abs=1e-3)


@pytest.mark.skipif(FMPY is not None, reason="FMPy is installed")
def test_without_fmpy_the_error_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(LoadFileError, match=r"FMPy is not installed: pip install 'cellward\[fmu\]'"):
        load_of(tmp_path / "any.fmu")
