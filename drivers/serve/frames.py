"""Modbus TCP frames on the server's side, as pure functions: bytes to requests, requests to answers.

Source: Modbus Application Protocol 1.1b3 (sections 6 and 7) and Modbus Messaging on TCP/IP 1.0b (section 3.1.3).
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE = 1, 2, 3, 4
GATEWAY_NO_ANSWER = 0x0B
HEADER = struct.Struct(">HHHB")
ADDRESS_COUNT = struct.Struct(">xHH")
LENGTH_MIN, LENGTH_MAX = 2, 254
READ_MAX, WRITE_MAX = 125, 123
READ_BITS_MAX, WRITE_BITS_MAX = 2000, 1968
COIL_VALUES = {0x0000: 0, 0xFF00: 1}
"""What function 5 may carry (section 6.5)."""
ADDRESSES = 0x10000

Read = Callable[[int, int], list[int]]
Write = Callable[[int, list[int]], None]


class ModbusFault(Exception):  # noqa: N818
    """The device refuses a request with this Modbus exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Modbus exception {code}")
        self.code = code


class Frame(NamedTuple):
    """One request as received; `pdu` starts with the function code."""

    transaction: int
    unit: int
    pdu: bytes

    def answer(self, pdu: bytes) -> bytes:
        """Frame that carries `pdu` back."""
        return HEADER.pack(self.transaction, 0, len(pdu) + 1, self.unit) + pdu


def split_frames(data: bytes) -> tuple[list[Frame], bytes]:
    """All whole frames in `data`, and the rest (shorter than one frame). ValueError when it cannot be Modbus."""
    frames = []
    while len(data) >= HEADER.size:
        transaction, protocol, length, unit = HEADER.unpack_from(data)
        if protocol != 0 or not LENGTH_MIN <= length <= LENGTH_MAX:
            raise ValueError(f"no Modbus header: protocol {protocol}, length {length}")
        end = HEADER.size - 1 + length
        if len(data) < end:
            break
        frames.append(Frame(transaction, unit, data[HEADER.size : end]))
        data = data[end:]
    return frames, data


def exception_pdu(function: int, code: int) -> bytes:
    return bytes((function | 0x80, code))


def answer_to(request: bytes, read: Read, read_input: Read, write: Write) -> bytes:
    """Answer PDU to a request PDU. ModbusFault 1 for a function other than 3, 4, 6, 16, 3 for impossible counts, 2
    beyond the last address; whatever the three functions raise passes."""
    function = request[0]
    if function == 3:
        return _answer_read(request, read)
    if function == 4:
        return _answer_read(request, read_input)
    if function == 6:
        return _answer_write_one(request, write)
    if function == 16:
        return _answer_write_many(request, write)
    raise ModbusFault(ILLEGAL_FUNCTION)


@dataclass(frozen=True, slots=True)
class BitAccess:
    """Coils and discrete inputs of a device, each 0 or 1."""

    read_coils: Read
    read_discrete: Read
    write_coils: Write


def answer_bits(request: bytes, bits: BitAccess) -> bytes:
    """Answer PDU to a request PDU of function 1, 2, 5 or 15; refused as by `answer_to`."""
    function = request[0]
    if function == 5:
        return _answer_write_coil(request, bits.write_coils)
    if function == 15:
        return _answer_write_coils(request, bits.write_coils)
    return _answer_read_bits(request, bits.read_coils if function == 1 else bits.read_discrete)


def _answer_read_bits(request: bytes, read: Read) -> bytes:
    address, count = _address_and_count(request)
    _check(address, count, READ_BITS_MAX)
    size = -(-count // 8)
    packed = sum(bit << k for k, bit in enumerate(read(address, count)))
    return bytes((request[0], size)) + packed.to_bytes(size, "little")


def _answer_write_coil(request: bytes, write: Write) -> bytes:
    address, value = _address_and_count(request)
    if value not in COIL_VALUES:
        raise ModbusFault(ILLEGAL_VALUE)
    write(address, [COIL_VALUES[value]])
    return request


def _answer_write_coils(request: bytes, write: Write) -> bytes:
    if len(request) < 6:
        raise ModbusFault(ILLEGAL_VALUE)
    address, count, size = struct.unpack_from(">xHHB", request)
    _check(address, count, WRITE_BITS_MAX)
    if size != -(-count // 8) or len(request) != 6 + size:
        raise ModbusFault(ILLEGAL_VALUE)
    packed = int.from_bytes(request[6:], "little")
    write(address, [packed >> k & 1 for k in range(count)])
    return request[:5]


def _answer_read(request: bytes, read: Read) -> bytes:
    address, count = _address_and_count(request)
    _check(address, count, READ_MAX)
    registers = read(address, count)
    return struct.pack(f">BB{count}H", request[0], 2 * count, *registers)


def _answer_write_one(request: bytes, write: Write) -> bytes:
    address, value = _address_and_count(request)
    write(address, [value])
    return request


def _answer_write_many(request: bytes, write: Write) -> bytes:
    if len(request) < 6:
        raise ModbusFault(ILLEGAL_VALUE)
    address, count, size = struct.unpack_from(">xHHB", request)
    if size != 2 * count or len(request) != 6 + size:
        raise ModbusFault(ILLEGAL_VALUE)
    _check(address, count, WRITE_MAX)
    write(address, list(struct.unpack(f">{count}H", request[6:])))
    return request[:5]


def _address_and_count(request: bytes) -> tuple[int, int]:
    """Or address and value: two words behind the function."""
    if len(request) != ADDRESS_COUNT.size:
        raise ModbusFault(ILLEGAL_VALUE)
    first, second = ADDRESS_COUNT.unpack(request)
    return first, second


def _check(address: int, count: int, count_max: int) -> None:
    if not 1 <= count <= count_max:
        raise ModbusFault(ILLEGAL_VALUE)
    if address + count > ADDRESSES:
        raise ModbusFault(ILLEGAL_ADDRESS)
