"""A converter's and a meter's SunSpec registers, typed by hand from the definitions, and a device that holds them.

Offsets and scale factors here come from the SunSpec documents alone, never from the code under test.
"""

import itertools

from hil_rigs.devices.modbus_frames import ModbusFault

INT16_ABSENT = 0x8000


def model(model_id: int, length: int, points: dict[int, list[int]]) -> list[int]:
    """A model whose `points` (offset from the id register to registers) are set, all others int16 "absent"."""
    registers = [model_id, length] + [INT16_ABSENT] * length
    for offset, values in points.items():
        registers[offset : offset + len(values)] = values
    assert len(registers) == length + 2
    return registers


COMMON = model(1, 66, {2: [0x4143, 0x4D45] + [0] * 14})

# Discharging 123.4 kW and absorbing 50.6 kvar: W = 1234 x 10^2 W, Var = -506 x 10^2 var; LLV = 4013 x 10^-1 V,
# LNV = 2317 x 10^-1 V; 59.98 Hz = 5998 x 10^-2; alarm bit 1 (DC over-voltage); RUNNING, connected.
AC_DISCHARGING = {2: [2], 4: [3], 5: [1], 6: [0, 2], 8: [0, 1], 10: [0x04D2], 12: [0xFE06], 15: [4013], 16: [2317]}
AC_DISCHARGING |= {17: [0, 0x176E], 114: [0xFFFF], 115: [0xFFFE], 116: [2], 119: [2]}
# Charging 123.4 kW: W = -1234.
AC_CHARGING = AC_DISCHARGING | {10: [0xFB2E]}
# 500 kW in both directions: 50000 x 10^1; 600 kW in general; 560 kVA = 5600 x 10^2, +250 kvar, -240 kvar, 400 V.
CAPACITY = {2: [60000], 7: [5600], 8: [2500], 9: [2400], 10: [50000], 11: [50000], 14: [400]}
CAPACITY |= {45: [1], 47: [2], 48: [2], 49: [0]}
# WSet in 1 W, WSetPct absent; VarSet in 10 var, VarSetPct absent.
CONTROLS = {22: [0], 23: [0], 24: [0, 0], 26: [0, 0], 30: [0], 31: [0, 0], 33: [0, 0], 55: [0]}
CONTROLS |= {35: [0], 36: [4], 37: [0], 38: [0, 0], 40: [0, 0], 44: [0], 45: [0, 0], 47: [0, 0], 57: [1]}
# One ESS port: -92.7 A = -927 x 10^-1, 1331.2 V = 13312 x 10^-1, -123.4 kW = -1234 x 10^2.
DC_CHARGING = {4: [1], 15: [0xFFFF], 16: [0xFFFF], 17: [2], 20: [1], 30: [0xFC61], 31: [0x3400], 32: [0xFB2E]}
DC_DISCHARGING = DC_CHARGING | {30: [0x039F], 32: [0x04D2]}
REMOTE = {2: [0], 3: [0, 7], 5: [0, 0], 8: [0]}

# Addresses that follow from the lengths: 40002 + 68, + 155, + 52, + 67, + 45.
AC_AT = 40070
CONTROLS_AT = 40277
CONTROL_AT = 40389


def converter(
    ac: dict[int, list[int]] = AC_DISCHARGING,
    dc: dict[int, list[int]] = DC_DISCHARGING,
    controls: dict[int, list[int]] = CONTROLS,
    control: dict[int, list[int]] = REMOTE,
) -> "RawDevice":
    models = [
        COMMON,
        model(701, 153, ac),
        model(702, 50, CAPACITY),
        model(704, 65, controls),
        model(714, 43, dc),
        model(715, 7, control),
    ]
    return RawDevice([0x5375, 0x6E53, *itertools.chain(*models), 0xFFFF, 0])


def meter(points: dict[int, list[int]], model_id: int = 203, length: int = 105) -> "RawDevice":
    return RawDevice([0x5375, 0x6E53, *COMMON, *model(model_id, length, points), 0xFFFF, 0])


class RawDevice:
    """Registers from `base`, all readable and writable; `writes` keeps what was written where."""

    def __init__(self, registers: list[int], base: int = 40000) -> None:
        self.registers, self.base = registers, base
        self.writes: list[tuple[int, list[int]]] = []

    def read(self, address: int, count: int) -> list[int]:
        first = address - self.base
        if first < 0 or first + count > len(self.registers):
            raise ModbusFault(2)
        return self.registers[first : first + count]

    def write(self, address: int, values: list[int]) -> None:
        first = address - self.base
        self.registers[first : first + len(values)] = values
        self.writes.append((address, values))
