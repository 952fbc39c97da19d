"""The other side of the wire: what serves registers to somebody else's client."""
