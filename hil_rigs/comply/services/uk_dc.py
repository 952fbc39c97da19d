"""Great Britain's Dynamic Containment.

NESO, Dynamic Containment, service specification: nothing within 0.015 Hz, 5 % at 0.2 Hz, 100 % at 0.5 Hz, straight
between; full within 1 s, of which at most 0.5 s until it starts; 15 minutes. Monitoring at 20 Hz forgives an error of
3 %. A fifth of the energy of a full delivery comes back in each half hour, by a baseline that moves 5 % a minute."""

from hil_rigs.comply.great_britain import dynamic_service

SERVICE = dynamic_service(
    "uk-dc", "Great Britain's Dynamic Containment: full within 1 s, 15 minutes",
    line=((0.015, 0.0), (0.2, 0.05), (0.5, 1.0)), start_s=0.5, full_s=1.0, hold_s=900.0,
)  # fmt: skip
