"""`hil serve`: a rig's devices in real time on this machine, for any controller or client."""

import argparse
import asyncio
import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bms.record.schema import require_writable
from drivers.cell_monitors.native.layout import DBC_PATH as NATIVE_DBC
from drivers.clock import now_ns
from drivers.low_voltage.codec import DBC_PATH as LOW_VOLTAGE_DBC
from hil_rigs.bench import HOST, Bench
from hil_rigs.devices.modbus_rtu import RtuPort
from hil_rigs.devices.socketcand_hub import SocketcandHub
from hil_rigs.faults.inject import inject
from hil_rigs.faults.place import UnknownTargetError, locate
from hil_rigs.faults.spec import FaultSpec, parse_fault
from hil_rigs.load_spec import LoadFile, LoadSpec
from hil_rigs.plant.load_file import LoadFileError
from hil_rigs.rig import SUNSPEC, CanEndpoint, Endpoints, RigFile, block_names, find_rig, make_site, profile_name
from hil_rigs.site_file import require_own, write_site
from hil_rigs.truth import TrueCurves


@dataclass(frozen=True, slots=True)
class ServedDevice:
    """One simulated device and how it is reached."""

    name: str
    link: str
    address: str
    detail: str

    @property
    def line(self) -> str:
        """NAME modbus tcp HOST:PORT (or rtu PORT) unit N PROFILE, or NAME can INTERFACE HOST:PORT CHANNEL DBC."""
        return f"{self.name} {self.link} {self.address} {self.detail}"


def serve(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM; exit status 0."""
    rig = find_rig(arguments.rig)
    if arguments.truth is not None:
        require_writable(arguments.truth)
    if arguments.write_site is not None and not arguments.force:
        require_own(arguments.write_site)
    faults = [parse_fault(text) for text in arguments.fault]
    _require_modbus(rig, arguments.rtu)
    return asyncio.run(_serve(rig, faults, given_load(arguments), arguments))


def given_load(arguments: argparse.Namespace) -> LoadSpec | None:
    """The load that --load, --load-scale and --run describe, None without --load."""
    if arguments.load is None:
        if arguments.run is not None:
            raise LoadFileError("--run picks a run of a load file: give --load as well")
        return None
    return LoadFile(kind="file", path=str(arguments.load), run=arguments.run, scale=arguments.load_scale)


async def _serve(rig: RigFile, faults: list[FaultSpec], load: LoadSpec | None, arguments: argparse.Namespace) -> int:
    bench = Bench(rig, arguments.seed, load)
    for fault in faults:
        locate(rig, fault)
        if fault.about.needs == "process":
            raise UnknownTargetError(f"fault {fault.kind}: no controller runs here, expected `hil run` or `hil swarm`")
    endpoints = await bench.start()
    hub = SocketcandHub(bench.buses, HOST)
    await hub.start()
    endpoints = replace(
        endpoints, racks=tuple(CanEndpoint("socketcand", channel, HOST, hub.port) for channel in bench.buses)
    )
    if arguments.write_site is not None:
        write_site(make_site(rig, endpoints), arguments.write_site)
    devices = served_devices(rig, endpoints)
    ports = {name: RtuPort(bench.modbus_servers[name]) for name in arguments.rtu}
    _say([*devices, *_at_lines(devices, ports)], as_json=arguments.json)
    for fault in faults:
        asyncio.get_running_loop().call_later(fault.at_s, inject, bench, fault)
    start_ns = now_ns()
    await _until_told(bench)
    hub.close()
    for port in ports.values():
        port.close()
    bench.close()
    if arguments.truth is not None:
        write_truth(arguments.truth, bench.truth.curves(), start_ns)
    _say_end(bench, as_json=arguments.json)
    return 0


def served_devices(rig: RigFile, endpoints: Endpoints) -> list[ServedDevice]:
    """All devices of a rig, in the order of the site file."""
    plant = rig.plant
    dbc = NATIVE_DBC if plant.low_voltage is None else LOW_VOLTAGE_DBC
    modbus = [
        ("inverter", endpoints.inverter, profile_name(plant.inverter_profile)),
        ("grid-meter", endpoints.grid_meter, profile_name(plant.meter_profile)),
        ("pv-meter", endpoints.pv_meter, SUNSPEC),
        ("pv-inverter", endpoints.pv_inverter, SUNSPEC),
    ]
    if rig.microgrid is not None and endpoints.switchgear is not None:
        modbus.append(("intertie", endpoints.switchgear, profile_name(rig.microgrid.profile)))
    for spec, at in zip(rig.auxiliaries, endpoints.auxiliaries, strict=True):
        modbus.append((spec.name, at, profile_name(spec.profile)))
    for name, at in zip(block_names(rig), endpoints.contactor_blocks, strict=True):
        modbus.append((name, at, profile_name(str(plant.contactor_profile))))
    return [
        *(
            ServedDevice(name, "modbus tcp", f"{at.host}:{at.port}", f"unit {at.unit} {profile}")
            for name, at, profile in modbus
            if at is not None
        ),
        *(
            ServedDevice(name, f"can {at.interface}", f"{at.host}:{at.port}", f"{at.channel} {dbc}")
            for name, at in zip(rig.rack_names, endpoints.racks, strict=True)
        ),
    ]


def _modbus_names(rig: RigFile) -> list[str]:
    pv = ["pv-meter", "pv-inverter"] if rig.pv is not None else []
    intertie = ["intertie"] if rig.microgrid is not None else []
    return ["inverter", "grid-meter", *pv, *intertie, *(spec.name for spec in rig.auxiliaries), *block_names(rig)]


def _require_modbus(rig: RigFile, names: Sequence[str]) -> None:
    """UnknownTargetError for a device that the rig has not."""
    for name in names:
        if name not in _modbus_names(rig):
            known = ", ".join(_modbus_names(rig))
            raise UnknownTargetError(f"--rtu {name}: rig {rig.name} has no such Modbus device, expected one of {known}")


def _at_lines(devices: Sequence[ServedDevice], ports: Mapping[str, RtuPort]) -> list[ServedDevice]:
    """Their own lines: NAME modbus rtu PORT unit N PROFILE."""
    by_name = {device.name: device for device in devices}
    return [replace(by_name[name], link="modbus rtu", address=port.path) for name, port in ports.items()]


def _say(devices: list[ServedDevice], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"ready": True, "devices": [asdict(device) for device in devices]}), flush=True)
        return
    for device in devices:
        print(device.line)
    print("ready", flush=True)


def _say_end(bench: Bench, *, as_json: bool) -> None:
    if as_json:
        told = {"ready": False, "steps": bench.steps, "overruns": bench.overruns, "left_out": bench.left_out}
        print(json.dumps(told), flush=True)
        return
    step_ms = bench.rig.plant.step_s * 1e3
    late = f"{bench.overruns} a step late or more, {bench.left_out} left out"
    print(f"ended: {bench.steps} steps of {step_ms:g} ms, {late}", flush=True)


async def _until_told(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bench.run())
        await told.wait()
        running.cancel()


def write_truth(path: Path, curves: TrueCurves, start_ns: int) -> None:
    """A Parquet file of the plant's own powers, with the clock of its time 0."""
    table = pa.table({name: getattr(curves, name) for name in curves.__dataclass_fields__})
    pq.write_table(table.replace_schema_metadata({"clock_start_ns": str(start_ns)}), path)
