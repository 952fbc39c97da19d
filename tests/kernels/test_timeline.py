"""Callbacks in the order of a virtual clock: as stories, and equal to the twin on random ones."""

import contextvars
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import timeline
from kernels.reference import timeline as twin

KERNELS = pytest.mark.parametrize("kernel", [timeline, twin], ids=["compiled", "twin"])
WHO = contextvars.ContextVar("who", default="nobody")


def story(kernel: Any) -> Any:
    """A timeline that keeps what broke."""

    class Story(kernel.Timeline):
        def __init__(self) -> None:
            super().__init__()
            self.broken: list[str] = []

        def broke(self, call: Any, error: BaseException) -> None:
            self.broken.append(repr(error))

        def withhold(self) -> None:
            self.ready = [call for call in self.ready if call.context.get(WHO, "nobody") != "held"]

    return Story()


def to_the_end(line: Any) -> None:
    while line.ready or line.jump():
        assert line.run(1000)


@KERNELS
def test_what_is_due_runs_by_time_and_then_in_its_order(kernel: Any) -> None:
    line, ran = story(kernel), []
    for number, at_ns in enumerate([30, 10, 20, 10, 5]):
        line.call_at_ns(at_ns, lambda number: ran.append((line.now_ns, number)), number)
    line.now_ns = 8
    to_the_end(line)
    assert ran == [(8, 4), (10, 1), (10, 3), (20, 2), (30, 0)]


@KERNELS
def test_what_a_round_schedules_runs_in_the_next(kernel: Any) -> None:
    line, ran = story(kernel), []
    line.call_soon(lambda: (line.call_soon(ran.append, "second"), ran.append("first")))
    line.call_soon(ran.append, "beside")
    assert line.run(1)
    assert ran == ["first", "beside", "second"]


@KERNELS
def test_too_many_rounds_are_said(kernel: Any) -> None:
    line = story(kernel)

    def again() -> None:
        line.call_soon(again)

    again()
    assert not line.run(10)
    line.stopping = True
    assert line.run(10)


@KERNELS
def test_a_broken_callback_is_told_and_the_others_go_on(kernel: Any) -> None:
    line, ran = story(kernel), []
    line.call_soon(lambda: {}["nothing"])
    line.call_soon(ran.append, 1)
    assert line.run(1)
    assert (line.broken, ran) == (["KeyError('nothing')"], [1])


@KERNELS
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_comes_through_and_what_was_ready_still_is(kernel: Any, error: type[BaseException]) -> None:
    line, ran = story(kernel), []

    def stop() -> None:
        line.call_soon(ran.append, "scheduled")
        raise error

    line.call_soon(stop)
    line.call_soon(ran.append, "waiting")
    with pytest.raises(error):
        line.run(1)
    assert line.run(1)
    assert ran == ["waiting", "scheduled"]


@KERNELS
def test_each_runs_in_its_context(kernel: Any) -> None:
    line, seen = story(kernel), []
    other = contextvars.Context()
    other.run(WHO.set, "other")
    line.call_soon(lambda: seen.append(WHO.get()), context=other)
    token = WHO.set("me")
    line.call_soon(lambda: (seen.append(WHO.get()), WHO.set("nobody else")))
    WHO.reset(token)
    assert line.run(1)
    assert (seen, WHO.get(), other.run(WHO.get)) == (["other", "me"], "nobody", "other")


@KERNELS
def test_what_is_withheld_does_not_run(kernel: Any) -> None:
    line, ran = story(kernel), []
    held = contextvars.Context()
    held.run(WHO.set, "held")
    line.call_at_ns(5, ran.append, "held", context=held)
    line.call_at_ns(5, ran.append, "free")
    line.held = True
    to_the_end(line)
    assert ran == ["free"]


@KERNELS
def test_times_are_rounded_to_whole_nanoseconds_half_to_even(kernel: Any) -> None:
    line = story(kernel)
    calls = [line.call_later(2.5e-9, int), line.call_later(3.5e-9, int), line.call_at(1.25, int)]
    assert [round(call.when() * 1e9) for call in calls] == [2, 4, 1_250_000_000]


@KERNELS
@pytest.mark.parametrize(("wrong", "error"), [(math.inf, OverflowError), (math.nan, ValueError)])
def test_a_time_that_is_none_is_refused(kernel: Any, wrong: float, error: type[Exception]) -> None:
    line = story(kernel)
    with pytest.raises(error):
        line.call_later(wrong, int)
    with pytest.raises(error):
        line.call_at(wrong, int)
    assert not line.jump()


@KERNELS
def test_a_closed_one_takes_nothing(kernel: Any) -> None:
    line = story(kernel)
    line.closed = True
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        line.call_soon(int)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        line.call_later(1.0, int)


def test_the_farthest_future_is_later_than_everything_else() -> None:
    line, ran = story(timeline), []
    line.call_later(1e30, ran.append, "at the end of time")
    line.call_later(1e9, ran.append, "in 32 years")
    to_the_end(line)
    assert ran == ["in 32 years", "at the end of time"]


STEPS = st.lists(st.tuples(st.sampled_from(["soon", "later", "cancel", "break"]), st.integers(0, 400)), max_size=6)


@settings(max_examples=60)
@given(st.lists(STEPS, min_size=1, max_size=300))
def test_kernel_tells_every_story_as_its_twin(chapters: list[Any]) -> None:
    def told(kernel: Any) -> list[tuple[int, int]]:
        line, ran, calls = story(kernel), [], []

        def chapter(number: int) -> None:
            ran.append((line.now_ns, number))
            for what, value in chapters[number]:
                following = len(calls) + 1
                if what == "cancel" and calls:
                    calls[value % len(calls)].cancel()
                elif what == "break":
                    ran.append((-1, 1 // (value % 2)))
                elif following < len(chapters) and what == "soon":
                    calls.append(line.call_soon(chapter, following))
                elif following < len(chapters) and what == "later":
                    calls.append(line.call_at_ns(line.now_ns + value, chapter, following))

        line.call_soon(chapter, 0)
        to_the_end(line)
        return [*ran, *((len(each), -2) for each in line.broken), *((call.cancelled(), -3) for call in calls)]

    assert told(timeline) == told(twin)


def test_many_cancelled_timers_leave_the_others_in_order() -> None:
    line, ran = story(timeline), []
    calls = [line.call_at_ns(at_ns * 7919 % 1000, ran.append, at_ns * 7919 % 1000) for at_ns in range(1000)]
    for call in calls[::3] + calls[1::3]:
        call.cancel()
    to_the_end(line)
    assert ran == sorted(at_ns * 7919 % 1000 for at_ns in range(2, 1000, 3))
