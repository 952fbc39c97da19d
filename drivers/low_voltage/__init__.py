"""The CAN protocol between low-voltage batteries and inverters (0x351 to 0x379, keep-alive 0x305), in both directions.

500 kbit/s, 11-bit ids, little-endian, each message about once a second. Who made it: SMA for the Sunny Island
("Connecting Batteries with external Battery Management System"), taken over with variants by Victron (CAN-bus BMS),
Pylontech ("CAN-Bus-protocol-PYLON-low-voltage"), BYD and others.
"""

from drivers.low_voltage.profile import PROFILES, Profile

__all__ = ["PROFILES", "Profile"]
