"""The Modbus server as it is deployed: who may connect, who goes when all places are taken, how much one may ask."""

import asyncio
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address, ip_network

from drivers.clock import now_ns
from drivers.serve.modbus import CONNECTIONS_MAX, Connection, ModbusServer, RegisterDevice

IDLE_S = 10.0
"""A client that was silent for so long gives its place to a new one when all are taken (Modbus Messaging on TCP/IP
1.0b, 4.2.2: the connection that was unused longest)."""

REQUESTS_PER_S, BURST = 100.0, 50.0
"""What one client may ask for in the long run, and at once; beyond that it waits, so that no client takes the ticks'
time: all of them together get a sixth of a core."""


class NorthServer(ModbusServer):
    """`clients` are the addresses and networks that may connect; none = everybody."""

    def __init__(self, device: RegisterDevice, unit: int, clients: Sequence[str] = ()) -> None:
        super().__init__(device, unit)
        self._allowed = [ip_network(client) for client in clients]
        self._heard_ns: dict[Connection, int] = {}

    def make_connection(self) -> Connection:
        return _Connection(self)

    def admit(self, connection: Connection) -> bool:
        if self._allowed and not self._is_allowed(connection.peer):
            return False
        if len(self.connections) >= CONNECTIONS_MAX:
            self._put_out_one()
        admitted = super().admit(connection)
        if admitted:
            self.heard(connection)
        return admitted

    def heard(self, connection: Connection) -> None:
        self._heard_ns[connection] = now_ns()

    def forget(self, connection: Connection) -> None:
        super().forget(connection)
        self._heard_ns.pop(connection, None)

    def _put_out_one(self) -> None:
        silent = min(self.connections, key=self._heard_ns.__getitem__)
        if now_ns() - self._heard_ns[silent] > IDLE_S * 1e9:
            silent.abort()
            self.forget(silent)

    def _is_allowed(self, peer: str) -> bool:
        address = ip_address(peer)
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._allowed)


class _Connection(Connection):
    """A client that asks too much is not read for a while."""

    def __init__(self, server: NorthServer) -> None:
        super().__init__(server)
        self._loop = asyncio.get_running_loop()
        self._left, self._at_s = BURST, self._loop.time()
        self._resuming: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        now_s = self._loop.time()
        self._left = min(self._left + (now_s - self._at_s) * REQUESTS_PER_S, BURST)
        self._at_s = now_s
        self._left -= self.take(data)
        if self._left < 0.0 and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            self._resuming = self._loop.call_later(-self._left / REQUESTS_PER_S, self._resume)

    def _resume(self) -> None:
        self._resuming = None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
