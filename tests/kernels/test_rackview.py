"""What a tick asks of a rack's cells: as a table, and equal to the twin."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import rackview
from kernels.frame_plan import NEVER_NS
from kernels.reference import rackview as twin

NAN = float("nan")
KERNELS = pytest.mark.parametrize("kernel", [rackview, twin], ids=["compiled", "twin"])


def times(*at_ns: int) -> Any:
    return np.array(at_ns, np.int64)


@KERNELS
def test_extremes_are_the_first_of_equals_and_times_the_oldest(kernel: Any) -> None:
    voltage_v, temperature_degc = np.array([3.3, 3.1, 3.5, 3.5, 3.1]), np.array([25.0, 25.0, 26.0, 24.0, 24.0])
    found = kernel.rack_extremes(voltage_v, temperature_degc, times(5, 4, 7, 9, 8), times(50, 60, 70, 40, 90))
    assert found == (3.1, 3.5, 1, 2, 24.0, 26.0, 3, 2, 4, 40)


@KERNELS
def test_an_absent_value_is_both_extremes(kernel: Any) -> None:
    values = np.array([3.3] * 9 + [NAN, 3.1, NAN])
    found = kernel.rack_extremes(values, np.full(12, 25.0), times(*range(12)), times(*range(12)))
    np.testing.assert_equal(found, (NAN, NAN, 9, 9, 25.0, 25.0, 0, 0, 0, 0))


@KERNELS
@pytest.mark.parametrize("sizes", [(0, 0, 0, 0), (2, 1, 2, 2), (2, 2, 1, 2), (2, 2, 2, 3)])
def test_unequal_numbers_of_cells_are_refused(kernel: Any, sizes: tuple[int, int, int, int]) -> None:
    volt, degc, volt_ns, degc_ns = sizes
    with pytest.raises(ValueError, match="expected the same number of each, at least 1"):
        kernel.rack_extremes(np.zeros(volt), np.zeros(degc), times(*[0] * volt_ns), times(*[0] * degc_ns))


def taker(kernel: Any, values: Any, at_ns: Any) -> Any:
    """Three cells: voltages 0 to 2, two frames; one sensor for the first two, another for the last."""
    return kernel.CellTaker(values, at_ns, [0, 1, 2], [0, 0, 1], [3, 3, 4], [2, 2, 2])


@KERNELS
def test_cells_are_taken_with_their_frames_times(kernel: Any) -> None:
    values, at_ns = np.array([3.1, 3.2, NAN, 25.0, 26.0, 99.0]), times(10, 20, 30)
    cells = taker(kernel, values, at_ns)
    voltage_v, voltage_at_ns, temperature_degc, temperature_at_ns = cells.take()
    np.testing.assert_equal(voltage_v, [3.1, 3.2, NAN])
    assert voltage_at_ns.tolist() == [10, 10, NEVER_NS]
    assert (temperature_degc.tolist(), temperature_at_ns.tolist()) == ([25.0, 25.0, 26.0], [30, 30, 30])
    values[2], at_ns[1] = 3.3, 21
    assert cells.take()[0].tolist() == [3.1, 3.2, 3.3]
    assert cells.take()[1].tolist() == [10, 10, 21]
    np.testing.assert_equal(voltage_v, [3.1, 3.2, NAN])
    assert not any(taken.flags.writeable for taken in cells.take())


@KERNELS
@pytest.mark.parametrize(
    ("places", "message"),
    [
        (([5], [0], [0], [0]), r"^voltage: got \[5\], expected indices of 0 to 4"),
        (([0], [-1], [0], [0]), r"^voltage_frame: got \[-1\], expected indices of 0 to 1"),
        (([0], [0], [9], [0]), r"^temperature: got \[9\]"),
        (([0], [0], [0], [2]), r"^temperature_frame: got \[2\]"),
        (([], [], [], []), r"^voltage: got \[\], expected indices of 0 to 4, at least one"),
    ],
)
def test_an_index_outside_is_named(kernel: Any, places: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernel.CellTaker(np.zeros(5), times(0, 0), *places)


VALUES = st.sampled_from([3.1, 3.2, 3.3, -0.0, 0.0, NAN, float("inf")])
CELLS = st.lists(st.tuples(VALUES, VALUES, st.integers(-5, 5), st.integers(-5, 5)), min_size=1, max_size=40)


@settings(max_examples=200, deadline=None)
@given(CELLS)
def test_compiled_equals_twin(cells: list[tuple[float, float, int, int]]) -> None:
    volt, degc, volt_ns, degc_ns = zip(*cells, strict=True)
    given_cells = np.array(volt), np.array(degc), times(*volt_ns), times(*degc_ns)
    np.testing.assert_equal(rackview.rack_extremes(*given_cells), twin.rack_extremes(*given_cells))
    columns = np.array([*volt, *degc]), times(*volt_ns, *degc_ns)
    n = len(cells)
    places = [range(n), range(n), range(n, 2 * n), range(n, 2 * n)]
    ours, its = rackview.CellTaker(*columns, *places).take(), twin.CellTaker(*columns, *places).take()
    assert [each.tobytes() for each in ours] == [each.tobytes() for each in its]


@KERNELS
def test_each_group_has_its_greatest_value(kernel: Any) -> None:
    values, into = np.array([25.0, 26.0, NAN, 24.0, 23.0, 22.0]), np.zeros(3)
    kernel.group_maxima(values, times(0, 2, 4), into)
    np.testing.assert_equal(into, [26.0, NAN, 23.0])


@KERNELS
@pytest.mark.parametrize(
    ("first", "places", "message"),
    [
        ((0, 2), 3, r"^into: got 3 places, expected 2"),
        ((-1, 2), 2, r"^first\[0\]: got -1, expected a group before 2 within 4 values"),
        ((0, 3, 2), 3, r"^first\[1\]: got 3, expected a group before 2 within 4 values"),
        ((0, 4), 2, r"^first\[1\]: got 4, expected a group before 4 within 4 values"),
        ((0, 5), 2, r"^first\[0\]: got 0, expected a group before 5 within 4 values"),
    ],
)
def test_a_group_that_there_cannot_be_is_named(kernel: Any, first: tuple[int, ...], places: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernel.group_maxima(np.zeros(4), times(*first), np.zeros(places))


@settings(deadline=None)
@given(st.lists(st.lists(VALUES, min_size=1, max_size=6), min_size=1, max_size=9))
def test_group_maxima_equal_their_twin(groups: list[list[float]]) -> None:
    values = np.concatenate([np.array(group) for group in groups])
    first = np.cumsum([0, *(len(group) for group in groups)])[:-1]
    ours, its = np.zeros(len(groups)), np.zeros(len(groups))
    rackview.group_maxima(values, first, ours)
    twin.group_maxima(values, first, its)
    np.testing.assert_array_equal(ours, its)
