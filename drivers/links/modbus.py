"""One Modbus TCP connection to one unit: reconnect with back-off, one transaction at a time, writes before reads.

Works on any event loop: time comes from the loop, and so does the connection (`create_connection`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.exceptions import ConnectionException, ModbusIOException
from pymodbus.pdu import ModbusPDU

from drivers.clock import now_ns
from drivers.links.cancel import heeding_cancellation
from drivers.links.turns import Turns
from drivers.readings import LinkHealth

# pymodbus dumps the last packets at level ERROR; what matters here comes as LinkError and LinkHealth.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL + 1)

BACK_OFF_S_MIN, BACK_OFF_S_MAX = 0.2, 5.0
TIMEOUTS_IN_A_ROW_MAX = 3
"""After as many unanswered requests in a row the connection is given up and made anew."""


RECEIVED_BYTES_MAX = 4096
"""pymodbus throws away what has come, the answer with it, beyond one frame's length: two copies of a long answer."""


class LinkError(Exception):
    """A transaction that did not happen, or of which nobody knows whether it did."""


class LinkDown(LinkError):  # noqa: N818
    """There is no connection, or it broke during the transaction."""


class LinkTimeout(LinkError):  # noqa: N818
    """The device did not answer in time. A write may have been carried out all the same."""


class BadAnswer(LinkError):  # noqa: N818
    """The device answered something else than what was asked."""


class TooLate(LinkError):  # noqa: N818
    """The write's expiry passed while it waited for its turn; nothing was sent."""


class DeviceException(LinkError):  # noqa: N818
    """The device refused with a Modbus exception; `code` as in Modbus Application Protocol 1.1b3, section 7."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the device answered with Modbus exception {code}")
        self.code = code


WRITE_COIL, WRITE_ONE, WRITE_COILS, WRITE_MANY = 5, 6, 15, 16
"""Modbus functions that write one coil, one register, several coils, and a block of registers."""

Request = Callable[[ModbusBaseClient], Awaitable[ModbusPDU]]
Reader = Callable[[ModbusBaseClient], Callable[..., Awaitable[ModbusPDU]]]


class ModbusLink:
    """Reads and writes registers and coils of `unit` at host:port. Several tasks may use one link.

    A transaction raises LinkError; only `connect` waits for the device to come (back). `refusal` is why the last try
    to connect failed, in one line; None once one succeeded. `on_refusal` is told the same.
    """

    def __init__(self, host: str, port: int, unit: int, timeout_s: float = 0.4) -> None:
        self._host, self._port, self._unit, self._timeout_s = host, port, unit, timeout_s
        self._client: ModbusBaseClient | None = None
        self._turns = Turns()
        self.refusal: str | None = None
        self.on_refusal: Callable[[str], None] = lambda _: None
        self._in_flight = False
        self._back_off_s = 0.0
        self._timeouts_in_a_row = 0
        self._transactions = self._timeouts = self._errors = self._connects = 0

    @property
    def name(self) -> str:
        """Where the device is, for messages."""
        return f"{self._host}:{self._port}"

    @property
    def health(self) -> LinkHealth:
        return LinkHealth(
            connected=self._client is not None,
            transactions=self._transactions,
            timeouts=self._timeouts,
            errors=self._errors,
            reconnects=max(self._connects - 1, 0),
        )

    async def connect(self) -> None:
        """Returns once connected, however long that takes.

        The first try is at once; pauses before all others grow from 0.2 to 5 s until the device answers a request.
        """
        while self._client is None:
            await asyncio.sleep(self._back_off_s)
            self._back_off_s = min(max(2 * self._back_off_s, BACK_OFF_S_MIN), BACK_OFF_S_MAX)
            await self._try_connect()

    def close(self) -> None:
        """Drops the connection; `connect` makes a new one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def reject(self, reason: str) -> NoReturn:
        """What was read cannot be true: counts as an error, and raises BadAnswer."""
        self._note_bad_answer()
        raise BadAnswer(f"{self.name}: {reason}")

    async def read_holding(self, address: int, count: int) -> list[int]:
        """`count` (1..125) holding registers from `address` (function 3), as unsigned 16 bit values."""
        return await self._read(lambda client: client.read_holding_registers, address, count)

    async def read_input(self, address: int, count: int) -> list[int]:
        """`count` (1..125) input registers from `address` (function 4), as unsigned 16 bit values."""
        return await self._read(lambda client: client.read_input_registers, address, count)

    async def read_coils(self, address: int, count: int) -> list[int]:
        """`count` (1..2000) coils from `address` (function 1), each 0 or 1."""
        return await self._read_bits(lambda client: client.read_coils, address, count)

    async def read_discrete(self, address: int, count: int) -> list[int]:
        """`count` (1..2000) discrete inputs from `address` (function 2), each 0 or 1."""
        return await self._read_bits(lambda client: client.read_discrete_inputs, address, count)

    async def _read(self, reader: Reader, address: int, count: int) -> list[int]:
        reply, _ = await self._transact(
            lambda client: reader(client)(address, count=count, device_id=self._unit), False
        )
        if len(reply.registers) != count:
            self.reject(f"asked for {count} registers from {address}, got {len(reply.registers)}")
        return list(reply.registers)

    async def _read_bits(self, reader: Reader, address: int, count: int) -> list[int]:
        """They come in whole bytes, the last of which is filled up."""
        reply, _ = await self._transact(
            lambda client: reader(client)(address, count=count, device_id=self._unit), False
        )
        if len(reply.bits) != -(-count // 8) * 8:
            self.reject(f"asked for {count} bits from {address}, got {len(reply.bits)} with those that fill up")
        return [int(bit) for bit in reply.bits[:count]]

    async def write_registers(
        self, address: int, values: Sequence[int], expires_ns: int | None = None, function: int = WRITE_MANY
    ) -> int:
        """Writes 1..123 registers in one message (function 16), or one register (function 6), ahead of all reads that
        wait; one coil (function 5) or several (function 15), whose values are 0 or 1.

        Returns once the device has confirmed: the time at which the message was sent. Nothing is sent after
        `expires_ns` (loop clock): TooLate.
        """
        request = _write_request(function, address, values, self._unit)
        reply, sent_ns = await self._transact(request, urgent=True, expires_ns=expires_ns)
        if (reply.address, _confirmed(function, reply)) != (address, _to_confirm(function, values)):
            self.reject(f"wrote {len(values)} values at {address}, got a confirmation of something else")
        return sent_ns

    async def _try_connect(self) -> None:
        client = self._make_client()
        client.ctx.max_buffer_size = RECEIVED_BYTES_MAX
        self._note_refusals(client)
        try:
            connected = await heeding_cancellation(client.connect())
        except asyncio.CancelledError:
            client.close()
            raise
        if connected:
            self._connected_by(client)
        else:
            client.close()
            self.on_refusal(self.refusal or "")

    def _connected_by(self, client: ModbusBaseClient) -> None:
        self.refusal = None
        self._client = client
        self._timeouts_in_a_row = 0
        self._connects += 1

    def _make_client(self) -> ModbusBaseClient:
        return AsyncModbusTcpClient(
            self._host,
            port=self._port,
            timeout=self._timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._connection_changed,
        )

    def _note_refusals(self, client: ModbusBaseClient) -> None:
        """pymodbus only logs why it could not connect."""
        create = client.ctx.call_create

        async def noting() -> object:
            try:
                return await create()
            except OSError as error:
                self.refusal = f"{self.name}: {error}"
                raise

        self.refusal = f"{self.name} did not answer within {self._timeout_s:g} s"
        client.ctx.call_create = noting

    def _connection_changed(self, connected: bool) -> None:
        """pymodbus lets a request wait for its timeout when the connection breaks; this ends it at once."""
        client = self._client
        if connected or client is None:
            return
        self._client = None
        if self._in_flight and not client.ctx.response_future.done():
            client.ctx.response_future.set_exception(ConnectionException("connection lost"))

    async def _transact(self, request: Request, urgent: bool, expires_ns: int | None = None) -> tuple[ModbusPDU, int]:
        """The answer, and when the request was sent."""
        if not self._turns.free():
            await self._turns.wait(urgent)
        try:
            reply, sent_ns = await self._attempt(request, expires_ns)
        finally:
            self._turns.pass_on()
        self._timeouts_in_a_row = 0
        self._back_off_s = BACK_OFF_S_MIN
        self._transactions += 1
        if reply.isError():
            self._errors += 1
            raise DeviceException(reply.exception_code)
        return reply, sent_ns

    async def _attempt(self, request: Request, expires_ns: int | None) -> tuple[ModbusPDU, int]:
        sent_ns = now_ns()
        if expires_ns is not None and sent_ns >= expires_ns:
            raise TooLate("the write expired before its turn came")
        return await self._exchange(request), sent_ns

    async def _exchange(self, request: Request) -> ModbusPDU:
        if self._client is None:
            raise LinkDown(f"no connection to {self.name}")
        self._in_flight = True
        try:
            return await heeding_cancellation(request(self._client))
        except ModbusIOException:
            self._note_timeout()
            raise LinkTimeout(f"{self.name} did not answer within {self._timeout_s:g} s") from None
        except ConnectionException:
            self._errors += 1
            raise LinkDown(f"the connection to {self.name} broke") from None
        finally:
            self._in_flight = False

    def _note_bad_answer(self) -> None:
        self._errors += 1

    def _note_timeout(self) -> None:
        self._timeouts += 1
        self._timeouts_in_a_row += 1
        if self._timeouts_in_a_row >= TIMEOUTS_IN_A_ROW_MAX:
            self.close()


def _write_request(function: int, address: int, values: Sequence[int], unit: int) -> Request:
    if function in (WRITE_COIL, WRITE_ONE):
        (value,) = values
        if function == WRITE_COIL:
            return lambda client: client.write_coil(address, bool(value), device_id=unit)
        return lambda client: client.write_register(address, value, device_id=unit)
    if function == WRITE_COILS:
        bits = [bool(value) for value in values]
        return lambda client: client.write_coils(address, bits, device_id=unit)
    return lambda client: client.write_registers(address, list(values), device_id=unit)


def _confirmed(function: int, reply: ModbusPDU) -> object:
    """What the device says that it wrote: the value where there is one, else how many."""
    if function == WRITE_COIL:
        return [int(bit) for bit in reply.bits[:1]]
    return list(reply.registers) if function == WRITE_ONE else reply.count


def _to_confirm(function: int, values: Sequence[int]) -> object:
    return list(values) if function in (WRITE_COIL, WRITE_ONE) else len(values)
