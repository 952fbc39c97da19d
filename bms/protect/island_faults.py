"""Faults on the way from the grid to an island, through the dark and back."""

from bms.protect.fault_kind import Action, FaultKind, Level, row


def _island(id: str, meaning: str, advice: str, *, latched: bool = False) -> FaultKind:
    return row(id, Level.SYSTEM, Action.WARN, meaning, advice, latched=latched)


ISLAND_FAULTS: tuple[FaultKind, ...] = (
    _island("intertie_lost", "The switchgear between site and grid does not answer.",
            "Check its link; until it answers nothing is opened, closed or formed."),
    _island("intertie_stuck_closed", "The intertie does not open although it was told to.",
            "Open it by hand before anybody works behind it; the converter stops by its own limits."),
    _island("intertie_not_closing", "The intertie does not close although both sides agree, or the site is dead.",
            "Check the sync-check relay and the switch's own locks."),
    _island("sync_timeout", "The site does not come into step with the grid in time.",
            "Compare both sides' voltage and frequency; check the synchroniser."),
    _island("island_not_formed", "The converter does not make the site's voltage in time.",
            "Read the converter's alarms; the load is dark unless something else feeds it."),
    _island("island_overload", "The load is above what the battery can give, and nothing is left to shed.",
            "Switch loads off by hand, or mark more of them as blocks."),
    _island("block_not_following", "A load block's contactor does not do what it was told.",
            "Check the contactor named and its output."),
    _island("dead_bus_not_dead", "The site's bus has voltage although the intertie is open and the converter stands.",
            "Find the other source: two of them out of step must never meet."),
    _island("black_start_no_battery", "No rack is on the DC link long after the site went dark.",
            "Look at the racks' faults: without them nothing can start."),
    _island("black_start_failed", "The site stayed dark through all its black starts.",
            "Find out why from the faults before this one, then reset it.", latched=True),
)  # fmt: skip
