"""The site as a SunSpec storage device, over the simulated wire: requests with an end, refusals, and what binds them.

Peers of others on real sockets are in tests/foreign/test_north_peers.py; here the client is pymodbus's, under the link
of drivers, and our own driver of SunSpec converters.
"""

import asyncio
import functools
import math
from collections.abc import Awaitable, Callable

import pytest

from bms.controller import Controller
from bms.dispatch.applications.remote_power import RemotePower
from bms.dispatch.applications.signal_following import SignalFollowing
from bms.fleet.controller import FleetController
from bms.fleet.settings import Fleet, FleetUnit
from bms.north.input_model import MODEL_ID, WITHDRAW, input_layout
from bms.requests import Source
from bms.site import Site
from bms.site.north import ModbusServer, North
from bms.state.memory import SiteMemory
from bms.state.store import MemoryStore
from drivers.clock import now_ns
from drivers.commands import InverterCommand
from drivers.inverters.sunspec import SunSpecInverter
from drivers.links.modbus import DeviceException, ModbusLink
from drivers.readings import InverterReading, InverterState
from drivers.sunspec import MappedModel, discover, open_model
from hil_rigs.bench import Bench
from hil_rigs.rig import find_rig, make_site
from hil_rigs.world import run_virtual

HOST, PORT = "10.0.0.77", 502
REMOTE = RemotePower(kind="remote-power", charge_power_w_max=100e3, discharge_power_w_max=80e3)
SIGNAL = SignalFollowing(kind="signal-following", product="agc", signal="agc_w", unit="W", discharge_power_w=20e3)
ENABLED, DISABLED, WATTS, LOCAL = 1, 0, 1, 1
DERATED = 1 << 14


class Client:
    """A plant controller that knows SunSpec: reads models and writes blocks of points."""

    def __init__(self) -> None:
        self.link = ModbusLink(HOST, PORT, 1)
        self.models: dict[int, MappedModel] = {}

    async def connect(self) -> None:
        await self.link.connect()
        for where in (await discover(self.link)).models:
            if where.model_id == MODEL_ID:
                self.models[MODEL_ID] = MappedModel(input_layout(2), where.address, {}, {})
            else:
                self.models[where.model_id] = await open_model(self.link, where)

    async def get(self, model: int, name: str) -> object:
        mapped = self.models[model]
        address, count = mapped.span(name, name)
        return mapped.decode(await self.link.read_holding(address, count), address, [name])[name]

    async def put(self, model: int, **points: float | int) -> None:
        address, registers = self.models[model].encode(points)
        await self.link.write_registers(address, registers)

    async def ask(self, power_w: float, for_s: int, reverts_w: float | None = None) -> None:
        """Model 704, the whole block in one write."""
        reverts = DISABLED if reverts_w is None else ENABLED
        await self.put(
            704, WSetEna=ENABLED, WSetMod=WATTS, WSet=power_w, WSetRvrt=reverts_w or 0.0, WSetPct=0.0, WSetPctRvrt=0.0,
            WSetEnaRvrt=reverts, WSetRvrtTms=for_s,
        )  # fmt: skip

    async def refused(self, writing: Awaitable[None]) -> tuple[int, object]:
        """Exception code of a write that is refused, and why by the site's own word."""
        with pytest.raises(DeviceException) as refused:
            await writing
        return refused.value.code, await self.get(MODEL_ID, "Refusal")


class Rig:
    def __init__(self, bench: Bench, site: Site, remote: RemotePower = REMOTE) -> None:
        self.bench, self.store, self.client = bench, MemoryStore(site.name), Client()
        north = North(modbus=ModbusServer(host=HOST))
        self.site = site.model_copy(update={"applications": (remote, SIGNAL), "north": north})
        self.controller = Controller(
            self.site, can_opener=bench.open_can, recorder=None, perf_clock=lambda: math.nan, on_trip=lambda _: None,
            memory=SiteMemory(self.site, self.store, self.store.found(), lambda: 0.0),
        )  # fmt: skip

    @property
    def battery_w(self) -> float:
        return round(self.bench.plant.converter.ac_power_w, -2)

    @property
    def told(self) -> str:
        return self.controller.requests.words


def on_a_rig(
    test: Callable[[Rig], Awaitable[None]], remote: RemotePower = REMOTE, rack_charge_current_a_max: float = 280.0
) -> Callable[[], None]:
    """Decorator: the test gets a running site with a client that has found its models."""

    async def main() -> None:
        bench = Bench(find_rig("demo"), 5)
        site = make_site(bench.rig, await bench.start())
        limits = site.limits.model_copy(update={"rack_charge_current_a_max": rack_charge_current_a_max})
        rig = Rig(bench, site.model_copy(update={"limits": limits}), remote)
        tasks = [asyncio.create_task(bench.run()), asyncio.create_task(rig.controller.run())]
        try:
            await asyncio.sleep(6.0)
            await rig.client.connect()
            await test(rig)
        finally:
            rig.client.link.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            bench.close()

    @functools.wraps(test)
    def run() -> None:
        run_virtual(main(), seed=5)

    del run.__wrapped__  # type: ignore[attr-defined]  # pytest would take its argument for a fixture
    return run


on_a_rig_that_falls_back = functools.partial(on_a_rig, remote=REMOTE.model_copy(update={"fallback_power_w": -20e3}))


@on_a_rig_that_falls_back
async def test_lost_heartbeat_falls_back_and_a_withdrawal_does_not(rig: Rig) -> None:
    await rig.client.ask(50e3, 0)
    await asyncio.sleep(11.0)
    assert (rig.battery_w, rig.told) == (-20e3, "")
    await rig.client.ask(50e3, 0)
    await asyncio.sleep(1.0)
    assert rig.battery_w == 50e3
    await rig.client.put(704, WSetEna=DISABLED)
    await asyncio.sleep(11.0)
    assert (rig.battery_w, rig.told) == (0.0, "")


@on_a_rig
async def test_site_shows_what_it_is_and_does(rig: Rig) -> None:
    client = rig.client
    addresses = {each: model.address for each, model in client.models.items()}
    assert addresses == {
        1: 40002, 701: 40070, 702: 40225, 704: 40277, 713: 40344, 715: 40353, 802: 40362, MODEL_ID: 40426,
    }  # fmt: skip
    await client.ask(50e3, 60)
    await asyncio.sleep(1.0)
    assert await client.get(701, "InvSt") == 3
    assert await client.get(701, "W") == pytest.approx(50e3, abs=200.0)
    assert await client.get(701, "ConnSt") == 1
    assert await client.get(701, "Alrm") == 0
    assert (await client.get(702, "WChaRteMaxRtg"), await client.get(702, "WDisChaRteMaxRtg")) == (100e3, 80e3)
    status = rig.controller.report.status()
    assert status is not None
    assert await client.get(713, "SoC") == pytest.approx(100.0 * status.soc_frac_mean, abs=1.0)
    assert await client.get(802, "State") == 3
    assert await client.get(802, "CellVMax") == pytest.approx(status.cell_voltage_v_max, abs=2e-3)


@on_a_rig
async def test_set_point_ends_by_its_own_time(rig: Rig) -> None:
    await rig.client.ask(50e3, 3)
    await asyncio.sleep(2.0)
    assert (rig.battery_w, rig.told) == (50e3, "power_w=50000:modbus")
    assert (await rig.client.get(704, "WSetEna"), await rig.client.get(704, "WSetRvrtRem")) == (ENABLED, 1)
    await asyncio.sleep(2.0)
    assert (rig.battery_w, rig.told) == (0.0, "")
    assert await rig.client.get(704, "WSetEna") == DISABLED


@on_a_rig
async def test_set_point_reverts_to_what_was_asked_for_then(rig: Rig) -> None:
    await rig.client.ask(50e3, 2, reverts_w=-20e3)
    await asyncio.sleep(4.0)
    assert (rig.battery_w, rig.told) == (-20e3, "power_w=-20000:modbus")
    assert await rig.client.get(704, "WSet") == -20e3
    await rig.client.put(704, WSetEna=DISABLED)
    await asyncio.sleep(1.0)
    assert (rig.battery_w, rig.told) == (0.0, "")


@on_a_rig
async def test_set_point_without_a_time_lasts_as_long_as_the_heartbeat(rig: Rig) -> None:
    await rig.client.ask(50e3, 0)
    for beat in range(4):
        await asyncio.sleep(5.0)
        await rig.client.put(715, ControllerHb=beat)
    assert rig.told == "power_w=50000:modbus"
    await asyncio.sleep(10.5)
    assert (rig.battery_w, rig.told) == (0.0, "")


@on_a_rig
async def test_share_is_of_the_most_that_may_be_asked(rig: Rig) -> None:
    await rig.client.put(704, WSetMod=0)
    await rig.client.put(704, WSetPct=-50.0)
    await rig.client.put(704, WSetEna=ENABLED)
    await asyncio.sleep(1.0)
    assert (rig.battery_w, rig.told) == (-50e3, "power_w=-50000:modbus")


@on_a_rig
async def test_what_cannot_be_asked_is_refused_and_changes_nothing(rig: Rig) -> None:
    client = rig.client
    await client.ask(10e3, 60)
    assert await client.refused(client.ask(81e3, 60)) == (3, "set-point: expected -100000 to 80000 W")
    assert await client.refused(client.ask(10e3, 86_401)) == (
        3, "power_w: expected a time above 0 and at most 86400 s (got 86401)",
    )  # fmt: skip
    assert (await client.refused(client.put(802, AlmRst=1)))[0] == 2
    assert rig.told == "power_w=10000:modbus"
    assert await client.get(704, "WSet") == 10e3


@on_a_rig
async def test_local_control_refuses_and_says_so(rig: Rig) -> None:
    client = rig.client
    await client.ask(50e3, 60)
    rig.store.asked_local = True
    await asyncio.sleep(1.0)
    assert (rig.battery_w, rig.told) == (0.0, "")
    assert (await client.get(715, "LocRemCtl"), await client.get(704, "WSetEna")) == (LOCAL, DISABLED)
    assert await client.refused(client.ask(50e3, 60)) == (4, "power_w: the site is under local control")
    events = [(each["event"], each["by"]) for each in rig.store.events if "by" in each]
    assert events == [("set", "modbus"), ("ended", "modbus"), ("refused", "modbus")]


@on_a_rig
async def test_operator_goes_before_and_the_wire_shows_it(rig: Rig) -> None:
    client = rig.client
    await client.ask(50e3, 60)
    rig.controller.requests.ask("power_w", -10e3, 30.0, Source.OPERATOR, now_ns())
    await asyncio.sleep(1.0)
    assert rig.battery_w == -10e3
    assert await client.get(704, "WSetEna") == DISABLED
    assert await client.refused(client.ask(20e3, 60)) == (4, "power_w: operator has it for 29 s more")


@on_a_rig
async def test_limits_bind_a_request_and_the_wire_says_what_did(rig: Rig) -> None:
    for rack in rig.bench.plant.racks:
        rack.temperature_bias_degc[:] = 29.6
    await rig.client.ask(80e3, 60)
    await asyncio.sleep(4.0)
    said = [await rig.client.get(MODEL_ID, name) for name in ("Requested", "ClippedBy", "ClipReason")]
    assert said == [80e3, "limits", "temperature, rack 2 cell 401"]
    assert await rig.client.get(MODEL_ID, "Sent") == await rig.client.get(MODEL_ID, "DischargeLimit")
    assert (rig.battery_w, await rig.client.get(701, "ThrotSrc")) == (68_900.0, DERATED)


@on_a_rig
async def test_every_input_of_the_site_can_be_told_and_withdrawn(rig: Rig) -> None:
    client = rig.client
    assert [await client.get(MODEL_ID, f"In[{k}].Name") for k in (0, 1)] == ["agc_w", "power_w"]
    await client.put(MODEL_ID, **{"In[0].Value": 15e3, "In[0].ForS": 20})
    await asyncio.sleep(1.0)
    assert (rig.battery_w, rig.told) == (15e3, "agc_w=15000:modbus")
    assert [await client.get(MODEL_ID, f"In[0].{name}") for name in ("Value", "LeftS", "Holder")] == [15e3, 19, 2]
    await client.put(MODEL_ID, **{"In[0].ForS": WITHDRAW})
    await asyncio.sleep(1.0)
    assert rig.told == ""


@on_a_rig
async def test_our_own_driver_takes_the_site_for_a_converter(rig: Rig) -> None:
    seen: list[InverterReading] = []
    driver = SunSpecInverter(ModbusLink(HOST, PORT, 1), seen.append)
    task = asyncio.create_task(driver.run())
    await asyncio.sleep(1.0)
    for _ in range(20):
        driver.command(InverterCommand(-40e3, True, now_ns() + 500_000_000))
        await asyncio.sleep(0.1)
    assert (seen[-1].state, driver.applied_power_w) == (InverterState.RUNNING, -40e3)
    assert rig.battery_w == -40e3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(3.0)
    assert (rig.battery_w, rig.told) == (0.0, "power_w=0:modbus")


def test_taken_port_is_said_and_tried_again_while_the_battery_is_controlled() -> None:
    async def main() -> None:
        bench = Bench(find_rig("demo"), 5)
        rig = Rig(bench, make_site(bench.rig, await bench.start()))
        other = await asyncio.get_running_loop().create_server(asyncio.Protocol, HOST, PORT)
        tasks = [asyncio.create_task(bench.run()), asyncio.create_task(rig.controller.run())]
        await asyncio.sleep(7.0)
        status = rig.controller.report.status()
        assert status is not None
        assert status.mode == "running"
        assert status.north_fault.startswith("modbus server: cannot listen on 10.0.0.77:502: ")
        other.close()
        await asyncio.sleep(5.5)
        status = rig.controller.report.status()
        assert status is not None
        assert status.north_fault == ""
        await rig.client.connect()
        assert await rig.client.get(701, "InvSt") == 3
        rig.client.link.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        bench.close()

    run_virtual(main(), seed=5)


on_a_rig_that_takes_little = functools.partial(on_a_rig, rack_charge_current_a_max=25.0)


@on_a_rig_that_takes_little
async def test_fleet_takes_a_whole_site_for_a_unit_and_asks_for_what_it_can_now(rig: Rig) -> None:
    """Its racks bear 2 x 22.5 A of 1373 V, which is less than it may be asked for. An orderly end leaves it running."""
    unit = FleetUnit(name="site", host=HOST, port=PORT)
    fleet = Fleet(name="campus", units=(unit,), grid_meter=rig.site.grid_meter, applications=(REMOTE,))
    faults: list[str] = []
    controller = FleetController(fleet, recorder=None, perf_clock=lambda: 0.0, on_trip=lambda f: faults.append(str(f)))
    controller.inputs.put("power_w", -100e3, now_ns() + 60_000_000_000, "test")
    running = asyncio.create_task(controller.run())
    await asyncio.sleep(4.0)
    assert controller.row is not None
    assert rig.battery_w == pytest.approx(-62e3, rel=0.02)
    assert (controller.row.clipped_by, faults) == ("limits", [])
    began_ns = now_ns()
    controller.stop()
    await running
    assert (now_ns() - began_ns) / 1e9 < 4.0
    assert controller.end_state() == "site running"
    assert (rig.battery_w, rig.told) == (0.0, "")
