"""Listens on a CAN bus for some seconds: which known protocols it hears, and how a site file names them."""

import asyncio
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from bms.probe.answers import Answer, NothingAnswers, UrlError
from bms.probe.can_protocols import PROTOCOLS
from bms.probe.heard import Heard
from drivers.links.can import CanConfig, CanOpener, open_python_can
from drivers.links.can_library import VALID_INTERFACES

LISTEN_S = 6.0
"""Long enough for the slowest sweep that is known: 5.4 s for 216 cells of a foxBMS 2."""
LISTEN_S_MAX = 600.0
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
EXPECTED = "expected can://INTERFACE/CHANNEL[?host=HOST&port=PORT&bitrate=BIT_S&seconds=S]"
OTHERS_MAX = 12
"""Unknown ids that are named."""


@dataclass(frozen=True, slots=True)
class CanPlace:
    """A bus as python-can names it, and how long to listen."""

    config: CanConfig
    listen_s: float


async def probe_can(place: str, opener: CanOpener = open_python_can) -> list[Answer]:
    """`place` is INTERFACE/CHANNEL[?host=HOST&port=PORT&bitrate=BIT_S&seconds=S]. Only listens, sends nothing. UrlError
    for what is no place, NothingAnswers for a bus that cannot be opened or is silent."""
    where = parse_place(place)
    heard = await _listen(where, opener)
    answers = [answer for protocol in PROTOCOLS if (answer := protocol(heard, _can_text(where.config))) is not None]
    if others := heard.unclaimed():
        answers.append(_unknown(others, heard))
    return answers


def parse_place(place: str) -> CanPlace:
    """UrlError for what is no place."""
    url = f"can://{place}"
    parts = urlsplit(url)
    interface, channel = parts.netloc, parts.path.lstrip("/")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not WORD.fullmatch(interface) or not WORD.fullmatch(channel):
        raise UrlError(f"{url!r}: not a place, {EXPECTED}")
    if interface not in VALID_INTERFACES:
        known = ", ".join(sorted(VALID_INTERFACES))
        raise UrlError(f"{url!r}: python-can has no interface {interface!r}, expected one of {known}")
    if unknown := sorted(set(options) - {"host", "port", "bitrate", "seconds"}):
        raise UrlError(f"{url!r}: unknown option {unknown[0]!r}, {EXPECTED}")
    config = CanConfig(
        interface=interface,
        channel=channel,
        host=options.get("host"),
        port=_number(url, options, "port", 65_535),
        bitrate=_number(url, options, "bitrate", 1_000_000),
    )
    return CanPlace(config, _seconds(url, options))


def _number(url: str, options: dict[str, str], name: str, most: int) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= most):
        raise UrlError(f"{url!r}: {name} {text!r}, expected a whole number from 1 to {most}")
    return int(text)


def _seconds(url: str, options: dict[str, str]) -> float:
    text = options.get("seconds", str(LISTEN_S))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= LISTEN_S_MAX:
        raise UrlError(f"{url!r}: seconds {text!r}, expected a number above 0, up to {LISTEN_S_MAX:g}")
    return seconds


async def _listen(where: CanPlace, opener: CanOpener) -> Heard:
    heard = Heard()
    try:
        port = await opener(where.config, heard.take)
    except OSError as error:
        raise NothingAnswers(f"{_name(where.config)}: cannot be opened: {error or type(error).__name__}") from None
    except ValueError as error:
        raise UrlError(f"{_name(where.config)}: {error}") from None
    try:
        await asyncio.sleep(where.listen_s)
    finally:
        port.close()
    if not heard.frames:
        hint = "check bit rate, wires and terminators"
        raise NothingAnswers(f"{_name(where.config)}: no frame within {where.listen_s:g} s; {hint}")
    return heard


def _name(config: CanConfig) -> str:
    return f"{config.interface}/{config.channel}"


def _can_text(config: CanConfig) -> str:
    """The bus as a site file names it."""
    options = {"interface": config.interface, "channel": config.channel, "host": config.host, "port": config.port,
               "bitrate": config.bitrate}  # fmt: skip
    return "{" + ", ".join(f"{name}: {value}" for name, value in options.items() if value is not None) + "}"


def _unknown(ids: list[int], heard: Heard) -> Answer:
    named = ", ".join(f"0x{can_id & 0x1FFF_FFFF:X}" for can_id in ids[:OTHERS_MAX])
    more = f" and {len(ids) - OTHERS_MAX} more" if len(ids) > OTHERS_MAX else ""
    frames = sum(heard.frames[can_id].count for can_id in ids)
    says = f"{frames} frames of no known protocol: {named}{more}; with a DBC file: monitor: dbc, docs/mapping-file.md"
    return Answer((says,), details={"protocol": None, "ids": [can_id & 0x1FFF_FFFF for can_id in ids]})
