"""Kinds of injected faults on the wire: the racks' CAN buses, the Modbus links of converter, meter and switchgear."""

from hil_rigs.faults.kind import FaultKind

BORNE = ""
"""In place of the controller's fault: it has to bear this."""

LINK_KINDS: tuple[FaultKind, ...] = (
    FaultKind("bus-open", "a rack's CAN bus is cut: nothing arrives, either way", "rack", "cell_data_stale"),
    FaultKind(
        "bus-loss", "a share VALUE of the frames on a rack's bus is lost", "rack", BORNE,
        value=0.05, value_min=0.0, value_max=1.0, unit="frac",
    ),
    FaultKind(
        "bus-delay", "frames on a rack's bus arrive VALUE s late", "rack", BORNE,
        value=0.05, value_min=0.0, value_max=2.0, unit="s",
    ),
    FaultKind(
        "bus-repeats", "a share VALUE of the batches on a rack's bus arrives twice", "rack", "monitor_counter_errors",
        value=0.5, value_min=0.0, value_max=1.0, unit="frac",
    ),
    FaultKind(
        "bus-reorders", "a share VALUE of the batches on a rack's bus arrives behind later ones", "rack", BORNE,
        value=0.2, value_min=0.0, value_max=1.0, unit="frac",
    ),
    FaultKind(
        "bus-bit-flips", "a share VALUE of the frames on a rack's bus has a bit flipped past the wire's own check",
        "rack", "monitor_crc_errors", value=0.2, value_min=0.0, value_max=1.0, unit="frac",
    ),
    FaultKind(
        "bus-babble", "a node babbles frames of the highest priority onto a rack's bus, for a share VALUE of the time",
        "rack", "cell_data_stale", value=1.0, value_min=0.0, value_max=1.0, unit="frac",
    ),
    FaultKind(
        "inverter-slow", "the converter answers VALUE s late", "", "inverter_lost",
        value=1.5, value_min=0.0, value_max=60.0, unit="s",
    ),
    FaultKind("inverter-resets", "the converter drops its connections, every VALUE s again", "", BORNE,
        value=2.0, value_min=0.05, value_max=1000.0, unit="s",
    ),
    FaultKind(
        "inverter-cuts", "of every VALUE answers of the converter the last ends in its middle, and the connection too",
        "", BORNE, value=100.0, value_min=1.0, value_max=1000.0, unit="answers", whole=True,
    ),
    FaultKind("inverter-splits", "the converter's answers come in two segments each", "", BORNE),
    FaultKind("inverter-repeats", "each of the converter's answers comes twice", "", BORNE),
    FaultKind(
        "inverter-unit", "the converter's answers say that they are unit VALUE's", "", "inverter_lost",
        value=7.0, value_min=0.0, value_max=255.0, unit="unit", whole=True,
    ),
    FaultKind(
        "inverter-exception", "the converter refuses every request with exception VALUE", "", "inverter_lost",
        value=4.0, value_min=1.0, value_max=11.0, unit="code", whole=True,
    ),
    FaultKind(
        "meter-slow", "the grid meter answers VALUE s late", "", "meter_lost",
        value=1.5, value_min=0.0, value_max=60.0, unit="s",
    ),
    FaultKind("meter-resets", "the grid meter drops its connections, every VALUE s again", "", BORNE,
        value=2.0, value_min=0.05, value_max=1000.0, unit="s",
    ),
    FaultKind(
        "meter-cuts", "of every VALUE answers of the meter the last ends in its middle, and the connection with it",
        "", BORNE, value=10.0, value_min=1.0, value_max=1000.0, unit="answers", whole=True,
    ),
    FaultKind(
        "meter-unit", "the meter's answers say that they are unit VALUE's", "", "meter_lost",
        value=7.0, value_min=0.0, value_max=255.0, unit="unit", whole=True,
    ),
    FaultKind(
        "meter-exception", "the meter refuses every request with exception VALUE", "", "meter_lost",
        value=4.0, value_min=1.0, value_max=11.0, unit="code", whole=True,
    ),
    FaultKind("switch-lost", "the switchgear's Modbus link is cut", "", "intertie_lost", needs="switch"),
)  # fmt: skip
