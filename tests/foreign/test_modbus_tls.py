"""Modbus/TCP Security on loopback: peers of other people, good certificates work, all others are refused.

The certificates are those that the package pysunspec2 ships for its own tests.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

import pytest
from pymodbus.server import ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from bms.site import ConfigErrors, load_site
from drivers.links.modbus import DeviceException, LinkDown
from drivers.links.modbus_tls import TlsError, TlsFiles, TlsLink
from hil_rigs.devices.modbus_security import DeviceSecurity
from hil_rigs.devices.modbus_server import ModbusServer
from tests.bms.test_site_errors import GOOD
from tests.drivers import sunspec_registers as raw

PKI = Path(str(resources.files("sunspec2") / "tests" / "tls_data"))
HOST = "127.0.0.1"


def ours(name: str = "tls1_3/client_gridservice") -> TlsFiles:
    client = str(PKI / "client" / name)
    return TlsFiles(str(PKI / "ca" / "server_ca_chain.crt"), f"{client}.crt", f"{client}.key")


@asynccontextmanager
async def device(name: str = "tls1_3/server_valid") -> AsyncIterator[ModbusServer]:
    server = ModbusServer(raw.converter())
    own = str(PKI / "server" / name)
    await server.start(HOST, 0, DeviceSecurity(f"{own}.crt", f"{own}.key", str(PKI / "ca" / "client_ca_chain.crt")))
    try:
        yield server
    finally:
        server.close()
        await asyncio.sleep(0.05)  # TLS says good-bye on both sides


@asynccontextmanager
async def linked(server: ModbusServer, files: TlsFiles, host: str = HOST) -> AsyncIterator[TlsLink]:
    link = TlsLink(host, server.port, 1, files, timeout_s=2.0)
    connecting = asyncio.create_task(link.connect())
    await asyncio.wait([connecting], timeout=1.5)
    try:
        yield link
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        link.close()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
@pytest.mark.parametrize("role", ["gridservice", "netadmin", "superadmin"])
async def test_role_that_may_write_reads_and_writes(version: str, role: str) -> None:
    async with device(f"{version}/server_valid") as server, linked(server, ours(f"{version}/client_{role}")) as link:
        assert await link.read_holding(40000, 2) == [0x5375, 0x6E53]
        await link.write_registers(40398, [1])
        assert server.device.writes == [(40398, [1])]


async def test_role_that_may_only_read_is_refused_a_write() -> None:
    async with device() as server, linked(server, ours("tls1_3/client_readonly")) as link:
        assert await link.read_holding(40000, 2) == [0x5375, 0x6E53]
        with pytest.raises(DeviceException, match="exception 1"):
            await link.write_registers(40398, [1])


REFUSED = {
    "invalid/server_expired": "certificate has expired",
    "invalid/server_self_signed": "self-signed certificate",
    "invalid/server_foreign_ca": "unable to get local issuer certificate",
    "invalid/server_no_san": "IP address mismatch",
}


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
async def test_device_with_a_wrong_certificate_is_refused_by_us_and_the_reason_said(name: str, reason: str) -> None:
    async with device(name) as server, linked(server, ours()) as link:
        assert not link.health.connected
        assert reason in str(link.refusal)


@pytest.mark.parametrize("name", ["no_role", "malformed_role", "expired", "self_signed", "foreign_ca"])
async def test_wrong_certificate_of_ours_is_refused_by_the_device(name: str) -> None:
    """In TLS 1.3 the refusal comes after our side believes that it is connected."""
    async with device() as server, linked(server, ours(f"invalid/client_{name}")) as link:
        with pytest.raises(LinkDown):
            await link.read_holding(40000, 2)
        assert server.transactions.answered == 0


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("no_role", "it carries no Modbus roles, expected one"),
        ("malformed_role", "its Modbus role is no UTF8String"),
    ],
)
def test_certificate_of_ours_without_a_role_is_found_before_anything_runs(name: str, wrong: str) -> None:
    with pytest.raises(TlsError, match=wrong):
        _ = ours(f"invalid/client_{name}").role


def test_key_of_another_certificate_is_found_before_anything_runs() -> None:
    files = TlsFiles(ours().authorities, ours().certificate, ours("tls1_3/client_netadmin").key)
    with pytest.raises(TlsError, match="certificate and key do not belong together"):
        files.context()


SITE_ERRORS = [
    ("invalid/client_no_role", "tls.certificate: it carries no Modbus roles, expected one"),
    ("tls1_3/client_readonly", "tls.certificate: its role ReadOnlySunSpec may not send set-points"),
    ("tls1_3/nobody", "tls.certificate: No such file or directory"),
]


@pytest.mark.parametrize(("name", "wrong"), SITE_ERRORS)
def test_site_file_names_a_certificate_that_the_inverter_would_refuse(name: str, wrong: str, tmp_path: Path) -> None:
    files = ours(name)
    tls = f"tls: {{authorities: {files.authorities}, certificate: {files.certificate}, key: {files.key}}}"
    (tmp_path / "site.yaml").write_text(GOOD.replace("port: 5020", f"port: 802, {tls}"))
    with pytest.raises(ConfigErrors) as errors:
        load_site(tmp_path / "site.yaml")
    assert f"inverter.{wrong}" in str(errors.value)


async def test_our_link_speaks_with_the_tls_server_of_pymodbus() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PKI / "server/tls1_3/server_valid.crt", PKI / "server/tls1_3/server_valid.key")
    registers = SimData(0, count=10, values=0, datatype=DataType.REGISTERS)
    server = ModbusTlsServer(SimDevice(1, simdata=[registers]), address=(HOST, 0), sslctx=context)
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    link = TlsLink(HOST, port, 1, ours(), timeout_s=2.0)
    await asyncio.wait_for(link.connect(), 5.0)
    await link.write_registers(3, [258, 772])
    assert await link.read_holding(2, 4) == [0, 258, 772, 0]
    link.close()
    await server.shutdown()
    await asyncio.sleep(0.05)


async def test_pysunspec2_scans_our_simulated_device_inside_tls() -> None:
    async with device("tls1_2/server_valid") as server:

        def scan() -> list[int]:
            files = ours("tls1_2/client_readonly")
            client = SunSpecModbusClientDeviceTCP(
                slave_id=1,
                ipaddr=HOST,
                ipport=server.port,
                timeout=2,
                tls=True,
                cafile=files.authorities,
                certfile=files.certificate,
                keyfile=files.key,
            )
            client.scan()
            client.close()
            return [key for key in client.models if isinstance(key, int)]

        assert await asyncio.to_thread(scan) == [1, 701, 702, 704, 714, 715]
