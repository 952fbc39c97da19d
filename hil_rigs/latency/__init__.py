"""How long from a cause on the plant or the wire to the stop and to the contactors, in virtual time."""
