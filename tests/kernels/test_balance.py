"""The choice of cells to bleed: the rule as a table, its bounds, its twin."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels import balance
from kernels.reference import balance as twin

NAN = float("nan")

KERNELS = pytest.mark.parametrize("kernel", [balance, twin], ids=["compiled", "twin"])


def chosen(kernel: Any, soc_frac: list[float], cells_max: int = 10, **changed: Any) -> list[int]:
    cells: dict[str, Any] = {
        "soc_frac": np.array(soc_frac),
        "voltage_v": np.full(len(soc_frac), 3.35),
        "temperature_degc": np.full(len(soc_frac), 25.0),
        "bleeding": np.zeros(len(soc_frac), np.uint8),
    }
    cells |= {name: np.array(value, cells[name].dtype) for name, value in changed.items()}
    result: NDArray[np.uint8] = kernel.choose_bleed(
        **cells, on_above_frac=0.02, off_above_frac=0.01, voltage_v_min=3.2, temperature_degc_max=50.0,
        cells_max=cells_max,
    )  # fmt: skip
    assert result.dtype == np.uint8
    return [int(bleed) for bleed in result]


@KERNELS
@pytest.mark.parametrize(
    ("soc_frac", "changed", "expected"),
    [
        ([0.50, 0.50, 0.50], {}, [0, 0, 0]),
        ([0.50, 0.53, 0.51], {}, [0, 1, 0]),
        ([0.50, 0.515, 0.515], {"bleeding": [0, 1, 0]}, [0, 1, 0]),
        ([0.50, 0.505, 0.53], {"bleeding": [0, 1, 1]}, [0, 0, 1]),
        ([0.50, 0.60, 0.60], {"voltage_v": [3.35, 3.2, 3.21]}, [0, 0, 1]),
        ([0.50, 0.60, 0.60], {"temperature_degc": [25, 50, 49]}, [0, 0, 1]),
        ([0.50, NAN, 0.60], {}, [0, 0, 1]),
        ([0.50, 0.60, 0.60], {"voltage_v": [3.35, NAN, 3.35]}, [0, 0, 1]),
        ([0.50, 0.60, 0.60], {"temperature_degc": [25, NAN, 25]}, [0, 0, 1]),
        ([NAN, NAN], {}, [0, 0]),
        ([0.50], {}, [0]),
        ([], {}, []),
    ],
)
def test_rule(kernel: Any, soc_frac: list[float], changed: dict[str, Any], expected: list[int]) -> None:
    assert chosen(kernel, soc_frac, **changed) == expected


@KERNELS
@pytest.mark.parametrize(
    ("cells_max", "expected"),
    [(0, [0, 0, 0, 0, 0]), (1, [0, 0, 0, 1, 0]), (2, [0, 1, 0, 1, 0]), (3, [0, 1, 1, 1, 0]), (4, [0, 1, 1, 1, 1])],
)
def test_no_more_than_cells_max_the_highest_first_then_by_index(
    kernel: Any, cells_max: int, expected: list[int]
) -> None:
    assert chosen(kernel, [0.5, 0.6, 0.6, 0.7, 0.55], cells_max) == expected


@KERNELS
def test_differing_lengths_are_refused(kernel: Any) -> None:
    with pytest.raises(ValueError, match="expected 2 values each"):
        chosen(kernel, [0.5, 0.6], voltage_v=[3.3])


@KERNELS
def test_negative_cells_max_is_refused(kernel: Any) -> None:
    with pytest.raises(ValueError, match="cells_max: got -1"):
        chosen(kernel, [0.5, 0.6], cells_max=-1)


cell = st.tuples(
    st.one_of(st.sampled_from([0.5, 0.51, 0.52, 0.53]), st.floats(0, 1), st.just(NAN)),
    st.one_of(st.sampled_from([3.2, 3.3]), st.just(NAN)),
    st.one_of(st.sampled_from([25.0, 50.0]), st.just(NAN)),
    st.integers(0, 1),
)


@given(st.lists(cell, max_size=30), st.integers(0, 12))
def test_compiled_equals_twin_on_read_only_strided_cells(cells: list[Any], cells_max: int) -> None:
    table = np.array([row[:3] for row in cells], np.float64).reshape(-1, 3)
    bleeding = np.array([row[3] for row in cells], np.uint8)
    table.flags.writeable = bleeding.flags.writeable = False
    arguments = (*table.T, bleeding, 0.02, 0.01, 3.2, 50.0, cells_max)
    compiled, reference = balance.choose_bleed(*arguments), twin.choose_bleed(*arguments)
    assert compiled.tolist() == reference.tolist()
    assert compiled.sum() <= cells_max
