"""Why a converter went to its fault state."""

from enum import StrEnum


class ConverterAlarm(StrEnum):
    """Its own words; most are bits of SunSpec model 701, point Alrm."""

    DC_UNDER_VOLTAGE = "dc_under_voltage"
    DC_OVER_VOLTAGE = "dc_over_voltage"
    POWER_STAGE = "power_stage"
    AC_UNDER_VOLTAGE = "ac_under_voltage"
    AC_OVER_VOLTAGE = "ac_over_voltage"
    UNDER_FREQUENCY = "under_frequency"
    OVER_FREQUENCY = "over_frequency"
    GRID_PHASE = "grid_phase"
