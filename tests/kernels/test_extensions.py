"""The compiled kernels are really compiled, belong to this tree and are what the controller would load."""

import importlib
import sys
from pathlib import Path

import pytest

import kernels
from kernels.loaded import COMPILED, require_compiled

FOLDER = Path(kernels.__file__).parent
PUBLIC = [
    ("balance", "StringBalancer"),
    ("balance", "choose_bleed"),
    ("bank", "SocBank"),
    ("canbits", "FrameDecoder"),
    ("canbits", "FrameEncoder"),
    ("canbits", "crc8_j1850"),
    ("cellsim", "CellPack"),
    ("limits", "LimitSolver"),
    ("plausible", "Frozen"),
    ("plausible", "shared_wire"),
    ("rackview", "CellTaker"),
    ("rackview", "rack_extremes"),
    ("ramp", "ramp_limited"),
    ("series", "SeriesCells"),
    ("timeline", "Timeline"),
]


@pytest.mark.parametrize("name", COMPILED)
def test_kernel_is_an_extension_module_beside_its_package(name: str) -> None:
    module = importlib.import_module(f"kernels.{name}")
    assert module.__file__ is not None
    assert Path(module.__file__).suffix == ".so"
    assert Path(module.__file__).parent == FOLDER


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_public_name_is_compiled_code(module: str, name: str) -> None:
    compiled = getattr(importlib.import_module(f"kernels.{module}"), name)
    twin = getattr(importlib.import_module(f"kernels.reference.{module}"), name)
    kinds = {type(member).__name__ for member in vars(compiled).values()} if isinstance(compiled, type) else set()
    assert type(compiled).__name__ == "cython_function_or_method" or "cython_function_or_method" in kinds
    assert compiled is not twin


def test_every_kernel_source_is_required_and_has_a_stub_and_a_twin() -> None:
    sources = {path.stem for path in FOLDER.glob("*.pyx")}
    assert sources <= set(COMPILED)
    for name in COMPILED:
        assert (FOLDER / f"{name}.pyi").is_file()
        assert (FOLDER / "reference" / f"{name}.py").is_file()


def test_require_compiled_accepts_this_build() -> None:
    require_compiled()


def test_missing_extension_stops_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kernels.bank", None)
    with pytest.raises(ImportError, match=r"^kernels\.bank: the compiled kernel cannot be loaded .*$") as refusal:
        require_compiled()
    assert "\n" not in str(refusal.value)


def test_twin_in_place_of_extension_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kernels.bank", importlib.import_module("kernels.reference.bank"))
    with pytest.raises(ImportError, match=r"bank\.py is not a compiled extension"):
        require_compiled()


def test_extension_of_another_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("kernels.bank")
    monkeypatch.setattr(module, "__file__", "/elsewhere/kernels/bank.cpython-311-x86_64-linux-gnu.so")
    with pytest.raises(ImportError, match=r"is not beside"):
        require_compiled()
