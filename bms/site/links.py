"""How a Modbus device of a site is reached: over TCP, inside TLS, or at a serial line."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator

from drivers.config.settings import Broken, Loc, Settings, about, beside_the_file
from drivers.links.modbus import ModbusLink
from drivers.links.modbus_serial import SerialLine, SerialLink
from drivers.links.modbus_tls import TlsError, TlsFiles, TlsLink

_BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_NAME = r"([A-Za-z0-9_-]{1,63}\.){0,7}[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*\.?"
"""Its last label is no number, see RFC 3696, 2: else 127.0.0.300 would be a name."""
_IPV6 = r"([0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f.]{0,15}"
HOST = {"pattern": rf"^({_BYTE}(\.{_BYTE}){{3}}|{_NAME}|{_IPV6})$", "shape": "a host name or address"}
FilePath = Annotated[str, AfterValidator(beside_the_file)]
PATH = {"min_length": 1, "max_length": 500}
READ_ONLY = "ReadOnlySunSpec"
"""The role that may not write (Secure SunSpec Modbus Specification)."""


class SerialPort(Settings):
    """A serial line with Modbus RTU; several units may share it."""

    port: Annotated[str, about("", "serial port, as /dev/ttyUSB0", **PATH)]
    baudrate: Annotated[int, about("bit/s", "speed", "Modbus over Serial Line 1.02", ge=1200, le=4_000_000)] = 19_200
    parity: Annotated[Literal["N", "E", "O"], about("", "none, even or odd", "Modbus over Serial Line 1.02")] = "E"
    stop_bits: Annotated[Literal[1, 2], about("", "stop bits; 2 without parity", "Modbus over Serial Line 1.02")] = 1

    @property
    def line(self) -> SerialLine:
        """The same as the link takes it."""
        return SerialLine(self.port, self.baudrate, self.parity, self.stop_bits)


class Tls(Settings):
    """PEM files for Modbus/TCP Security."""

    authorities: Annotated[FilePath, about("", "authorities that the device's certificate comes from", **PATH)]
    certificate: Annotated[FilePath, about("", "our certificate, with a role", **PATH)]
    key: Annotated[FilePath, about("", "its key, without a password", **PATH)]

    @property
    def files(self) -> TlsFiles:
        """The same as the link takes it."""
        return TlsFiles(self.authorities, self.certificate, self.key)

    def broken_relations(self) -> Iterator[Broken]:
        """The files are there, belong together, and our certificate has a role."""
        try:
            self.files.context()
            _ = self.files.role
        except TlsError as error:
            name = next(name for name in type(self).model_fields if getattr(self, name) == error.file)
            yield Broken((name,), error.file, error.wrong, "a PEM file that fits", ())


class ModbusDevice(Settings):
    """What all Modbus devices have: a way to them and a unit."""

    host: Annotated[str | None, about("", "host of its Modbus TCP server", "it has a serial line", **HOST)] = None
    port: Annotated[int, about("", "TCP port of its Modbus server; of TLS mostly 802", "Modbus", ge=1, le=65_535)] = 502
    unit: Annotated[int, about("", "Modbus unit", "Modbus TCP", ge=0, le=255)] = 1
    tls: Annotated[Tls | None, about("", "Modbus/TCP Security: its files", "plain TCP")] = None
    serial: Annotated[SerialPort | None, about("", "Modbus RTU: its serial line", "TCP")] = None

    def open_link(self) -> ModbusLink:
        """The link to it, not connected yet."""
        if self.serial is not None:
            return SerialLink(self.serial.line, self.unit)
        assert self.host is not None, "the settings were checked"
        if self.tls is not None:
            return TlsLink(self.host, self.port, self.unit, self.tls.files)
        return ModbusLink(self.host, self.port, self.unit)

    def broken_relations(self) -> Iterator[Broken]:
        if self.host is None and self.serial is None:
            yield Broken(("host",), None, "missing", "a host name or address, or serial")
        if self.serial is None:
            return
        for name in ("host", "tls"):
            if getattr(self, name) is not None:
                yield Broken((name,), name, "beside serial", "one way to the device", (("serial",),))
        if not 1 <= self.unit <= 247:
            yield Broken(("unit",), self.unit, "no unit of a serial line", "1 to 247", (("serial",),))


def broken_lines(devices: dict[Loc, ModbusDevice]) -> Iterator[Broken]:
    """Devices at one serial line have it set alike and are different units. `devices`: by their places in the file."""
    first: dict[str, Loc] = {}
    for place, device in devices.items():
        if device.serial is None or (twin := first.setdefault(device.serial.port, place)) == place:
            continue
        other, named = devices[twin], ".".join(map(str, twin))
        if device.serial != other.serial:
            wrong, expected = f"set otherwise than in {named}", "the same baudrate, parity and stop bits"
            yield Broken((*place, "serial"), "a mapping", wrong, expected, ((*twin, "serial"),))
        if device.unit == other.unit:
            wrong = f"same unit as {named} at one line"
            others = ((*twin, "unit"), (*place, "serial"))
            yield Broken((*place, "unit"), device.unit, wrong, "one of its own", others)
