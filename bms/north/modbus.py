"""The site as a SunSpec storage device on Modbus TCP: what a plant controller reads, and what it asks."""

import asyncio
import logging
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from bms.north.input_model import InputModel
from bms.north.set_point import RemoteSetPoint
from bms.north.site_models import bank_model, capacity_model, common_model, measurement_model, storage_model
from bms.north.site_now import SiteNorth
from bms.north.wire_requests import WireRequests
from bms.site_north import ModbusServer as ModbusSettings
from drivers.clock import now_ns
from drivers.serve.modbus import CONNECTIONS_MAX, Connection, ModbusServer
from drivers.serve.sunspec_map import ServedModel, SunSpecMap, Values

RETRY_S = 5.0
"""A port that is taken is tried again after this time; the battery is controlled all the same."""

IDLE_S = 10.0
"""A client that was silent for so long gives its place to a new one when all are taken (Modbus Messaging on TCP/IP
1.0b, 4.2.2: the connection that was unused longest)."""

log = logging.getLogger(__name__)


def site_map(north: SiteNorth, requests: WireRequests) -> SunSpecMap:
    """Models 1, 701, 702, 704, 713, 715, 802 and our own, at the same addresses on every site."""
    set_point, inputs = RemoteSetPoint(north, requests), InputModel(north, requests)
    models = [
        common_model(north),
        measurement_model(north),
        capacity_model(north),
        set_point.controls,
        storage_model(north),
        set_point.control,
        bank_model(north),
        inputs.model,
    ]

    def check(model: ServedModel, values: Values) -> None:
        set_point.check(model, values)
        inputs.check(model, values)

    def written(model: ServedModel, names: Sequence[str]) -> None:
        set_point.written(model, names)

    return SunSpecMap(models, check, written)


class NorthModbus:
    """Serves until cancelled; what is asked here is withdrawn by nobody but its own end."""

    def __init__(self, north: SiteNorth, settings: ModbusSettings) -> None:
        self._settings = settings
        self._requests = WireRequests(north.requests, settings.heartbeat_s)
        self._server = _Server(site_map(north, self._requests), settings.unit, settings.clients)

    async def run(self) -> None:
        """Never raises for an operating fault."""
        said = False
        try:
            while not await self._listen(said):
                said = True
                await asyncio.sleep(RETRY_S)
            await asyncio.get_running_loop().create_future()
        finally:
            self._server.close()
            self._requests.close()

    async def _listen(self, said: bool) -> bool:
        host, port = self._settings.host, self._settings.port
        try:
            await self._server.listen(host, port)
        except OSError as error:
            if not said:
                log.warning("modbus server: cannot listen on %s:%d: %s", host, port, error.strerror or error)
            return False
        return True


class _Server(ModbusServer):
    """Admits those that it may, and puts out who was silent longest when all places are taken."""

    def __init__(self, device: SunSpecMap, unit: int, clients: Sequence[str]) -> None:
        super().__init__(device, unit)
        self._allowed = [ip_network(client) for client in clients]
        self._heard_ns: dict[Connection, int] = {}

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
        return any(address in network for network in self._allowed)


def open_north(north: SiteNorth) -> list[NorthModbus]:
    """What of it runs in the controller's own loop."""
    settings = north.site.north
    return [] if settings is None or settings.modbus is None else [NorthModbus(north, settings.modbus)]
