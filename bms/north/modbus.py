"""The site as a SunSpec storage device on Modbus TCP: what a plant controller reads, and what it asks."""

import asyncio
import logging
from collections.abc import Sequence

from bms.north.input_model import InputModel
from bms.north.modbus_server import NorthServer
from bms.north.set_point import RemoteSetPoint
from bms.north.site_models import bank_model, capacity_model, common_model, measurement_model, storage_model
from bms.north.site_now import SiteNorth
from bms.north.wire_requests import WireRequests
from bms.site.north import ModbusServer as ModbusSettings
from drivers.serve.sunspec_map import ServedModel, SunSpecMap, Values

RETRY_S = 5.0
"""A port that is taken is tried again after this time; the battery is controlled all the same."""

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
    """Serves until cancelled. `fault` says in one line why it does not, empty = it does."""

    def __init__(self, north: SiteNorth, settings: ModbusSettings) -> None:
        self._settings = settings
        self.fault = ""
        self._requests = WireRequests(north.requests, settings.heartbeat_s)
        self._server = NorthServer(site_map(north, self._requests), settings.unit, settings.clients)

    def say_fault(self) -> str:
        """The same, for whoever asks again and again."""
        return self.fault

    async def run(self) -> None:
        """Never raises for an operating fault."""
        try:
            await self._listen()
            await asyncio.get_running_loop().create_future()
        finally:
            self._server.close()
            self._requests.close()

    async def _listen(self) -> None:
        host, port = self._settings.host, self._settings.port
        while True:
            try:
                await self._server.listen(host, port)
            except OSError as error:
                if not self.fault:
                    self.fault = f"modbus server: cannot listen on {host}:{port}: {error.strerror or error}"
                    log.warning("%s", self.fault)
                await asyncio.sleep(RETRY_S)
            else:
                self.fault = ""
                return


def open_north(north: SiteNorth) -> list[NorthModbus]:
    """What of it runs in the controller's own loop."""
    settings = north.site.north
    return [] if settings is None or settings.modbus is None else [NorthModbus(north, settings.modbus)]
