"""Great Britain's Dynamic Moderation.

NESO, Dynamic Moderation, service specification: nothing within 0.015 Hz, 5 % at 0.1 Hz, 100 % at 0.2 Hz, straight
between; full within 1 s, of which at most 0.5 s until it starts; 30 minutes. A fifth
of the energy of a full delivery comes back in each half hour, by a baseline that moves 5 % a minute."""

from hil_rigs.comply.great_britain import dynamic_service

SERVICE = dynamic_service(
    "uk-dm", "Great Britain's Dynamic Moderation: full within 1 s, 30 minutes",
    line=((0.015, 0.0), (0.1, 0.05), (0.2, 1.0)), start_s=0.5, full_s=1.0, hold_s=1800.0,
)  # fmt: skip
