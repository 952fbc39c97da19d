"""A load that a model of another tool computes: an FMU for co-simulation, FMI 2.0, by FMPy."""

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

from hil_rigs.plant.load_file import LoadFileError

OUTPUT = "power_w"
STEP_S = 0.01
"""Of one call of the FMU: the plant's own step."""


class FmuLoad:
    """The FMU's output `power_w` (W, consumption positive), times `scale`, held for STEP_S. Ask with times that do not
    go back. LoadFileError for a file that cannot be one, without FMPy, and when it says more than `power_w_max`."""

    def __init__(self, path: Path, power_w_max: float, scale: float = 1.0) -> None:
        self.power_w_max = power_w_max * scale
        self._path, self._scale = path, scale
        self._steps = 0
        fmpy, description = _described(path)
        self._reference = _output(path, description)
        folder = tempfile.mkdtemp(prefix="cellward-fmu-")
        try:
            self._model = _instance(fmpy, description, path, folder)
        except Exception as error:  # FMPy raises plain Exception for whatever the FMU refuses
            shutil.rmtree(folder)
            raise LoadFileError(f"{path}: the FMU does not start: {str(error).splitlines()[0]}") from error
        weakref.finalize(self, _end, self._model, folder)
        self._power_w = self._read()

    def power_w(self, t_s: float) -> float:
        while (self._steps + 1) * STEP_S <= t_s + 1e-9:
            try:
                self._model.doStep(self._steps * STEP_S, STEP_S)
            except Exception as error:  # as above
                at_s = self._steps * STEP_S
                raise LoadFileError(f"{self._path}: the FMU stopped at {at_s:.2f} s: {error}") from error
            self._steps += 1
            self._power_w = self._read()
        return self._power_w

    def _read(self) -> float:
        power_w = float(self._model.getReal([self._reference])[0]) * self._scale
        if not abs(power_w) <= self.power_w_max:
            raise LoadFileError(
                f"{self._path}: {OUTPUT} is {power_w:g} W at {self._steps * STEP_S:.2f} s, expected at most "
                f"{self.power_w_max:g} W"
            )
        return power_w


def _described(path: Path) -> tuple[Any, Any]:
    """FMPy, and what the file says about itself."""
    try:
        import fmpy
    except ImportError:
        raise LoadFileError(f"{path}: FMPy is not installed: pip install 'cellward[fmu]'") from None
    if not path.is_file():
        raise LoadFileError(f"{path}: no such file")
    try:
        description = fmpy.read_model_description(str(path), validate=False)
    except Exception as error:  # a broken archive or description, in the words of zipfile, lxml or FMPy
        raise LoadFileError(f"{path}: no FMU ({str(error).splitlines()[0]})") from error
    if description.fmiVersion != "2.0" or description.coSimulation is None:
        kind = "for co-simulation" if description.coSimulation is not None else "without co-simulation"
        wrong = f"an FMU of FMI {description.fmiVersion} {kind}"
        raise LoadFileError(f"{path}: {wrong}, expected one of FMI 2.0 for co-simulation")
    return fmpy, description


def _output(path: Path, description: Any) -> int:
    outputs = {each.name: each for each in description.modelVariables if each.causality == "output"}
    found = outputs.get(OUTPUT)
    if found is None or found.type != "Real":
        names = ", ".join(sorted(outputs)) or "none"
        raise LoadFileError(f"{path}: has no output {OUTPUT} of type Real (outputs: {names})")
    return int(found.valueReference)


def _instance(fmpy: Any, description: Any, path: Path, folder: str) -> Any:
    from fmpy.fmi2 import FMU2Slave

    fmpy.extract(str(path), unzipdir=folder)
    model = FMU2Slave(
        guid=description.guid,
        unzipDirectory=folder,
        modelIdentifier=description.coSimulation.modelIdentifier,
        instanceName="load",
    )
    model.instantiate()
    model.setupExperiment(startTime=0.0)
    model.enterInitializationMode()
    model.exitInitializationMode()
    return model


def _end(model: Any, folder: str) -> None:
    model.terminate()
    model.freeInstance()
    shutil.rmtree(folder, ignore_errors=True)
