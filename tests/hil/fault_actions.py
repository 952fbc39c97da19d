"""What a fault's action must do to the rig, for tests that cause faults on it."""

import numpy as np

from bms.protect.faults import FAULTS, Action
from hil_rigs.run import Outcome, Trip

STOPPED_W, WORKING_W = 1000.0, 10e3


def acts_as_said(outcome: Outcome, trip: Trip) -> None:
    """The power of the table's action from 1 s after the trip on, for the 3.5 s in which nothing rejoins. What opens
    one rack takes the power away from all; the others go on after some seconds."""
    action, after_s = FAULTS[trip.fault_id].action, outcome.curves.time_s - trip.at_s
    battery_w = outcome.curves.battery_power_w[(after_s > 1.0) & (after_s < 4.5)]
    if action is Action.WARN:
        assert outcome.end.battery_power_w_max > WORKING_W
    elif action is Action.BLOCK_CHARGE:
        assert battery_w.min() > -STOPPED_W
    elif action is Action.BLOCK_DISCHARGE:
        assert battery_w.max() < STOPPED_W
    else:
        assert np.abs(battery_w).max() < STOPPED_W
    assert outcome.end.opened_under_load_a < 50.0
