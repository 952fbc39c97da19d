"""Status, metrics and requests over HTTP, by curl and by the parser of Prometheus's own client library."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.processes import BMS
from tests.foreign.north_site import NorthSite, free_port

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed (Debian package curl)")

TOKEN = "a-token-that-is-secret"


class Site(NorthSite):
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        (folder / "token").write_text(f"{TOKEN}\n")
        super().__init__(folder, f"  http: {{port: {self.port}, token_file: token}}\n")
        wait_until(self.says_running)

    def says_running(self) -> bool:
        """It speaks of a tick of some tenths of a second ago."""
        status, document = self.get("/status")
        return status == 200 and document["mode"] == "running"

    def curl(self, path: str, *options: str) -> tuple[int, str]:
        """Status and body."""
        command = ["curl", "-sS", "-m", "5", "-w", "\n%{http_code}", f"http://127.0.0.1:{self.port}{path}", *options]
        body, _, status = subprocess.run(command, capture_output=True, text=True, check=False).stdout.rpartition("\n")
        return int(status or 0), body

    def get(self, path: str) -> tuple[int, Any]:
        status, body = self.curl(path)
        return status, json.loads(body) if status else None

    def post(self, name: str, data: str, token: str = TOKEN, method: str = "POST") -> tuple[int, Any]:
        header = f"Authorization: Bearer {token}"
        status, body = self.curl(f"/inputs/{name}", "-X", method, "-H", header, "--data-binary", data)
        return status, json.loads(body)


def wait_until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("north"))
    yield site
    assert site.end() == 1, "local_control is named as what tripped"


def test_status_is_the_controllers_own(site: Site) -> None:
    status, document = site.get("/status")
    assert (status, document["site"], document["mode"], document["faults"]) == (200, "demo", "running", [])
    assert document["rack_modes"] == {"rack-1": "online", "rack-2": "online"}
    assert document["lane_age_ms"] is None


def test_metrics_are_read_by_prometheus_own_parser(site: Site) -> None:
    status, text = site.curl("/metrics")
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = {name: family.samples[0] for name, family in families.items() if family.samples}
    assert (samples["cellward_up"].value, samples["cellward_up"].labels) == (1.0, {"site": "demo"})
    assert (families["cellward_frames"].type, families["cellward_soc_frac_mean"].type) == ("counter", "gauge")
    assert samples["cellward_frames"].value > 1000
    assert 3.0 < samples["cellward_cell_voltage_v_min"].value < 3.6
    assert samples["cellward_mode"].labels == {"site": "demo", "mode": "running"}


def test_request_moves_the_battery_until_it_is_withdrawn(site: Site) -> None:
    assert site.post("power_w", '{"value": -40e3, "for_s": 60}') == (200, {"ok": True})
    wait_until(lambda: abs(site.rig.battery_w() + 40e3) < 200.0)
    wait_until(lambda: bool(site.get("/status")[1]["told"] == "power_w=-40000:rest"))
    assert site.post("power_w", "", method="DELETE") == (200, {"ok": True})
    wait_until(lambda: abs(site.rig.battery_w()) < 200.0)
    wait_until(lambda: bool(site.get("/status")[1]["told"] == ""))


@pytest.mark.parametrize(
    ("name", "data", "status", "error"),
    [
        ("powr", '{"value": 1, "for_s": 1}', 404,
         "powr: no application of site demo listens to it, they listen to: agc_w, power_w"),
        ("power_w", '{"value": 1, "for_s": 0}', 422, "power_w: expected a time above 0 and at most 86400 s (got 0)"),
        ("power_w", '{"value": Infinity, "for_s": 1}', 422, "power_w: expected a finite number (got inf)"),
        ("power_w", '{"value": 1}', 400, "for_s: expected a number (got null)"),
        ("power_w", '{"value": 1, "for": 1}', 400, 'expected {"value": NUMBER, "for_s": NUMBER} and nothing else'),
        ("power_w", "hello", 400, 'expected JSON as {"value": 50000, "for_s": 60}'),
        ("power_w", " " * 5000, 413, "POST /inputs/power_w: Request Entity Too Large"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_one_sentence(site: Site, name: str, data: str, status: int, error: str) -> None:
    assert site.post(name, data) == (status, {"ok": False, "error": error})


def test_requests_need_the_token(site: Site) -> None:
    wrong = (401, {"ok": False, "error": "expected the header Authorization: Bearer TOKEN"})
    assert site.post("power_w", '{"value": 1, "for_s": 1}', token="wrong") == wrong
    assert site.get("/status")[1]["told"] == ""
    assert site.get("/nothing") == (404, {"ok": False, "error": "GET /nothing: Not Found"})
    assert site.get("/inputs/power_w") == (405, {"ok": False, "error": "GET /inputs/power_w: Method Not Allowed"})


def test_local_control_refuses_and_says_so(site: Site) -> None:
    subprocess.run([*BMS, "local", str(site.file)], check=True)
    refused = (409, {"ok": False, "error": "power_w: the site is under local control"})
    assert site.post("power_w", '{"value": 1, "for_s": 1}') == refused
    wait_until(lambda: any(text.startswith("local_control") for text in site.get("/status")[1]["faults"]))
    assert 'cellward_fault{site="demo",fault="local_control",target="site"} 1' in site.curl("/metrics")[1]
    subprocess.run([*BMS, "reset", str(site.file), "local_control"], check=True)
    assert site.post("power_w", '{"value": 0, "for_s": 1}') == (200, {"ok": True})


def test_request_that_nobody_answered_is_not_taken_later(site: Site) -> None:
    site.controller.child.send_signal(signal.SIGSTOP)
    try:
        answer = site.post("power_w", '{"value": 30e3, "for_s": 60}')
    finally:
        site.controller.child.send_signal(signal.SIGCONT)
    assert answer == (503, {"ok": False, "error": "the controller did not answer"})
    wait_until(lambda: site.get("/status")[0] == 200)
    assert site.post("agc_w", '{"value": 0, "for_s": 30}') == (200, {"ok": True})
    wait_until(lambda: bool(site.get("/status")[1]["told"] == "agc_w=0:rest"))
