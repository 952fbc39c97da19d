"""The leaky bucket: what trips and what must not."""

import pytest

from bms.protect.debounce import ErrorBucket, LeakyBucket


def steps_until_trip(pattern: list[bool], trip_s: float = 0.06, dt_s: float = 0.02, steps: int = 2000) -> int | None:
    bucket = LeakyBucket(trip_s)
    for number in range(steps):
        if bucket.step(pattern[number % len(pattern)], dt_s):
            return number + 1
    return None


def test_condition_that_stays_trips_after_its_time() -> None:
    assert steps_until_trip([True]) == 3


@pytest.mark.parametrize("present", [5, 4, 3])
def test_condition_present_half_to_a_third_of_the_time_trips(present: int) -> None:
    assert steps_until_trip([True] * present + [False] * (10 - present), trip_s=0.5) is not None


def test_single_spikes_never_trip() -> None:
    assert steps_until_trip([True] + [False] * 9) is None


def test_zero_time_trips_at_once_and_only_while_present() -> None:
    bucket = LeakyBucket(0.0)
    assert bucket.step(True, 0.02)
    assert not bucket.step(False, 0.02)


def test_error_bucket_trips_on_five_percent_bad_frames() -> None:
    bucket = ErrorBucket(10.0, 0.02)
    assert any(bucket.step(95 * tick, 5 * tick) for tick in range(1, 20))


def test_error_bucket_tolerates_one_percent_bad_frames_for_ever() -> None:
    bucket = ErrorBucket(10.0, 0.02)
    assert not any(bucket.step(99 * tick, tick) for tick in range(1, 10_000))
