"""The part of a site file about its north side: who may read the running controller, and ask it, over which wire."""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Annotated

from pydantic import Field

from bms.site_links import HOST
from drivers.config.settings import Broken, Settings, about

CHOICE = "engineering choice"
HERE = "only this machine"


class ModbusServer(Settings):
    """The site as a SunSpec storage device."""

    host: Annotated[str, about("", "address to listen on; 0.0.0.0 is every one of this machine", HERE, **HOST)] = (
        "127.0.0.1"
    )
    port: Annotated[int, about("", "TCP port to listen on", "Modbus", ge=1, le=65_535)] = 502
    unit: Annotated[int, about("", "Modbus unit that it is", "Modbus TCP", ge=1, le=247)] = 1
    clients: Annotated[
        tuple[str, ...],
        Field(strict=False),
        about("", "addresses or networks that may connect, as 10.0.0.0/24", "everybody", max_length=64),
    ] = ()
    heartbeat_s: Annotated[
        float,
        about(
            "s", "a request without a time of its own ends so long after the last sign of life", CHOICE, ge=1, le=3600
        ),
    ] = 10.0

    def broken_relations(self) -> Iterator[Broken]:
        for i, client in enumerate(self.clients):
            try:
                ip_network(client)
            except ValueError as error:
                yield Broken(("clients", i), client, str(error), "an address or network, as 10.0.0.0/24")


class North(Settings):
    """What the site serves to others; nothing that is left out runs."""

    modbus: Annotated[ModbusServer | None, about("", "SunSpec over Modbus TCP", "not served")] = None

    def broken_relations(self) -> Iterator[Broken]:
        if not any(getattr(self, name) is not None for name in type(self).model_fields):
            yield Broken((), "nothing", "nothing is served", f"one of {', '.join(type(self).model_fields)}")
