"""Great Britain's Dynamic Regulation.

NESO, Dynamic Regulation, service specification: nothing within 0.015 Hz, 100 % at 0.2 Hz, straight between; full
within 10 s, of which at most 2 s until it starts; 60 minutes. A fifth
of the energy of a full delivery comes back in each half hour, by a baseline that moves 5 % a minute."""

from hil_rigs.comply.great_britain import dynamic_service

SERVICE = dynamic_service(
    "uk-dr", "Great Britain's Dynamic Regulation: full within 10 s, 60 minutes",
    line=((0.015, 0.0), (0.2, 1.0)), start_s=2.0, full_s=10.0, hold_s=3600.0,
)  # fmt: skip
