"""A record played to today's controller: the same decisions on the same settings, and just what a setting changes."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bms.record.memory import MemoryRecorder
from bms.site import Site, dump_site
from hil_rigs.cli import main
from hil_rigs.faults.spec import parse_fault
from hil_rigs.rig import CanEndpoint, Endpoints, ModbusEndpoint, find_rig, make_site
from hil_rigs.run import Keep, simulate

NOWHERE = Endpoints(
    inverter=ModbusEndpoint("192.0.2.1", 502, 1),
    grid_meter=ModbusEndpoint("192.0.2.2", 502, 1),
    racks=(CanEndpoint("socketcan", "can0"), CanEndpoint("socketcan", "can1")),
)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a minute of smoothing that charges and discharges, one rack that leaves at 24 s, and an orderly stop."""
    path = tmp_path_factory.mktemp("record") / "run.parquet"
    fault = parse_fault("cell-overvoltage@24:rack-1/17:3.8")
    simulate(find_rig("demo"), seed=1, duration_s=28, faults=[fault], keep=Keep.READINGS).recorder.write(path)
    return path


def site_of_demo(**limits: float) -> Site:
    """That of the record with other limits, and with addresses where nothing is."""
    site = make_site(find_rig("demo"), NOWHERE)
    return site.model_copy(update={"limits": site.limits.model_copy(update=limits)})


def replayed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    status = main(["replay", *words, "--json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return status, document


def test_the_same_settings_decide_the_same_from_the_first_tick_to_the_last(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(record, columns=["faults", "contactors", "wanted"])
    assert {"main,main", "open,main", "open,open"} <= set(table["contactors"].to_pylist())
    assert table["wanted"].to_pylist()[-1] == 0
    status, document = replayed(capsys, str(record))
    assert (status, document["same"], document["differences"]) == (0, True, [])
    assert (document["ticks"], document["from_s"], document["tolerance_frac"]) == (table.num_rows, 0.0, 0.002)


def test_a_battery_with_a_management_of_its_own_is_replayed_from_what_it_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.parquet"
    simulate(find_rig("home-battery"), seed=1, duration_s=6, keep=Keep.READINGS).recorder.write(path)
    assert pq.read_table(path, columns=["sent_power_w"])["sent_power_w"].to_numpy().any()
    status, document = replayed(capsys, str(path))
    assert (status, document["same"], document["differences"]) == (0, True, [])
    table = pq.read_table(path)
    racks = table["racks"].combine_chunks()
    kept = [name for name in racks.type.value_type.names if not name.startswith("battery_")]
    without = pa.array([[{name: rack[name] for name in kept} for rack in row] for row in racks.to_pylist()])
    place = table.schema.get_field_index("racks")
    pq.write_table(table.set_column(place, "racks", without), path)
    assert main(["replay", str(path)]) == 2
    assert "does not hold what the battery rack-1 says, no replay" in capsys.readouterr().err


def test_an_island_is_replayed_from_what_the_switchgear_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, outage = tmp_path / "run.parquet", parse_fault("grid-outage@3.5::9")
    simulate(find_rig("microgrid"), seed=1, duration_s=5, faults=[outage], keep=Keep.READINGS).recorder.write(path)
    table = pq.read_table(path)
    assert {"running", "running, shedding"} <= set(table["mode"].to_pylist())
    status, document = replayed(capsys, str(path))
    assert (status, document["same"], document["differences"]) == (0, True, [])
    pq.write_table(table.drop_columns(["switchgear"]), path)
    assert refusal(capsys, str(path)).endswith("does not hold what the site's intertie says, no replay")


def test_a_changed_limit_is_the_difference_and_the_only_one(
    record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.yaml").write_text(dump_site(site_of_demo(charge_temperature_degc_max_operating=26.0)))
    status, document = replayed(capsys, str(record), "--site", str(tmp_path / "site.yaml"))
    assert status == 1
    (difference,) = document["differences"]
    assert difference["column"] == "faults"
    assert (difference["then"], difference["now"]) == ("", "charge_temperature_high_operating")
    assert 1.5 < difference["first_s"] < 3.0
    assert difference["ticks"] > 1000


def test_a_limit_that_binds_shows_in_the_limit_first_and_then_in_the_power(
    record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.yaml").write_text(dump_site(site_of_demo(cell_voltage_v_max_operating=3.34)))
    words = (str(record), "--site", str(tmp_path / "site.yaml"), "--from", "5")
    _, document = replayed(capsys, *words)
    power, limit = document["differences"]
    assert (power["column"], limit["column"]) == ("sent_power_w", "charge_power_w_limit")
    assert min(power["first_s"], limit["first_s"]) >= 5.0
    assert 0.0 <= limit["now"] < limit["then"]
    assert power["apart_w_max"] > 100_000.0
    assert main(["replay", *words, "--plain"]) == 1
    table = capsys.readouterr().out
    assert "charge_power_w_limit" in table
    assert "5.00 s" in table


def test_the_record_of_a_killed_run_is_replayed_as_far_as_it_goes(
    record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(record)
    with pa.OSFile(str(tmp_path / "run.parquet.part"), "wb") as part, pa.ipc.new_stream(part, table.schema) as stream:
        for batch in table.slice(0, 600).to_batches(max_chunksize=25):
            stream.write_batch(batch)
    status, document = replayed(capsys, str(tmp_path / "run.parquet"))
    assert (status, document["ticks"]) == (0, 600)


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["replay", *words, "--plain"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    return said.err.strip()


def test_a_record_without_readings_or_settings_is_refused(
    record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(record)
    flat = [name for name in table.column_names if name not in ("inverter", "meter", "pv", "racks", "cells")]
    settings = table.schema.metadata
    pq.write_table(table.select(flat), tmp_path / "flat.parquet")
    assert refusal(capsys, str(tmp_path / "flat.parquet")).endswith("at 0.00 s there are no readings to replay")
    MemoryRecorder().write(tmp_path / "flat.mf4")
    said = f"{tmp_path}/flat.mf4: holds no readings to replay: MDF has none, expected a Parquet record"
    assert refusal(capsys, str(tmp_path / "flat.mf4")) == said
    known = {name: value for name, value in settings.items() if name != b"site_settings"}
    pq.write_table(table.replace_schema_metadata(known), tmp_path / "foreign.parquet")
    assert refusal(capsys, str(tmp_path / "foreign.parquet")).endswith(
        "does not hold its site's settings, give --site SITE"
    )
    broken = {**settings, b"site_settings": settings[b"site_settings"].replace(b'"modules":26', b'"modules":0')}
    pq.write_table(table.replace_schema_metadata(broken), tmp_path / "broken.parquet")
    assert "the site that it was made with is none today: racks.0.modules: " in refusal(
        capsys, str(tmp_path / "broken.parquet")
    )
    assert "there is no such record file" in refusal(capsys, str(tmp_path / "none.parquet"))
    MemoryRecorder().write(tmp_path / "empty.parquet")
    (tmp_path / "site.yaml").write_text(dump_site(site_of_demo()))
    assert refusal(capsys, str(tmp_path / "empty.parquet"), "--site", str(tmp_path / "site.yaml")).endswith(
        "empty.parquet: holds no rows"
    )


def test_a_record_of_other_racks_or_one_that_loses_its_readings_is_refused(
    record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = site_of_demo()
    (tmp_path / "one.yaml").write_text(dump_site(site.model_copy(update={"racks": site.racks[:1]})))
    assert refusal(capsys, str(record), "--site", str(tmp_path / "one.yaml")).endswith(
        "run.parquet: holds 2 racks, the site has 1"
    )
    fewer = tuple(rack.model_copy(update={"modules": 25}) for rack in site.racks)
    (tmp_path / "fewer.yaml").write_text(dump_site(site.model_copy(update={"racks": fewer})))
    assert refusal(capsys, str(record), "--site", str(tmp_path / "fewer.yaml")).endswith(
        "run.parquet: holds 416 cells of rack-1, not 400"
    )
    table = pq.read_table(record)
    nulls = pa.nulls(50, table.schema.field("racks").type)
    racks = pa.chunked_array([*table["racks"].slice(0, 100).chunks, nulls, *table["racks"].slice(150).chunks])
    at = table.column_names.index("racks")
    pq.write_table(table.set_column(at, table.schema.field("racks"), racks), tmp_path / "gap.parquet")
    assert refusal(capsys, str(tmp_path / "gap.parquet")).endswith("at 2.00 s there are no readings to replay")
