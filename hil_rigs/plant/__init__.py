"""The physical truth behind a rig: cells, racks, DC bus, converter and load. Knows nothing of the controller."""
