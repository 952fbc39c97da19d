"""Simulated plants and devices, faults, scenarios and tuning around the controller (command: hil)."""
