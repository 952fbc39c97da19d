"""A site whose rack is known only by its DBC file and a mapping, in virtual time: it joins, runs and opens."""

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bms.controller import Controller
from bms.site import Rack, Site
from bms.site.mapping import load_mapping
from hil_rigs.bench import Bench
from hil_rigs.devices.dbc_node import DbcNode
from hil_rigs.rig import find_rig, make_site
from hil_rigs.world import run_virtual

CELLS = 16
CELL_SIGNALS = "\n".join(
    f' SG_ V{cell:02d} m{cell // 3} : {8 + 16 * (cell % 3)}|16@1+ (1,0) [0|0] "mV" Ctl' for cell in range(CELLS)
)
DBC = f"""\
VERSION ""

NS_ :

BS_:

BU_: Pack Ctl

BO_ 256 Cells: 8 Pack
 SG_ Page M : 0|8@1+ (1,0) [0|0] "" Ctl
{CELL_SIGNALS}

BO_ 257 Temps: 2 Pack
 SG_ T1 : 0|8@1- (1,0) [0|0] "degC" Ctl
 SG_ T2 : 8|8@1- (1,0) [0|0] "degC" Ctl

BO_ 258 State: 8 Pack
 SG_ Current : 7|24@0- (10,0) [0|0] "mA" Ctl
 SG_ PackV : 24|16@1+ (0.01,0) [0|0] "V" Ctl
 SG_ LinkV : 40|16@1+ (0.01,0) [0|0] "V" Ctl
 SG_ Main : 56|1@1+ (1,0) [0|0] "" Ctl
 SG_ Pre : 57|1@1+ (1,0) [0|0] "" Ctl

BO_ 512 Cmd: 1 Ctl
 SG_ Close : 0|1@1+ (1,0) [0|0] "" Pack
 SG_ Precharge : 1|1@1+ (1,0) [0|0] "" Pack
"""
MAPPING = """\
dbc: pack.dbc
voltages: {signals: ["Cells.V{00..15}"], unit: mV}
temperatures: {signals: ["Temps.T{1..2}"]}
current: {signal: State.Current, unit: mA, positive: charge}
rack_voltage: {signal: State.PackV}
link_voltage: {signal: State.LinkV}
main_closed: {signal: State.Main}
precharge_closed: {signal: State.Pre}
command: {message: Cmd, main: Close, precharge: Precharge}
"""


def dbc_site(site: Site, mapping: Path) -> Site:
    values: dict[str, Any] = site.model_dump()
    racks = [rack | {"monitor": "dbc", "mapping": str(mapping), "safety_inputs": ()} for rack in values["racks"]]
    return Site.model_validate(values | {"racks": racks, "applications": ()})


MEASURES_ONLY = "".join(
    line for line in MAPPING.splitlines(keepends=True) if "closed" not in line and "Cmd" not in line
)


@pytest.mark.parametrize(("mapping", "block"), [(MAPPING, None), (MEASURES_ONLY, "contactor-block")])
def test_a_rack_by_mapping_joins_runs_and_opens_when_it_falls_silent(
    tmp_path: Path, mapping: str, block: str | None
) -> None:
    (tmp_path / "pack.dbc").write_text(DBC)
    (tmp_path / "pack.yaml").write_text(mapping)
    named: list[str] = []

    async def main() -> None:
        rig = find_rig("demo")
        plant = rig.plant.model_copy(
            update={
                "racks": 1, "modules_per_rack": 1, "cells_per_module": CELLS, "inverter_power_w": 5000.0,
                "contactor_profile": block,
            }
        )  # fmt: skip
        bench = Bench(rig.model_copy(update={"plant": plant}), 5)
        site = dbc_site(make_site(bench.rig, await bench.start()), tmp_path / "pack.yaml")
        rack = bench.plant.racks[0]
        node = DbcNode(rack, bench.buses["can0"], load_mapping(tmp_path / "pack.yaml").mapping)
        bench.nodes[0] = node  # type: ignore[assignment]  # the bench asks its nodes for `step` only
        controller = Controller(
            site, can_opener=bench.open_can, recorder=None, perf_clock=lambda: math.nan,
            on_trip=lambda fault: named.append(fault.kind.id),
        )  # fmt: skip
        tasks = [asyncio.create_task(each) for each in (bench.run(), controller.run())]
        try:
            await asyncio.sleep(10.0)
            status = controller.report.status()
            assert status is not None
            assert (status.mode, status.rack_modes, named) == ("running", {"rack-1": "online"}, [])
            assert rack.main_closed
            node.silent = True
            await asyncio.sleep(4.0)
            assert {"cell_data_stale", "current_stale"} <= set(named)
            assert not rack.main_closed
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            bench.close()

    run_virtual(main(), seed=5)


def test_a_monitor_that_only_measures_needs_a_contactor_block(tmp_path: Path) -> None:
    (tmp_path / "pack.dbc").write_text(DBC)
    (tmp_path / "pack.yaml").write_text(MEASURES_ONLY)
    values = {
        "name": "rack-1", "modules": 1, "cells_per_module": CELLS, "cell": "lfp-280ah", "monitor": "dbc",
        "mapping": str(tmp_path / "pack.yaml"), "can": {"interface": "socketcan", "channel": "can0"},
        "contactor_break_current_a": 50.0,
    }  # fmt: skip
    block = {"host": "10.0.0.31", "profile": "contactor-block"}
    assert Rack.model_validate(values | {"contactor_block": block}).contactor_block is not None
    with pytest.raises(ValidationError, match="commands no contactors, and they hang on no block"):
        Rack.model_validate(values)
