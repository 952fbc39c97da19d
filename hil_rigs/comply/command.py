"""`hil comply`: one service on one rig, criterion by criterion."""

import argparse
import json
import logging
from dataclasses import asdict

import numpy as np
from rich.table import Table

from bms.record.schema import require_writable
from drivers.config.near import hint
from hil_rigs.comply.page import write_page
from hil_rigs.comply.service import Judged, Order, Service
from hil_rigs.comply.services import services
from hil_rigs.console import console
from hil_rigs.load_spec import LoadFile, LoadSpec
from hil_rigs.plant.build import build_load
from hil_rigs.rig import find_rig
from hil_rigs.rig_plant import load_config


class ComplyError(ValueError):
    """What was asked for does not fit together; the message is one line."""


def comply(arguments: argparse.Namespace) -> int:
    """Exit status 1 when a criterion is missed. ComplyError for what does not fit."""
    known = services()
    if arguments.list:
        return _list(known, as_json=arguments.json)
    logging.basicConfig(handlers=[logging.NullHandler()])
    service = _find(known, arguments.service)
    order = _order(service, arguments)
    if arguments.report is not None:
        arguments.report.mkdir(parents=True, exist_ok=True)
        require_writable(arguments.report / "index.html")
    judged = service.judge(order)
    if arguments.report is not None:
        write_page(service, order, judged, arguments.report / "index.html")
    if arguments.json:
        rows = [{"criterion": row.criterion, "required": row.required, "measured": row.measured, "pass": row.passed}
                for row in judged.rows]  # fmt: skip
        print(json.dumps({"service": service.name, "rig": order.rig.name, "seed": order.seed, "rows": rows}, indent=2))
    else:
        _print(service, order, judged)
    return 0 if judged.passed else 1


def _list(known: dict[str, Service], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps([{"name": each.name, "says": each.says, "rigs": each.rigs} for each in known.values()]))
        return 0
    width = max(map(len, known))
    for each in known.values():
        print(f"{each.name:{width}}  {each.says} (rigs: {', '.join(each.rigs)})")
    return 0


def _find(known: dict[str, Service], name: str | None) -> Service:
    if name is None:
        raise ComplyError("which service? `hil comply --list` has them")
    if name not in known:
        raise ComplyError(f"no service named {name!r}: {hint(name, known)}")
    return known[name]


def _order(service: Service, arguments: argparse.Namespace) -> Order:
    name = arguments.rig or service.rigs[0]
    rig = find_rig(name)
    if rig.name not in service.rigs:
        raise ComplyError(f"{service.name} cannot be judged on rig {name}: expected one of {', '.join(service.rigs)}")
    return Order(rig, _load(arguments), arguments.seed, arguments.short)


def _load(arguments: argparse.Namespace) -> LoadSpec | None:
    if arguments.load is None:
        if arguments.run is not None or arguments.load_scale != 1.0:
            raise ComplyError("--run and --load-scale need --load FILE")
        return None
    load = LoadFile(kind="file", path=str(arguments.load), run=arguments.run, scale=arguments.load_scale)
    build_load(load_config(load), np.random.default_rng(0))  # what is wrong in the file is said before anything starts
    return load


def _print(service: Service, order: Order, judged: Judged) -> None:
    table = Table(title=f"{service.name} on {order.rig.name} (seed {order.seed})", title_justify="left", expand=False)
    for column in ("", "criterion", "required", "measured"):
        table.add_column(column, overflow="fold")
    for row in judged.rows:
        mark = "[green]pass[/]" if row.passed else "[bold red]FAIL[/]"
        table.add_row(mark, *map(str, list(asdict(row).values())[:3]))
    console().print(table)
