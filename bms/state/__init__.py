"""What survives `kill -9`: SoC, latched faults, counters and the log of fault events. The writer imports this level and
`files` only."""
