"""Grid and feeder meters, one module a protocol."""
