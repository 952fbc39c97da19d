"""A ramp limit over a table: as a table of its own, and equal to the twin."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kernels import ramp
from kernels.reference import ramp as twin

KERNELS = pytest.mark.parametrize("kernel", [ramp, twin], ids=["compiled", "twin"])
NUMBERS = st.floats(-1e6, 1e6)


@KERNELS
def test_what_rises_or_falls_too_fast_is_reached_step_by_step(kernel: Any) -> None:
    wanted = np.array([1.0, 1.0, 0.5, -2.0, -2.0])
    assert kernel.ramp_limited(wanted, 0.0, 0.75).tolist() == [0.75, 1.0, 0.5, -0.25, -1.0]


@KERNELS
def test_it_begins_from_its_level_and_leaves_what_it_was_given_alone(kernel: Any) -> None:
    wanted = np.array([3.0])
    wanted.flags.writeable = False
    assert kernel.ramp_limited(wanted, 5.0, 1.0).tolist() == [4.0]
    assert wanted.tolist() == [3.0]


@KERNELS
def test_of_nothing_it_makes_nothing(kernel: Any) -> None:
    assert kernel.ramp_limited(np.empty(0), 1.0, 1.0).shape == (0,)


@given(wanted=arrays(np.float64, st.integers(0, 50), elements=NUMBERS), level=NUMBERS, step=st.floats(0.0, 1e6))
def test_kernel_equals_its_twin(wanted: Any, level: float, step: float) -> None:
    assert ramp.ramp_limited(wanted, level, step).tolist() == twin.ramp_limited(wanted, level, step).tolist()
