"""The choice of cells to bleed: the rule as a table, its bounds, its twin."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels import balance
from kernels.balance_model import BleedLimits
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


NAN32 = np.float32("nan")
LIMITS = BleedLimits(
    on_above_frac=0.02, off_above_frac=0.01, sigma_frac_max=0.03, voltage_v_min=3.2, temperature_degc_max=50.0,
    module_cells_max=100, string_cells_max=100,
)  # fmt: skip


def strings_chosen(
    kernel: Any, soc_frac: Any, limits: BleedLimits = LIMITS, cells_per_module: int = 4, **changed: Any
) -> list[list[int]]:
    soc = np.atleast_2d(np.array(soc_frac, np.float32))
    cells: dict[str, Any] = {
        "soc_frac": soc,
        "soc_sigma_frac": np.full(soc.shape, 0.01, np.float32),
        "voltage_v": np.full(soc.shape, 3.35),
        "temperature_degc": np.full(soc.shape, 25.0),
        "bleeding": np.zeros(soc.shape, np.uint8),
    }
    cells |= {name: np.atleast_2d(np.array(value, cells[name].dtype)) for name, value in changed.items()}
    balancer = kernel.StringBalancer(limits, *soc.shape, cells_per_module)
    result: NDArray[np.uint8] = balancer.choose(**cells, dt_s=1.0)
    assert result.dtype == np.uint8
    return [[int(bleed) for bleed in row] for row in result]


@KERNELS
@pytest.mark.parametrize(
    ("soc_frac", "changed", "expected"),
    [
        ([0.50, 0.53, 0.51], {}, [0, 1, 0]),
        ([0.50, 0.515, 0.515], {"bleeding": [0, 1, 0]}, [0, 1, 0]),
        ([0.50, 0.60, 0.60], {"soc_sigma_frac": [0.3, 0.03, 0.02]}, [0, 0, 1]),
        ([0.50, 0.60, 0.60], {"soc_sigma_frac": [0.3, NAN, 0.02]}, [0, 0, 1]),
        ([0.50, 0.60, 0.60], {"voltage_v": [3.35, 3.2, 3.21]}, [0, 0, 1]),
        ([0.50, 0.60, 0.60], {"temperature_degc": [25, 50, 49]}, [0, 0, 1]),
        ([0.50, NAN, 0.60], {}, [0, 0, 1]),
        ([0.50, 0.60, 0.60], {"voltage_v": [3.35, NAN, 3.35]}, [0, 0, 1]),
        ([0.50, 0.60, 0.60], {"temperature_degc": [25, NAN, 25]}, [0, 0, 1]),
        ([NAN, NAN], {}, [0, 0]),
        ([0.5], {}, [0]),
        ([-0.2, -0.1, 0.0], {}, [0, 1, 1]),
    ],
)
def test_rule_over_strings(kernel: Any, soc_frac: list[float], changed: dict[str, Any], expected: list[int]) -> None:
    assert strings_chosen(kernel, soc_frac, **changed) == [expected]


@KERNELS
def test_each_string_is_compared_with_its_own_lowest_cell(kernel: Any) -> None:
    assert strings_chosen(kernel, [[0.5, 0.53], [0.53, 0.54]]) == [[0, 1], [0, 0]]


@KERNELS
def test_a_cell_exactly_at_the_threshold_does_not_stand_out(kernel: Any) -> None:
    quarter = replace(LIMITS, on_above_frac=0.25, off_above_frac=0.25)
    assert strings_chosen(kernel, [0.25, 0.5, 0.5000001], quarter) == [[0, 0, 1]]


@KERNELS
def test_no_module_and_no_string_gets_hotter_than_allowed(kernel: Any) -> None:
    soc_frac = [0.5, 0.6, 0.7, 0.6, 0.65, 0.65, 0.9, 0.65, 0.55]
    in_module = replace(LIMITS, module_cells_max=2)
    assert strings_chosen(kernel, soc_frac, in_module) == [[0, 1, 1, 0, 1, 0, 1, 0, 1]]
    assert strings_chosen(kernel, soc_frac, replace(in_module, string_cells_max=3)) == [[0, 0, 1, 0, 1, 0, 1, 0, 0]]
    assert strings_chosen(kernel, soc_frac, replace(LIMITS, string_cells_max=3)) == [[0, 0, 1, 0, 1, 0, 1, 0, 0]]
    assert strings_chosen(kernel, soc_frac, replace(LIMITS, string_cells_max=0)) == [[0] * 9]
    assert strings_chosen(kernel, soc_frac, replace(LIMITS, module_cells_max=0)) == [[0] * 9]


@KERNELS
def test_a_resistor_rests_after_its_duty_and_starts_again(kernel: Any) -> None:
    limits = replace(LIMITS, duty_max=0.5, duty_restart=0.25, duty_s=100.0)
    balancer = kernel.StringBalancer(limits, 1, 2, 2)
    soc, sigma = np.array([[0.5, 0.6]], np.float32), np.full((1, 2), 0.01, np.float32)
    volts, degc = np.full((1, 2), 3.35), np.full((1, 2), 25.0)
    on, history = np.zeros((1, 2), np.uint8), []
    for _ in range(200):
        on = np.array(balancer.choose(soc, sigma, volts, degc, on, 1.0))
        history.append(int(on[0, 1]))
    changes = np.flatnonzero(np.diff(history)) + 1
    to_half, to_quarter, from_quarter = 100 * np.log(2), 100 * np.log(2), 100 * np.log(1.5)
    assert np.diff([0, *changes]).tolist() == pytest.approx([to_half, to_quarter, from_quarter], abs=2)
    assert balancer.duty_frac[0, 0] == 0.0


@KERNELS
def test_impossible_choices_are_refused(kernel: Any) -> None:
    with pytest.raises(ValueError, match=r"^voltage_v: got 1 x 3 values, expected 1 x 2"):
        strings_chosen(kernel, [0.5, 0.6], voltage_v=[3.3, 3.3, 3.3])
    balancer = kernel.StringBalancer(LIMITS, 1, 1, 1)
    one, flag = np.zeros((1, 1)), np.zeros((1, 1), np.uint8)
    with pytest.raises(ValueError, match=r"^dt_s: got 0"):
        balancer.choose(one.astype(np.float32), one.astype(np.float32), one, one, flag, 0.0)
    for shape in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
        with pytest.raises(ValueError, match=r": got 0, expected 1 or more"):
            kernel.StringBalancer(LIMITS, *shape)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"on_above_frac": NAN}, "on_above_frac: got nan"),
        ({"module_cells_max": -1}, "module_cells_max: got -1"),
        ({"string_cells_max": -1}, "string_cells_max: got -1"),
        ({"duty_restart": 0.9, "duty_max": 0.8}, "duty_restart: got 0.9"),
        ({"duty_max": 1.1}, "duty_restart: got 1.0"),
        ({"duty_s": 0.0}, "duty_s: got 0"),
    ],
)
def test_impossible_limits_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        replace(LIMITS, **changed)


def random_choices(balancer: Any, seed: int, strings: int, n: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    on, outcomes = np.zeros((strings, n), np.uint8), []
    for _ in range(6):
        soc = np.round(rng.normal(0.0, 0.03, (strings, n)), 3).astype(np.float32)
        soc[rng.random((strings, n)) < 0.05] = rng.choice([NAN32, np.inf, -np.inf, -0.0])
        sigma = np.abs(rng.normal(0, 0.02, (strings, n))).astype(np.float32)
        volts, degc = rng.uniform(3.18, 3.4, (strings, n)), rng.uniform(40, 51, (strings, n))
        for values in (soc, sigma, volts, degc):
            values.flags.writeable = False
        on = np.array(balancer.choose(soc, sigma, volts, degc, on, 10.0))
        outcomes += [on, np.array(balancer.duty_frac)]
    return outcomes


@pytest.mark.parametrize("variant", balance.variants())
@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 80), st.integers(1, 40), st.integers(0, 9),
    st.integers(0, 40),
)  # fmt: skip
def test_every_variant_chooses_as_the_twin(
    variant: str, seed: int, strings: int, n: int, module: int, module_max: int, string_max: int
) -> None:
    limits = replace(
        LIMITS, on_above_frac=0.01, off_above_frac=0.005, module_cells_max=module_max, string_cells_max=string_max,
        duty_max=0.5, duty_restart=0.3, duty_s=60.0,
    )  # fmt: skip
    compiled = random_choices(balance.StringBalancer(limits, strings, n, module, variant=variant), seed, strings, n)
    reference = random_choices(twin.StringBalancer(limits, strings, n, module), seed, strings, n)
    for ours, theirs in zip(compiled, reference, strict=True):
        assert ours.tolist() == theirs.tolist()


def test_threads_strides_and_variants_do_not_change_the_choice() -> None:
    limits = replace(LIMITS, module_cells_max=4, string_cells_max=20)
    rng = np.random.default_rng(2)
    wide = rng.normal(0.5, 0.02, (50, 160))
    inputs = (wide.astype(np.float32)[:, ::2], np.full((50, 160), 0.01, np.float32)[:, ::-2], wide[:, ::2] + 3.0,
              wide[:, ::2] * 60, (wide > 0.5).astype(np.uint8)[:, 1::2])  # fmt: skip
    alone = balance.StringBalancer(limits, 50, 80, 16)
    together = balance.StringBalancer(limits, 50, 80, 16, threads=3)
    expected = alone.choose(*(np.ascontiguousarray(values) for values in inputs), 1.0).tolist()
    assert together.choose(*inputs, 1.0).tolist() == expected
    assert not together.chosen.flags.writeable
    with pytest.raises(ValueError, match=r"^variant: got 'none'"):
        balance.StringBalancer(limits, 1, 1, 1, variant="none")
