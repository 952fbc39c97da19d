"""Modbus/TCP Security: the same link inside TLS, both sides known by certificates, ours with a role.

Source: MODBUS/TCP Security Protocol Specification 2.1. Frames inside TLS are those of Modbus TCP.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.framer import FramerType
from pymodbus.transport import CommParams, CommType

from drivers.links.modbus import ModbusLink
from drivers.links.modbus_roles import RoleError, role_of

HANDSHAKE_S = 2.0
"""Both sides compute signatures; small devices take a second for it."""


class TlsError(ValueError):
    """The files for TLS cannot be used; `file` is which and the message what is wrong with it, in one line."""

    def __init__(self, file: str, wrong: str) -> None:
        super().__init__(f"{file}: {wrong}")
        self.file, self.wrong = file, wrong


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: authorities that the device's certificate must come from, our certificate, its key."""

    authorities: str
    certificate: str
    key: str

    def context(self) -> ssl.SSLContext:
        """For TLS 1.2 and newer; the device's name and certificate are checked. TlsError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_verify_locations(self.authorities)
        except (OSError, ssl.SSLError) as error:
            raise TlsError(self.authorities, _reason(error, "no certificates of authorities")) from None
        try:
            context.load_cert_chain(self.certificate, self.key, password=_refuse_to_ask)
        except (OSError, ssl.SSLError, _EncryptedKeyError) as error:
            file = self.key if Path(self.certificate).is_file() else self.certificate
            raise TlsError(file, _reason(error, "certificate and key do not belong together")) from None
        return context

    @property
    def role(self) -> str:
        """The role that our certificate gives us. TlsError without exactly one: the device would refuse us."""
        try:
            return role_of(ssl.PEM_cert_to_DER_cert(_first_certificate(self.certificate)))
        except RoleError as error:
            raise TlsError(self.certificate, str(error)) from None


class TlsLink(ModbusLink):
    """`unit` at host:port inside TLS. TlsError for files that cannot be used."""

    def __init__(self, host: str, port: int, unit: int, files: TlsFiles, timeout_s: float = 0.4) -> None:
        super().__init__(host, port, unit, timeout_s)
        self._context = files.context()

    def _make_client(self) -> ModbusBaseClient:
        return _TlsClient(self._host, self._port, self._context, self._timeout_s, self._connection_changed)


class _TlsClient(AsyncModbusTcpClient):
    """pymodbus's client with TLS below. Its own TLS client takes whatever came for one whole frame; the framer of
    Modbus TCP, which has the same frames, cuts them by their length."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, timeout_s: float, trace_connect: object) -> None:
        self.comm_params = CommParams(
            comm_type=CommType.TLS,
            host=host,
            port=port,
            sslctx=context,
            comm_name="comm",
            reconnect_delay=0,
            timeout_connect=HANDSHAKE_S,
        )
        self._timeout_s = timeout_s
        super().__init__(host, framer=FramerType.SOCKET, retries=0, trace_connect=trace_connect)  # type: ignore[arg-type]

    async def connect(self) -> bool:
        """The handshake has a time-out of its own; pymodbus has one for both."""
        connected = await super().connect()
        self.ctx.comm_params.timeout_connect = self._timeout_s
        return connected


class _EncryptedKeyError(Exception):
    """A key that wants a password."""


def _refuse_to_ask() -> str:
    raise _EncryptedKeyError


def _reason(error: Exception, otherwise: str) -> str:
    if isinstance(error, _EncryptedKeyError):
        return "the key wants a password"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return str(error.strerror or error)
    return otherwise


def _first_certificate(file: str) -> str:
    try:
        text = Path(file).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise TlsError(file, str(error.strerror)) from None
    start, end = text.find(ssl.PEM_HEADER), text.find(ssl.PEM_FOOTER)
    if start < 0 or end < start:
        raise TlsError(file, "no certificate in it")
    return text[start : end + len(ssl.PEM_FOOTER)]
