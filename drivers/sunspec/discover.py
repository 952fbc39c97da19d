"""Finds which SunSpec models a device serves, and where."""

from dataclasses import dataclass
from typing import Protocol

from drivers.links.modbus import DeviceException, LinkTimeout
from drivers.sunspec.layout import HEADER_REGISTERS, SunSpecError

MARKER = [0x5375, 0x6E53]
"""`SunS` in ASCII."""
BASES = (40000, 0, 50000)
"""Where SunSpec allows the marker to be, in the order in which devices use them."""
END_ID = 0xFFFF
MODELS_MAX = 64
ADDRESSES = 0x10000


class RegisterReader(Protocol):
    """Reads holding registers; drivers.links.modbus.ModbusLink is one."""

    async def read_holding(self, address: int, count: int) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class ModelAddress:
    """One model of a device: `address` is that of its id register, `length` what its L register says."""

    model_id: int
    address: int
    length: int


@dataclass(frozen=True, slots=True)
class DeviceMap:
    """All models of a device in their order."""

    base: int
    models: tuple[ModelAddress, ...]

    def find(self, *model_ids: int) -> ModelAddress:
        """First model with one of the ids. SunSpecError when the device has none."""
        for model in self.models:
            if model.model_id in model_ids:
                return model
        served = ", ".join(str(model.model_id) for model in self.models)
        wanted = " or ".join(str(model_id) for model_id in model_ids)
        raise SunSpecError(f"the device serves no model {wanted} (it serves {served or 'none'})")

    def __contains__(self, model_id: int) -> bool:
        return any(model.model_id == model_id for model in self.models)


async def discover(link: RegisterReader) -> DeviceMap:
    """Reads the marker and walks the chain of models. SunSpecError without a marker or end; link errors pass."""
    base = await _find_marker(link)
    models: list[ModelAddress] = []
    address = base + len(MARKER)
    while len(models) < MODELS_MAX:
        model_id, length = await _read_header(link, address)
        if model_id == END_ID:
            return DeviceMap(base, tuple(models))
        models.append(ModelAddress(model_id, address, length))
        address += HEADER_REGISTERS + length
        if length == 0 or address + HEADER_REGISTERS > ADDRESSES:
            raise SunSpecError(f"model {model_id} at {models[-1].address} has the impossible length {length}")
    raise SunSpecError(f"no end after {MODELS_MAX} models")


async def _find_marker(link: RegisterReader) -> int:
    silence: LinkTimeout | None = None
    for base in BASES:
        try:
            if await link.read_holding(base, len(MARKER)) == MARKER:
                return base
        except DeviceException:
            continue
        except LinkTimeout as timeout:  # some devices do not answer off their map
            silence = timeout
    if silence is not None:
        raise silence
    raise SunSpecError(f"no SunS marker at any of {', '.join(map(str, BASES))}")


async def _read_header(link: RegisterReader, address: int) -> tuple[int, int]:
    """Id and length. Some devices end the map right behind the end id, so that it must be read alone."""
    try:
        model_id, length = await link.read_holding(address, HEADER_REGISTERS)
    except DeviceException:
        (model_id,) = await link.read_holding(address, 1)
        length = 0
    return model_id, length
