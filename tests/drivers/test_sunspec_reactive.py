"""The reactive set-point of model 704: what goes into the registers comes out of them, whatever the scales."""

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.inverters.sunspec.reactive import READ_BACK, reactive, said_reactive_var, takes_reactive
from drivers.readings import InverterRating
from drivers.sunspec import MappedModel, ModelAddress, open_model
from tests.drivers import sunspec_registers as raw


def controls(points: dict[int, list[int]]) -> MappedModel:
    device = raw.converter(controls=raw.CONTROLS | points)

    async def read_holding(address: int, count: int) -> list[int]:
        return device.read(address, count)

    return asyncio.run(open_model(SimpleNamespace(read_holding=read_holding), ModelAddress(704, raw.CONTROLS_AT, 65)))


MODELS = {exponent: controls({57: [exponent & 0xFFFF]}) for exponent in range(-3, 4)}


@given(
    exponent=st.integers(-3, 3),
    var=st.floats(-1e9, 1e9),
    injected_var=st.floats(0, 1e8) | st.just(float("nan")),
    absorbed_var=st.floats(0, 1e8) | st.just(float("nan")),
    apparent_va=st.floats(0, 1e8) | st.just(float("nan")),
)
def test_written_set_point_reads_back_as_told_and_is_never_more_than_asked(
    exponent: int, var: float, injected_var: float, absorbed_var: float, apparent_va: float
) -> None:
    model = MODELS[exponent]
    rating = InverterRating(1e6, 1e6, apparent_va, injected_var, absorbed_var)
    told = reactive(model, var, rating, reversion_s=1)
    (write,) = told.writes
    values = model.decode(write.registers, write.address, (*READ_BACK, "VarSetPri", "VarSetEnaRvrt", "VarSetRvrtTms"))
    assert said_reactive_var(model, values) == told.reactive_var
    assert (values["VarSetPri"], values["VarSetEnaRvrt"], values["VarSetRvrtTms"]) == (0, 0, 1)
    assert abs(told.reactive_var) <= abs(var)
    assert told.reactive_var * var >= 0.0
    limit_var = injected_var if var > 0 else absorbed_var
    assert not abs(told.reactive_var) > limit_var
    if limit_var != limit_var:
        assert not abs(told.reactive_var) > apparent_va


@pytest.mark.parametrize("absent", [{35: [0xFFFF]}, {57: [0x8000]}])
def test_converter_without_enable_or_scale_takes_no_reactive_power(absent: dict[int, list[int]]) -> None:
    assert takes_reactive(MODELS[0])
    assert not takes_reactive(controls(absent))
