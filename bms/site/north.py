"""The part of a site file about its north side: who may read the running controller, and ask it, over which wire."""

import ssl
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

from pydantic import Field

from bms.site.links import HOST, PATH, FilePath
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


class MqttTls(Settings):
    """PEM files for MQTT inside TLS."""

    authorities: Annotated[FilePath, about("", "authorities that the broker's certificate comes from", **PATH)]
    certificate: Annotated[FilePath | None, about("", "our certificate, if the broker wants one", "none", **PATH)] = (
        None
    )
    key: Annotated[FilePath | None, about("", "its key, without a password", "none", **PATH)] = None

    def context(self) -> ssl.SSLContext:
        """For TLS 1.2 and newer; the broker's name and certificate are checked. OSError for files that do not fit."""
        context = ssl.create_default_context(cafile=self.authorities)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context

    def broken_relations(self) -> Iterator[Broken]:
        if (self.certificate is None) != (self.key is None):
            missing, there = ("key", "certificate") if self.key is None else ("certificate", "key")
            yield Broken((missing,), None, f"missing beside {there}", "both or none", ((there,),))
            return
        try:
            self.context()
        except OSError as error:
            wrong = f"the files cannot be used: {error.strerror or error}"
            yield Broken(("authorities",), self.authorities, wrong, "PEM files that fit", ())


class Mqtt(Settings):
    """Status to a broker, and requests from it."""

    host: Annotated[str, about("", "host of the broker", **HOST)]
    port: Annotated[int, about("", "its TCP port; with TLS mostly 8883", "MQTT", ge=1, le=65_535)] = 1883
    topic: Annotated[
        str | None,
        about(
            "", "beginning of all topics", "cellward/ and the site's name", pattern=r"^[^+#/\s]+(/[^+#/\s]+)*$",
            shape="words with / between them, without + and #", max_length=200,
        ),
    ] = None  # fmt: skip
    client_id: Annotated[
        str | None,
        about(
            "", "what the broker knows us by", "cellward- and the site's name", pattern=r"^[A-Za-z0-9_-]{1,64}$",
            shape="1 to 64 letters, digits, _ and -",
        ),
    ] = None  # fmt: skip
    user: Annotated[str | None, about("", "user at the broker", "nobody", min_length=1, max_length=200)] = None
    password_file: Annotated[FilePath | None, about("", "file with nothing but the password", "none", **PATH)] = None
    tls: Annotated[MqttTls | None, about("", "TLS: its files", "plain TCP")] = None
    interval_s: Annotated[float, about("s", "the status is published this often", CHOICE, ge=0.5, le=3600)] = 5.0
    keepalive_s: Annotated[
        int, about("s", "a broker that is silent for so long, and half as long again, is lost", CHOICE, ge=5, le=3600)
    ] = 30

    def prefix(self, site: str) -> str:
        """Beginning of all topics of that site."""
        return self.topic or f"cellward/{site}"

    def broken_relations(self) -> Iterator[Broken]:
        if self.password_file is not None and self.user is None:
            yield Broken(("user",), None, "missing beside password_file", "a user", (("password_file",),))
        yield from broken_secret("password_file", self.password_file)


class Http(Settings):
    """Status, metrics and requests over HTTP."""

    host: Annotated[str, about("", "address to listen on; 0.0.0.0 is every one of this machine", HERE, **HOST)] = (
        "127.0.0.1"
    )
    port: Annotated[int, about("", "TCP port to listen on", CHOICE, ge=1, le=65_535)] = 8080
    token_file: Annotated[
        FilePath | None,
        about("", "file with nothing but the bearer token that requests must carry", "no requests are taken", **PATH),
    ] = None

    def broken_relations(self) -> Iterator[Broken]:
        yield from broken_secret("token_file", self.token_file)


def broken_secret(name: str, path: str | None) -> Iterator[Broken]:
    """A file with a secret is there and holds one."""
    try:
        empty = path is not None and not Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        yield Broken((name,), path, f"cannot be read: {said}", "a file with nothing but the secret")
        return
    if empty:
        yield Broken((name,), path, "is empty", "a file with nothing but the secret")


class North(Settings):
    """What the site serves to others; nothing that is left out runs."""

    modbus: Annotated[ModbusServer | None, about("", "SunSpec over Modbus TCP", "not served")] = None
    mqtt: Annotated[Mqtt | None, about("", "status to a broker, requests from it", "no broker")] = None
    http: Annotated[Http | None, about("", "status, metrics and requests over HTTP", "not served")] = None

    @property
    def aside(self) -> bool:
        """Something of it runs in the gateway process."""
        return self.mqtt is not None or self.http is not None

    def broken_relations(self) -> Iterator[Broken]:
        if not any(getattr(self, name) is not None for name in type(self).model_fields):
            yield Broken((), "nothing", "nothing is served", f"one of {', '.join(type(self).model_fields)}")
        if self.modbus is not None and self.http is not None and self.modbus.port == self.http.port:
            yield Broken(("http", "port"), self.http.port, "same as of modbus", "one of its own", (("modbus", "port"),))
