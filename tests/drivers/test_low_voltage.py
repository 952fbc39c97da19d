"""The low-voltage protocol's frames: real ones as golden vectors, makers' variants, and what is never a reading."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.battery import BatteryAlarm, BatterySays
from drivers.frames import FrameBatch
from drivers.low_voltage import PROFILES, Profile
from drivers.low_voltage.codec import BatteryDecoder, BatteryEncoder
from drivers.readings import NEVER_NS

VICTRON, PYLONTECH, BYD = PROFILES["victron"], PROFILES["pylontech"], PROFILES["byd"]
A = BatteryAlarm


def wire(can_id: int, payload_hex: str) -> bytes:
    payload = bytes.fromhex(payload_hex)
    return struct.pack("<IB3x8s", can_id, len(payload), payload)


def said(profile: Profile, *frames: bytes, at_ns: int = 7) -> BatterySays:
    decoder = BatteryDecoder(profile)
    decoder.feed(FrameBatch(b"".join(frames), at_ns))
    return decoder.says()


# Captures. "BYD": Battery-Box Premium LVS to a Victron (github.com/dfch/BydCanProtocol, README). "Pytes": V5a to a
# Victron (github.com/hoylabs/PytesCANProtocol, README). "Pylontech": setfirelabs.com, "Pylontech CAN reading and CAN
# replication". "diyBMS": comment in its pylon_canbus.cpp (negative discharge limit). "480 A", "94 %" and "-27 A" are
# frames from the field.
LIMITS = [
    (VICTRON, "48 02 00 05 00 05 AE 01", (58.4, 128.0, 128.0, 43.0)),  # BYD
    (VICTRON, "38 02 E8 03 E8 03 C7 01", (56.8, 100.0, 100.0, 45.5)),  # Pytes
    (PYLONTECH, "14 02 74 0E 74 0E CC 01", (53.2, 370.0, 370.0, 46.0)),  # Pylontech
    (PYLONTECH, "14 02 C0 12 C0 12 C2 01", (53.2, 480.0, 480.0, 45.0)),
    (PYLONTECH, "14 02 C0 12 C0 12", (53.2, 480.0, 480.0, math.nan)),  # older ones send 6 bytes
    (
        Profile(alarms="0x359", discharge_limit="negative"),
        "44 02 64 00 9C FF 3F 02",
        (58.0, 10.0, 10.0, 57.5),
    ),  # diyBMS
]


@pytest.mark.parametrize(("profile", "payload", "limits"), LIMITS)
def test_golden_limits(profile: Profile, payload: str, limits: tuple[float, ...]) -> None:
    says = said(profile, wire(0x351, payload))
    got = (says.charge_voltage_v_max, says.charge_current_a_max, says.discharge_current_a_max)
    assert (*got, says.discharge_voltage_v_min) == pytest.approx(limits, abs=1e-9, nan_ok=True)
    assert says.limits_at_ns == 7


@pytest.mark.parametrize("payload", ["44 02 64 00 9C FF 3F 02", "44 02 9C FF 64 00 3F 02"])
def test_a_limit_of_the_wrong_sign_allows_nothing_rather_than_anything(payload: str) -> None:
    says = said(PYLONTECH, wire(0x351, payload))
    limits = says.charge_current_a_max, says.discharge_current_a_max
    assert sum(math.isnan(limit) for limit in limits) == 1
    assert 10.0 in limits


@pytest.mark.parametrize(
    ("profile", "payload", "soc_frac", "soh_frac"),
    [
        (BYD, "43 00 64 00 00 00 00 00", 0.67, 1.0),  # BYD
        (VICTRON, "43 00 64 00 00 00 00 00", 0.67, 1.0),  # the place of the finer SoC filled with zeros
        (PYLONTECH, "58 00 5E 00", 0.88, 0.94),
        (PYLONTECH, "1A 00 64 00", 0.26, 1.0),  # Pylontech
        (VICTRON, "50 00 5F 00 6C 1F", 0.8044, 0.95),  # the values of community.victronenergy.com/t/37102
        (PYLONTECH, "FF FF 64 00", math.nan, 1.0),
        (PYLONTECH, "65 00 65 00", math.nan, math.nan),
    ],
)
def test_golden_charge(profile: Profile, payload: str, soc_frac: float, soh_frac: float) -> None:
    says = said(profile, wire(0x355, payload))
    assert (says.soc_frac, says.soh_frac) == pytest.approx((soc_frac, soh_frac), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    ("current", "payload", "voltage_v", "current_a", "temperature_degc"),
    [
        ("charge-positive", "7A 13 F2 FE 6B 01", 49.86, 27.0, 36.3),  # -27.0 A on the wire: discharging
        ("discharge-positive", "7A 13 F2 FE 6B 01", 49.86, -27.0, 36.3),
        ("charge-positive", "BE 14 F9 FF 8C 00 00 00", 53.10, 0.7, 14.0),  # BYD
        ("charge-positive", "8E 14 0A 00 EC FF", 52.62, -1.0, -2.0),  # charging in the cold
        ("charge-positive", "8E 14 0A 00 FF 7F", 52.62, -1.0, math.nan),
        ("charge-positive", "FF FF 0A 00 EC FF", math.nan, -1.0, -2.0),  # below 0 V
    ],
)
def test_golden_measurement_is_positive_in_discharge(
    current: str, payload: str, voltage_v: float, current_a: float, temperature_degc: float
) -> None:
    profile = Profile(alarms="0x359", current=current)  # type: ignore[arg-type]
    says = said(profile, wire(0x356, payload))
    got = says.voltage_v, says.current_a, says.temperature_degc
    assert got == pytest.approx((voltage_v, current_a, temperature_degc), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    ("payload", "alarms", "warnings"),
    [
        ("00 00 00 00 0A 50 4E", A(0), A(0)),  # Pylontech
        ("02 00 00 00 0A 50 4E", A.HIGH_VOLTAGE, A(0)),
        ("94 01 00 00 0A 50 4E", A.LOW_VOLTAGE | A.LOW_TEMPERATURE | A.HIGH_DISCHARGE_CURRENT | A.HIGH_CHARGE_CURRENT,
         A(0)),
        ("00 08 08 08", A.INTERNAL, A.HIGH_TEMPERATURE | A.INTERNAL),
    ],
)  # fmt: skip
def test_golden_alarms_of_0x359(payload: str, alarms: A, warnings: A) -> None:
    says = said(PYLONTECH, wire(0x359, payload))
    assert (says.alarms, says.warnings, says.alarms_at_ns) == (alarms, warnings, 7)


@pytest.mark.parametrize(
    ("payload", "alarms", "warnings"),
    [
        ("AA AA AA AA AA AA AA AA", A(0), A(0)),  # BYD
        ("00 00 00 00 00 00 00 00", A(0), A(0)),  # Pytes
        ("10 00 00 00 00 00 00 00", A.LOW_VOLTAGE, A(0)),  # Pytes, as all below
        ("40 00 00 00 04 00 00 00", A.HIGH_TEMPERATURE, A.HIGH_VOLTAGE),
        ("00 11 00 00 00 44 00 00", A.LOW_TEMPERATURE | A.LOW_CHARGE_TEMPERATURE,
         A.HIGH_CHARGE_TEMPERATURE | A.HIGH_DISCHARGE_CURRENT),
        ("00 00 41 01 00 00 01 01", A.INTERNAL | A.HIGH_CHARGE_CURRENT | A.IMBALANCE,
         A.HIGH_CHARGE_CURRENT | A.IMBALANCE),
        ("01 00 14 00 00 00 00 00", A.GENERAL | A.CONTACTOR | A.SHORT_CIRCUIT, A(0)),
    ],
)  # fmt: skip
def test_golden_alarms_of_0x35a(payload: str, alarms: A, warnings: A) -> None:
    says = said(VICTRON, wire(0x35A, payload))
    assert (says.alarms, says.warnings) == (alarms, warnings)


def test_alarms_of_the_other_makers_message_are_not_heard() -> None:
    assert said(VICTRON, wire(0x359, "02 00 00 00 0A 50 4E")).alarms is None
    assert said(PYLONTECH, wire(0x35A, "10 00 00 00 00 00 00 00")).alarms is None


@pytest.mark.parametrize(
    ("payload", "requests"),
    [
        ("C0 00", (True, True, False, False)),  # Pylontech
        ("80", (True, False, False, False)),
        ("E8 00", (True, True, True, True)),
        ("D0 00", (True, True, True, False)),
        ("00 00", (False, False, False, False)),
    ],
)
def test_golden_requests(payload: str, requests: tuple[bool, ...]) -> None:
    says = said(PYLONTECH, wire(0x35C, payload))
    got = says.charge_allowed, says.discharge_allowed, says.charge_requested, says.full_charge_requested
    assert got == requests


@pytest.mark.parametrize(
    ("payload", "name"),
    [("50 59 4C 4F 4E 20 20 20", "PYLON"), ("42 59 44 00 00 00 00 00", "BYD"), ("50 59 54 45 53", "PYTES")],
)
def test_golden_name(payload: str, name: str) -> None:
    assert said(VICTRON, wire(0x35E, payload)).name == name


def test_golden_cells_and_capacity() -> None:
    says = said(VICTRON, wire(0x373, "EA 0C 01 0D 1F 01 22 01"), wire(0x379, "9C 00 00 00 00 00 00 00"))  # BYD
    assert (says.cell_voltage_v_min, says.cell_voltage_v_max) == pytest.approx((3.306, 3.329))
    assert (says.cell_temperature_degc_min, says.cell_temperature_degc_max) == (14.0, 17.0)
    assert (says.capacity_ah, says.cells_at_ns) == (156.0, 7)


def test_nothing_heard_is_absent_not_plausible() -> None:
    says = said(PYLONTECH)
    assert {value for value in says if isinstance(value, int)} == {NEVER_NS}
    assert all(math.isnan(value) for value in says if isinstance(value, float))
    assert {value for value in says if not isinstance(value, float | int)} == {None, ""}


@pytest.mark.parametrize(
    ("can_id", "payload"),
    [(0x351, "14 02 C0 12 C0"), (0x355, "58 00"), (0x356, "7A 13 F2 FE"), (0x359, "02 00 00"), (0x35A, "10 00 00 00")],
)
def test_a_frame_that_is_too_short_is_no_reading(can_id: int, payload: str) -> None:
    decoder = BatteryDecoder(PYLONTECH)
    assert decoder.feed(FrameBatch(wire(can_id, payload), 7)) == 0
    assert decoder.health.length_errors == 1
    assert decoder.says().limits_at_ns == NEVER_NS


SAYS = BatterySays(
    charge_voltage_v_max=56.8, charge_current_a_max=100.0, discharge_current_a_max=120.0, discharge_voltage_v_min=45.5,
    soc_frac=0.51, soh_frac=0.98, voltage_v=52.62, current_a=-12.3, temperature_degc=18.0,
    alarms=A.HIGH_VOLTAGE, warnings=A.HIGH_TEMPERATURE, charge_allowed=True, discharge_allowed=False,
    charge_requested=False, full_charge_requested=False, cell_voltage_v_min=3.288, cell_voltage_v_max=3.290,
    cell_temperature_degc_min=16.0, cell_temperature_degc_max=18.0, capacity_ah=100.0, name="CELLWARD",
)  # fmt: skip


def test_pylontech_frames_are_these_bytes() -> None:
    assert BatteryEncoder(PYLONTECH).encode(SAYS) == b"".join(
        [
            wire(0x351, "38 02 E8 03 B0 04 C7 01"),
            wire(0x355, "33 00 62 00"),
            wire(0x356, "8E 14 7B 00 B4 00"),
            wire(0x359, "02 00 08 00 00 50 4E"),
            wire(0x35C, "80 00"),
            wire(0x35E, "43 45 4C 4C 57 41 52 44"),
        ]
    )


def test_victron_frames_are_these_bytes() -> None:
    assert BatteryEncoder(VICTRON).encode(SAYS) == b"".join(
        [
            wire(0x351, "38 02 E8 03 B0 04 C7 01"),
            wire(0x355, "33 00 62 00 EC 13"),
            wire(0x356, "8E 14 7B 00 B4 00"),
            wire(0x35A, "A6 AA AA 02 6A AA AA 02"),
            wire(0x35E, "43 45 4C 4C 57 41 52 44"),
            wire(0x373, "D8 0C DA 0C 21 01 23 01"),
            wire(0x379, "64 00"),
        ]
    )


def test_signs_of_a_variant_go_onto_the_wire() -> None:
    profile = Profile(alarms="0x359", discharge_limit="negative", current="discharge-positive")
    sent = BatteryEncoder(profile).encode(SAYS)
    assert sent[:16] == wire(0x351, "38 02 E8 03 50 FB C7 01")
    assert sent[32:48] == wire(0x356, "8E 14 85 FF B4 00")


def test_limits_are_rounded_to_the_safe_side_and_unknown_ones_allow_nothing() -> None:
    near = SAYS._replace(charge_voltage_v_max=56.89, charge_current_a_max=9.99, discharge_current_a_max=0.19,
                         discharge_voltage_v_min=45.51)  # fmt: skip
    assert BatteryEncoder(PYLONTECH).encode(near)[:16] == wire(0x351, "38 02 63 00 01 00 C8 01")
    assert BatteryEncoder(PYLONTECH).encode(BatterySays()) == wire(0x351, "00 00 00 00 00 00 00 00")
    huge = SAYS._replace(charge_current_a_max=5000.0, discharge_current_a_max=math.inf, charge_voltage_v_max=1e9)
    assert BatteryEncoder(PYLONTECH).encode(huge)[:16] == wire(0x351, "FF FF FF 7F FF 7F C7 01")


def test_keep_alive_is_heard() -> None:
    decoder = BatteryDecoder(PYLONTECH)
    assert BatteryEncoder(PYLONTECH).keep_alive() == wire(0x305, "00 00 00 00 00 00 00 00")
    decoder.feed(FrameBatch(wire(0x305, "00 00 00 00 00 00 00 00"), 9))
    assert decoder.keep_alive_at_ns == 9
    decoder.feed(FrameBatch(wire(0x305, ""), 10))
    assert decoder.keep_alive_at_ns == 10


FIELDS = ("charge_voltage_v_max", "charge_current_a_max", "discharge_current_a_max", "discharge_voltage_v_min",
          "soc_frac", "soh_frac", "voltage_v", "current_a", "temperature_degc", "alarms", "warnings",
          "name")  # fmt: skip
steps = st.integers(0, 32_767)


@given(st.sampled_from(sorted(PROFILES)), steps, steps, st.integers(-32_767, 32_767), st.integers(0, 100))
def test_what_is_sent_is_what_is_heard(name: str, charge: int, discharge: int, current: int, percent: int) -> None:
    says = SAYS._replace(charge_current_a_max=charge / 10, discharge_current_a_max=discharge / 10,
                         current_a=current / 10, soc_frac=percent / 100)  # fmt: skip
    heard = said(PROFILES[name], BatteryEncoder(PROFILES[name]).encode(says))
    for field in FIELDS:
        assert getattr(heard, field) == _about(getattr(says, field)), field


def _about(value: object) -> object:
    return pytest.approx(value, abs=1e-6) if isinstance(value, float) else value
