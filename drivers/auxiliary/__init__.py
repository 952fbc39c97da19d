"""Devices around the racks over Modbus: I/O block, auxiliary supply, cooling, fire panel."""
