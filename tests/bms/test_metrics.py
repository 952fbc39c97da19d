"""Metrics of what is known, and of nothing."""

from bms.north.metrics import metrics_text


def test_without_a_status_only_that_is_said() -> None:
    assert metrics_text(None) == (
        "# HELP cellward_up 1 = the controller says its status\n# TYPE cellward_up gauge\ncellward_up 0\n"
    )
