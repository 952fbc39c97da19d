"""What plausibility checks ask of every cell: as a table, and equal to the twin."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms.summary import mean_of, median_of
from kernels import plausible
from kernels.reference import plausible as twin

KERNELS = pytest.mark.parametrize("kernel", [plausible, twin], ids=["compiled", "twin"])


@KERNELS
def test_a_value_that_stays_while_others_move_is_as_far_behind_as_they_moved(kernel: Any) -> None:
    frozen = kernel.Frozen(2, 0.0, 3)
    for moved, expected in enumerate([0.0, 0.0, 0.0, 1.0, 2.0]):  # what follows within three looks counts as together
        apart = frozen.moved(np.array([3.3, 3.3 + moved]), float(moved)).tolist()
        assert apart == [expected, 0.0]


@KERNELS
def test_a_change_forgets_what_moved_before(kernel: Any) -> None:
    frozen = kernel.Frozen(1, 0.0, 1)
    values = [3.3, 3.3, 3.4, 3.4]
    assert [frozen.moved(np.array([value]), float(at))[0] for at, value in enumerate(values)] == [0.0, 1.0, 0.0, 1.0]


@KERNELS
def test_movement_is_forgotten_by_its_share_a_look(kernel: Any) -> None:
    frozen = kernel.Frozen(1, 0.25, 1)
    values = [frozen.moved(np.array([3.3]), other)[0] for other in (0.0, 1.0, 1.0, 1.0)]
    assert values == [0.0, 0.75, 0.5625, 0.421875]


@KERNELS
@pytest.mark.parametrize(
    ("voltage_v", "expected"),
    [
        pytest.param([3.3, 3.75, 2.875, 3.3], (1, pytest.approx(0.425)), id="one above, the next below"),
        pytest.param([3.3, 3.75, 3.3, 2.875], (-1, 0.0), id="not beside each other"),
        pytest.param([3.3, 3.75, 2.5, 3.3], (-1, 0.0), id="their sum is wrong too"),
        pytest.param([3.3, 3.5, 3.1, 3.3], (-1, 0.0), id="not far enough"),
        pytest.param([3.3], (-1, 0.0), id="one cell has no neighbour"),
    ],
)
def test_an_open_wire_shares_two_cells_wrongly(kernel: Any, voltage_v: list[float], expected: object) -> None:
    assert kernel.shared_wire(np.array(voltage_v), 3.3, 0.4, 0.1) == expected


@KERNELS
def test_another_number_of_values_is_refused(kernel: Any) -> None:
    with pytest.raises(ValueError, match=r"^values: got 3, expected 2$"):
        kernel.Frozen(2, 0.005, 5).moved(np.zeros(3), 0.0)
    with pytest.raises(ValueError, match=r"^values_n: got 0, expected at least 1$"):
        kernel.Frozen(0, 0.005, 5)


LOOKS = st.lists(
    st.tuples(st.lists(st.sampled_from([3.2, 3.3, 3.4, 2.8, 3.8]), min_size=4, max_size=4), st.floats(3.0, 3.6)),
    min_size=1, max_size=30,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(LOOKS)
def test_compiled_equals_twin(looks: list[tuple[list[float], float]]) -> None:
    ours, its = plausible.Frozen(4, 0.005, 5), twin.Frozen(4, 0.005, 5)
    for values, other in looks:
        array = np.array(values)
        assert ours.moved(array, other).tobytes() == its.moved(array, other).tobytes()
        assert plausible.shared_wire(array, other, 0.4, 0.1) == twin.shared_wire(array, other, 0.4, 0.1)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(2.0, 4.0) | st.just(float("nan")), min_size=1, max_size=300))
def test_mean_and_median_are_numpys(values: list[float]) -> None:
    array = np.array(values)
    np.testing.assert_equal([mean_of(array), median_of(array)], [array.mean(), np.median(array)])
