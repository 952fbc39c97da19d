"""A part of the plant that another tool models: an FMU for co-simulation, FMI 2.0, by FMPy."""

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hil_rigs.plant.load_file import LoadFileError


class Fmu:
    """`outputs` must be there; those of `may_say` and the inputs of `may_hear` are used where it has them. `time_s` is
    how far it was stepped. LoadFileError for a file that cannot be one, without FMPy, and
    when it stops."""

    def __init__(
        self, path: Path, outputs: Sequence[str], may_say: Sequence[str] = (), may_hear: Sequence[str] = ()
    ) -> None:
        self.path, self.time_s = path, 0.0
        fmpy, description = _described(path)
        self._outputs = [(name, _output(path, description, name)) for name in outputs]
        said, heard = _reals(description, "output"), _reals(description, "input")
        self._outputs += [(name, said[name]) for name in may_say if name in said]
        self._inputs = {name: heard[name] for name in may_hear if name in heard}
        folder = tempfile.mkdtemp(prefix="cellward-fmu-")
        try:
            self._model = _instance(fmpy, description, path, folder)
        except Exception as error:  # FMPy raises plain Exception for whatever the FMU refuses
            shutil.rmtree(folder)
            raise LoadFileError(f"{path}: the FMU does not start: {str(error).splitlines()[0]}") from error
        weakref.finalize(self, _end, self._model, folder)

    def step(self, dt_s: float) -> None:
        """Advance by `dt_s`."""
        try:
            self._model.doStep(self.time_s, dt_s)
        except Exception as error:  # as above
            raise LoadFileError(f"{self.path}: the FMU stopped at {self.time_s:.2f} s: {error}") from error
        self.time_s += dt_s

    def tell(self, name: str, value: float) -> None:
        """An input, where it has that one."""
        if name in self._inputs:
            self._model.setReal([self._inputs[name]], [value])

    def values(self) -> dict[str, float]:
        """Its outputs now, by name."""
        said = self._model.getReal([reference for _, reference in self._outputs])
        return {name: float(value) for (name, _), value in zip(self._outputs, said, strict=True)}


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


def _reals(description: Any, causality: str) -> dict[str, int]:
    variables = [each for each in description.modelVariables if each.causality == causality and each.type == "Real"]
    return {each.name: int(each.valueReference) for each in variables}


def _output(path: Path, description: Any, name: str) -> int:
    found = _reals(description, "output")
    if name not in found:
        names = ", ".join(sorted(each.name for each in description.modelVariables if each.causality == "output"))
        raise LoadFileError(f"{path}: has no output {name} of type Real (outputs: {names or 'none'})")
    return found[name]


def _instance(fmpy: Any, description: Any, path: Path, folder: str) -> Any:
    from fmpy.fmi2 import FMU2Slave

    fmpy.extract(str(path), unzipdir=folder)
    model = FMU2Slave(
        guid=description.guid,
        unzipDirectory=folder,
        modelIdentifier=description.coSimulation.modelIdentifier,
        instanceName=path.stem,
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
