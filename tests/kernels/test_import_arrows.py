"""The arrows that import-linter cannot see, because compiled modules are no Python source to it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import kernels

FOLDER = Path(kernels.__file__).parent
PLANT = FOLDER.parent / "hil_rigs" / "plant"
ESTIMATOR = {
    "kernels.bank",
    "kernels.bank_model",
    "kernels.limits",
    "kernels.limits_model",
    "kernels.series",
    "kernels.series_model",
    "kernels.balance",
    "kernels.balance_model",
}


def imported(source: Path) -> Iterator[str]:
    """The full names that a Python file imports."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_kernel_sources_import_nothing_of_ours_but_kernels() -> None:
    sources = sorted(FOLDER.glob("*.pyx"))
    words = [line.split() for source in sources for line in source.read_text().splitlines()]
    modules = {line[1].split(".")[0] for line in words if line[:1] in (["import"], ["from"], ["cimport"])}
    assert modules <= {"cpython", "cython", "libc", "numpy", "kernels"}


def test_simulated_truth_does_not_use_the_estimator() -> None:
    used = {name for source in PLANT.rglob("*.py") for name in imported(source)}
    assert used & ESTIMATOR == set()
