"""The device's side of Modbus/TCP Security: who may connect, and what a role may do.

Source: MODBUS/TCP Security Protocol Specification 2.1 (a client without a role is refused; what its role may not do is
answered with exception 1), and the roles of the Secure SunSpec Modbus Specification.
"""

import asyncio
import ssl
from dataclasses import dataclass

from drivers.links.modbus_roles import RoleError, role_of

WRITING_ROLES = frozenset({"GridServiceSunSpec", "NetworkAdministratorSunSpec", "SuperAdministratorSunSpec"})
ROLES = WRITING_ROLES | {"ReadOnlySunSpec"}
WRITE_FUNCTIONS = (5, 6, 15, 16)


@dataclass(frozen=True, slots=True)
class DeviceSecurity:
    """PEM files: the device's certificate and key, and the authorities that clients' certificates must come from."""

    certificate: str
    key: str
    authorities: str

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        context.load_verify_locations(self.authorities)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def role_on(transport: asyncio.BaseTransport) -> str | None:
    """The role of the client at the other end; None = it has none that the device knows, and must go."""
    tls = transport.get_extra_info("ssl_object")
    try:
        role = role_of(tls.getpeercert(binary_form=True) or b"")
    except RoleError:
        return None
    return role if role in ROLES else None


def may(role: str, function: int) -> bool:
    """Whether the role may use this Modbus function."""
    return role in WRITING_ROLES or function not in WRITE_FUNCTIONS
