"""Probes a Modbus TCP server: which units answer, SunSpec or not, and how a site file names the device."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from bms.probe.answers import Answer, NothingAnswers, UrlError
from drivers.inverters.sunspec.legacy import is_legacy
from drivers.links.modbus import BadAnswer, DeviceException, LinkDown, LinkError, LinkTimeout, ModbusLink
from drivers.meters.sunspec import FLOAT_MODELS, INTEGER_MODELS
from drivers.profiles import Profile, shipped_profiles
from drivers.profiles.reader import POLLED, RoleReader
from drivers.readings import InverterState
from drivers.sunspec import DeviceMap, SunSpecError, Value, discover, open_model
from drivers.sunspec.battery import BatteryReading, read_battery

URL = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})(?:/(?P<unit>[0-9]{1,3}))?")
UNITS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100, 126, 240, 247, 0)
"""Units that devices have when they come; 126 and 240 are those of large makers' inverters and meters."""
CONNECT_S = 3.0
TIMEOUT_S = 0.5
NOBODY = (0x0A, 0x0B)
"""Exceptions of a gateway behind which the unit is not there (Modbus Application Protocol 1.1b3, section 7)."""
COMMON = ("Mn", "Md", "Vr", "SN")
INVERTER_MODELS, LEGACY_MODELS = (701, 704, 715), (120, 123, 124)


@dataclass(frozen=True, slots=True)
class Place:
    """Host and port of a server, and the one unit asked for, if any."""

    host: str
    port: int
    unit: int | None


async def probe_tcp(place: str) -> list[Answer]:
    """`place` is HOST:PORT or HOST:PORT/UNIT. Without a unit those that devices usually have are tried."""
    where = _parse(place)
    await _require_server(where)
    units = UNITS if where.unit is None else (where.unit,)
    answers: list[Answer] = []
    for unit in units:
        answer = await _look(where, unit)
        if answer is not None and all(answer.details | {"unit": 0} != old.details | {"unit": 0} for old in answers):
            answers.append(answer)
    if not answers:
        tried = ", ".join(map(str, units))
        raise NothingAnswers(f"{where.host}:{where.port} takes connections, but no unit answers Modbus (tried {tried})")
    return answers


def _parse(place: str) -> Place:
    match = URL.fullmatch(place)
    expected = "expected tcp://HOST:PORT or tcp://HOST:PORT/UNIT"
    if match is None:
        raise UrlError(f"'tcp://{place}': not a place, {expected}")
    port, unit = int(match["port"]), None if match["unit"] is None else int(match["unit"])
    if not 1 <= port <= 65_535:
        raise UrlError(f"'tcp://{place}': no port {port}, expected 1 to 65535")
    if unit is not None and unit > 255:
        raise UrlError(f"'tcp://{place}': no unit {unit}, expected 0 to 255")
    return Place(match["host"].strip("[]"), port, unit)


async def _require_server(where: Place) -> None:
    link = ModbusLink(where.host, where.port, 1)
    try:
        async with asyncio.timeout(CONNECT_S):
            await link.connect()
    except TimeoutError:
        raise NothingAnswers(f"nothing answers at {where.host}:{where.port} ({link.refusal})") from None
    finally:
        link.close()


async def _look(where: Place, unit: int) -> Answer | None:
    """What the unit is; None when nobody answers."""
    link = ModbusLink(where.host, where.port, unit, TIMEOUT_S)
    try:
        async with asyncio.timeout(CONNECT_S):
            await link.connect()
        if not await _answers(link):
            return None
        try:
            return await _sunspec(where, unit, link, await discover(link))
        except (SunSpecError, LinkTimeout, DeviceException, BadAnswer) as error:
            return await _other(where, unit, link, str(error))
    except (TimeoutError, LinkDown):
        return None
    finally:
        link.close()


async def _answers(link: ModbusLink) -> bool:
    """Any reply counts but a gateway's that the unit is not there."""
    for read, address in ((link.read_holding, 40_000), (link.read_holding, 0), (link.read_input, 0)):
        try:
            await read(address, 1)
        except DeviceException as refusal:
            if refusal.code in NOBODY:
                return False
        except LinkTimeout:
            continue
        return True
    return False


async def _sunspec(where: Place, unit: int, link: ModbusLink, found: DeviceMap) -> Answer:
    values = (await open_model(link, found.find(1))).values if 1 in found else {}
    common = {name: text for name in COMMON if (text := _printable(values.get(name)))}
    models = [model.model_id for model in found.models]
    kind, why = _kind(found)
    battery = await read_battery(link, found)
    says = (
        f"{where.host}:{where.port} unit {unit}: SunSpec at {found.base}, models {', '.join(map(str, models))}",
        _who(common),
        *([] if battery is None else [_battery(battery)]),
        *([] if not why else [why]),
    )  # fmt: skip
    details = {"unit": unit, "kind": kind, "sunspec_base": found.base, "models": models, "common": common}
    return Answer(says, _fragment(kind, where, unit, ()), details)


def _battery(said: BatteryReading) -> str:
    words = {
        "SoC": (100.0 * said.soc_frac, "%"),
        "SoH": (100.0 * said.soh_frac, "%"),
        "voltage": (said.voltage_v, "V"),
        "lowest cell": (said.cell_voltage_v_min, "V"),
        "highest cell": (said.cell_voltage_v_max, "V"),
        "coldest module": (said.module_temperature_degc_min, "degC"),
        "hottest module": (said.module_temperature_degc_max, "degC"),
    }
    known = [f"{name} {value:g} {unit}" for name, (value, unit) in words.items() if not isnan(value)]
    counts = [f"{said.strings} strings"] if said.strings is not None else []
    counts += [f"{len(said.each_string)} of them one by one"] if said.each_string else []
    counts += [f"{len(said.cell_voltage_v)} cells one by one"] if said.cell_voltage_v else []
    return f"its battery: {', '.join([*known, *counts]) or 'nothing said'}"


def _printable(value: Value) -> str:
    """A device's own words without what no terminal should get."""
    return "".join(each for each in str(value or "") if each.isprintable() and each != "\ufffd").strip()


def _who(common: dict[str, str]) -> str:
    name = " ".join(common[each] for each in ("Mn", "Md") if each in common) or "unknown maker"
    return f"{name}, version {common.get('Vr', 'unknown')}, serial {common.get('SN', 'unknown')}"


def _kind(found: DeviceMap) -> tuple[str | None, str]:
    """The key of a site file that takes the device, and what else there is to say."""
    if all(model in found for model in INVERTER_MODELS):
        return "inverter", ""
    if is_legacy(found) and all(model in found for model in LEGACY_MODELS):
        return "inverter", "older models: when nobody speaks to it, it goes back to its own behaviour, not to 0 W"
    if any(model in found for model in (*INTEGER_MODELS, *FLOAT_MODELS)):
        return "grid_meter", ""
    lacking = ", ".join(str(model) for model in INVERTER_MODELS if model not in found)
    return None, f"neither a meter nor an inverter that takes set-points (it lacks {lacking})"


async def _other(where: Place, unit: int, link: ModbusLink, why: str) -> Answer:
    """Answers, but is no SunSpec device: perhaps one that a shipped profile describes."""
    first = f"{where.host}:{where.port} unit {unit}: answers Modbus, but is no SunSpec device ({why})"
    fitting = [profile for profile in shipped_profiles() if profile.kind in PROBED and await _fits(profile, link)]
    if len(fitting) != 1:
        hint = "describe it as data: see docs/profiles.md, and start from a shipped profile"
        names = [profile.name for profile in fitting]
        return Answer((first, hint), details={"unit": unit, "kind": None, "profiles": names})
    (profile,) = fitting
    kind = "inverter" if profile.kind == "inverter" else "grid_meter"
    says = (first, f"its registers could be those of profile {profile.name}: compare them with its manual")
    extra = ("driver: profile", f"profile: {profile.name}", *_reversion(profile))
    details = {"unit": unit, "kind": kind, "profiles": [profile.name]}
    return Answer(says, _fragment(kind, where, unit, extra), details)


async def _fits(profile: Profile, link: ModbusLink) -> bool:
    """All that a poll reads is there, within its bounds; of an inverter in a state that the profile knows."""
    try:
        said = await RoleReader(profile, POLLED[profile.kind]).read(link)
        numbers = [said.number(role) for role in POLLED[profile.kind] if role not in NOT_NUMBERS]
    except LinkError:
        return False
    return any(abs(number) > 0.0 for number in numbers) and (
        profile.kind == "meter" or said.state() is not InverterState.UNKNOWN
    )


PROBED = ("inverter", "meter")
NOT_NUMBERS = ("state", "alarms", "grid-connected", "remote-control")


def _reversion(profile: Profile) -> Sequence[str]:
    shortest_s = profile.reversion_s_min
    return () if shortest_s <= 1 else (f"reversion_s: {shortest_s}",)


def _fragment(kind: str | None, where: Place, unit: int, extra: Sequence[str]) -> str:
    if kind is None:
        return ""
    host = f'"{where.host}"' if ":" in where.host else where.host
    return f"{kind}: {{{', '.join([*extra, f'host: {host}', f'port: {where.port}', f'unit: {unit}'])}}}"
