"""Any monitor with a DBC file and a mapping: mistakes by line and column, readings and commands by cantools' frames."""

import asyncio
import math
import struct
from pathlib import Path
from typing import Any

import cantools.database
import numpy as np
import pytest

from bms.site import load_site
from bms.site.mapping import MappingFile, expanded, load_mapping
from drivers.cell_monitors.dbc import DbcMonitor
from drivers.clock import now_ns
from drivers.commands import RackCommand
from drivers.config.config_yaml import ConfigErrors
from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanPort, OnBatch
from drivers.readings import NEVER_NS, RackReading
from hil_rigs.world import run_virtual
from hil_rigs.world.canbus import CanBus

DBC = """\
VERSION ""

NS_ :

BS_:

BU_: Pack Ctl

BO_ 256 Cells: 8 Pack
 SG_ Page M : 0|8@1+ (1,0) [0|0] "" Ctl
 SG_ V1 m0 : 8|16@1+ (1,0) [0|65535] "mV" Ctl
 SG_ V2 m0 : 24|16@1+ (1,0) [0|65535] "mV" Ctl
 SG_ V3 m1 : 8|16@1+ (1,0) [0|65535] "mV" Ctl
 SG_ V4 m1 : 24|16@1+ (1,0) [0|65535] "mV" Ctl

BO_ 257 Temps: 4 Pack
 SG_ T1 : 7|8@0- (1,0) [-128|127] "degC" Ctl
 SG_ T2 : 15|8@0- (1,0) [-128|127] "degC" Ctl

BO_ 2566844926 Pack: 8 Pack
 SG_ Current : 0|32@1- (1,0) [0|0] "mA" Ctl
 SG_ PackV : 32|12@1+ (0.1,0) [0|0] "V" Ctl
 SG_ LinkV : 44|12@1+ (0.1,0) [0|0] "V" Ctl
 SG_ Contactor : 56|3@1+ (1,0) [0|7] "" Ctl

BO_ 512 Cmd: 3 Ctl
 SG_ Main : 0|1@1+ (1,0) [0|1] "" Pack
 SG_ Pre : 1|1@1+ (1,0) [0|1] "" Pack
 SG_ Mode : 8|8@1+ (1,0) [0|255] "" Pack
 SG_ Shifted : 16|8@1+ (1,-10) [-10|245] "" Pack
"""

MAPPING = """\
dbc: pack.dbc
voltages: {signals: ["Cells.V{1..4}"], unit: mV, invalid_raw: 65535}
temperatures: {signals: [Temps.T1, Temps.T2]}
current: {signal: Pack.Current, unit: mA, positive: charge}
rack_voltage: {signal: Pack.PackV}
link_voltage: {signal: Pack.LinkV}
main_closed: {signal: Pack.Contactor, closed: 3}
command:
  message: Cmd
  main: Main
  precharge: Pre
  constants:
    - {signal: Mode, value: 7}
"""


def written(folder: Path, mapping: str = MAPPING, dbc: str = DBC) -> Path:
    (folder / "pack.dbc").write_text(dbc)
    path = folder / "pack.yaml"
    path.write_text(mapping)
    return path


def errors_of(folder: Path, mapping: str, dbc: str = DBC) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        load_mapping(written(folder, mapping, dbc))
    return str(caught.value).replace(f"{folder}/", "").split("\n")


def swap(old: str, new: str) -> str:
    assert MAPPING.count(old) == 1
    return MAPPING.replace(old, new)


def test_ranges_are_as_wide_as_their_first_number() -> None:
    assert expanded("A.V{01..03}") == ["A.V01", "A.V02", "A.V03"]
    assert expanded("M{9..11}.V") == ["M9.V", "M10.V", "M11.V"]
    assert expanded("A.V") == ["A.V"]


MISTAKES = [
    (MAPPING[: MAPPING.index("command:")],
     "pack.yaml:7:14: command: missing beside main_closed (got nothing), expected both or none"),
    (swap("Cells.V{1..4}", "Cells.V{1..5}"),
     "pack.yaml:2:22: voltages.signals.0: no value signal Cells.V5 in the messages of this plan "
     "(got 'Cells.V{1..5}'), expected a signal of the DBC file"),
    (swap("Temps.T2", "Temp.T2"),
     "pack.yaml:3:36: temperatures.signals.1: no message Temp in the DBC (got 'Temp.T2'), "
     "expected a signal of the DBC file"),
    (swap("Temps.T2", "Temps.T1"),
     "pack.yaml:3:36: temperatures.signals.1: Temps.T1 stands in temperatures.signals.0 too (got 'Temps.T1'), "
     "expected each signal once"),
    (swap("Pack.PackV", "PackV"),
     "pack.yaml:5:24: rack_voltage.signal: not in the right form (got 'PackV'), expected MESSAGE.SIGNAL"),
    (swap("message: Cmd", "message: Order"),
     "pack.yaml:9:12: command.message: no such message (got 'Order'), expected a message of the DBC file"),
    (swap("main: Main", "main: Close"),
     "pack.yaml:10:9: command.main: no such signal in Cmd (got 'Close'), expected one of Main, Pre, Mode, Shifted"),
    (swap("signal: Mode", "signal: Gear"),
     "pack.yaml:13:16: command.constants.0.signal: no such signal in Cmd (got 'Gear'), "
     "expected one of Main, Pre, Mode, Shifted"),
    (swap("value: 7", "value: 300"),
     "pack.yaml:9:3: command: values[2]: 300.0 does not fit signal 2 (got 'command'), "
     "expected a mapping that fits its DBC file"),
    (swap("{1..4}", "{4..1}"),
     "pack.yaml:2:22: voltages.signals.0: a range that ends before it begins (got 'Cells.V{4..1}'), "
     "expected as in Cells.V{01..16}"),
    (swap("dbc: pack.dbc", "dbc: none.dbc"), "pack.yaml:1:6: dbc: cannot be read: "),
]  # fmt: skip


@pytest.mark.parametrize(("mapping", "line"), MISTAKES, ids=[line[10:45] for _, line in MISTAKES])
def test_each_mistake_stands_at_its_place(tmp_path: Path, mapping: str, line: str) -> None:
    (got,) = errors_of(tmp_path, mapping)
    assert got.startswith(line)


def test_a_broken_dbc_file_is_said_with_its_line(tmp_path: Path) -> None:
    (line,) = errors_of(tmp_path, MAPPING, DBC.replace("SG_ T1", "SG T1"))
    assert line.startswith("pack.yaml:1:6: dbc: cannot be read: ")
    assert "line 17" in line


def test_a_floating_point_signal_is_refused(tmp_path: Path) -> None:
    wrong = errors_of(tmp_path, MAPPING, DBC + "\nSIG_VALTYPE_ 2566844926 Current : 1;\n")
    assert any("Pack.Current: floating-point signals are not supported" in line for line in wrong)


def database() -> Any:
    return cantools.database.load_string(DBC, "dbc")


def encoded(message: str, **values: float) -> bytes:
    """A frame as cantools writes it."""
    known: Any = database().get_message_by_name(message)
    data = known.encode(values)
    can_id = known.frame_id | (0x8000_0000 if known.is_extended_frame else 0)
    return struct.pack("<IB3x8s", can_id, len(data), data)


PACK = {"Current": -12_345, "PackV": 13.2, "LinkV": 13.1, "Contactor": 3}


def heard(mapping: MappingFile, *frames: bytes, at_ns: int = 7) -> RackReading:
    monitor = DbcMonitor(mapping.mapping, CanConfig("virtual", "can0"))
    monitor.on_batch(FrameBatch(b"".join(frames), at_ns))
    return monitor.reading()


def test_cantools_frames_become_a_reading(tmp_path: Path) -> None:
    mapping = load_mapping(written(tmp_path))
    reading = heard(
        mapping, encoded("Cells", Page=1, V3=3301, V4=65535), encoded("Temps", T1=-10, T2=25), encoded("Pack", **PACK)
    )
    assert reading.voltage_v == pytest.approx([math.nan, math.nan, 3.301, math.nan], nan_ok=True)
    assert reading.voltage_at_ns.tolist() == [NEVER_NS, NEVER_NS, 7, NEVER_NS]
    assert reading.temperature_degc.tolist() == [-10.0, -10.0, 25.0, 25.0]
    assert reading.current_a == pytest.approx(12.345)  # -12345 mA on a wire that is positive in charge: discharging
    assert (reading.rack_voltage_v, reading.link_voltage_v) == pytest.approx((13.2, 13.1))
    assert (reading.main_closed, reading.precharge_closed, reading.io_at_ns) == (True, None, 7)
    assert heard(mapping, encoded("Pack", **(PACK | {"Contactor": 2}))).main_closed is False


def test_nothing_heard_is_absent_not_plausible(tmp_path: Path) -> None:
    reading = heard(load_mapping(written(tmp_path)))
    assert np.isnan(reading.voltage_v).all()
    assert np.isnan([reading.current_a, reading.rack_voltage_v, reading.link_voltage_v]).all()
    assert (reading.main_closed, reading.io_at_ns, reading.current_at_ns) == (None, NEVER_NS, NEVER_NS)


def test_the_command_is_what_cantools_reads_and_ends_with_its_expiry(tmp_path: Path) -> None:
    mapping = load_mapping(written(tmp_path)).mapping
    command: Any = database().get_message_by_name("Cmd")
    sent: list[tuple[float, Any]] = []

    async def main() -> None:
        bus, start_ns = CanBus(np.random.default_rng(1)), now_ns()

        def note(batch: FrameBatch) -> None:
            can_id, length, data = struct.unpack("<IB3x8s", batch.data)
            assert (can_id, length) == (0x200, 3)
            sent.append((round((batch.at_ns - start_ns) / 1e9, 1), command.decode(data[:length])))

        async def opened(config: CanConfig, on_batch: OnBatch) -> CanPort:
            return bus.attach(on_batch)

        bus.attach(note)
        monitor = DbcMonitor(mapping, CanConfig("virtual", "can0"), opened)
        running = asyncio.create_task(monitor.run())
        await asyncio.sleep(0.25)
        monitor.command(RackCommand(False, True, now_ns() + 200_000_000))
        await asyncio.sleep(1.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtual(main())
    wanted = {"Main": 0, "Pre": 1, "Mode": 7, "Shifted": 0}
    assert sent == [(0.3, wanted), (0.3, wanted), (0.4, wanted)]


SITE = """\
name: demo
racks:
  - name: rack-1
    modules: 1
    cells_per_module: 4
    cell: lfp-280ah
    monitor: dbc
    mapping: pack.yaml
    can: {interface: socketcand, channel: can0, host: 127.0.0.1, port: 29536}
    contactor_break_current_a: 50
    safety_inputs: []
inverter: {host: 127.0.0.1, port: 5020}
grid_meter: {host: 127.0.0.1, port: 5021}
"""


@pytest.mark.parametrize(
    ("site", "line"),
    [
        (SITE.replace("cells_per_module: 4", "cells_per_module: 5"),
         "site.yaml:8:14: racks.0.mapping: maps 4 cells, the rack has 5 (got "),
        (SITE.replace("    mapping: pack.yaml\n", ""),
         "site.yaml:7:14: racks.0.mapping: missing for this monitor (got nothing), expected a mapping file"),
        (SITE.replace("    monitor: dbc\n", ""),
         "site.yaml:7:14: racks.0.mapping: not for a native monitor (got "),
        (SITE.replace("pack.yaml", "none.yaml"),
         "site.yaml:8:14: racks.0.mapping: none.yaml:1:1: cannot be read (got 'No such file or directory')"),
    ],
)  # fmt: skip
def test_a_site_that_does_not_fit_its_mapping_is_refused(tmp_path: Path, site: str, line: str) -> None:
    written(tmp_path)
    (tmp_path / "site.yaml").write_text(site)
    with pytest.raises(ConfigErrors) as caught:
        load_site(tmp_path / "site.yaml")
    assert str(caught.value).replace(f"{tmp_path}/", "").startswith(line)


def test_a_site_with_a_mapping_is_read(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "site.yaml").write_text(SITE)
    assert load_site(tmp_path / "site.yaml").racks[0].mapping == str(tmp_path / "pack.yaml")
