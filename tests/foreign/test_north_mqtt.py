"""The site on a real broker (mosquitto, with TLS and a password), asked and read by another client (paho)."""

import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.foreign.north_site import NorthSite, free_port

paho = pytest.importorskip("paho.mqtt.client")
pytestmark = pytest.mark.skipif(
    shutil.which("mosquitto") is None, reason="mosquitto is not installed (Debian package mosquitto)"
)

PKI = Path(str(resources.files("sunspec2") / "tests" / "tls_data"))
AUTHORITIES = PKI / "ca" / "server_ca_chain.crt"
USER, PASSWORD = "site", "a word that is secret"


class Broker:
    """mosquitto inside TLS, for one user; may be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        own, secrets = PKI / "server" / "tls1_3" / "server_valid", folder / "passwords"
        subprocess.run(["mosquitto_passwd", "-b", "-c", str(secrets), USER, PASSWORD], check=True, capture_output=True)
        self._file = folder / "mosquitto.conf"
        self._file.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {secrets}\nuser root\n"
            f"certfile {own}.crt\nkeyfile {own}.key\n"
        )
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(["mosquitto", "-c", str(self._file)], stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Peer:
    """Hears everything of the site."""

    def __init__(self, port: int) -> None:
        self.heard: queue.Queue[tuple[str, bytes, bool]] = queue.Queue()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(USER, PASSWORD)
        self._client.tls_set(str(AUTHORITIES))
        self._client.on_message = lambda _, __, message: self.heard.put(
            (message.topic, message.payload, message.retain)
        )
        self._client.on_connect = lambda client, *_: client.subscribe("cellward/demo/#", qos=1)
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(10.0)

    def until(self, topic: str, within_s: float = 20.0) -> tuple[bytes, bool]:
        end_s = time.monotonic() + within_s
        while True:
            named, payload, retained = self.heard.get(timeout=max(end_s - time.monotonic(), 0.01))
            if named == f"cellward/demo/{topic}":
                return payload, retained

    def status_when(self, wanted: Any, within_s: float = 20.0) -> dict[str, Any]:
        """The first status that it is true of."""
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            status: dict[str, Any] = json.loads(self.until("status", within_s)[0])
            if wanted(status):
                return status
        raise AssertionError("no such status")

    def ask(self, name: str, payload: object, *, retain: bool = False) -> dict[str, Any]:
        """What is answered."""
        data = payload if isinstance(payload, bytes) else json.dumps(payload)
        self._client.publish(f"cellward/demo/set/{name}", data, qos=1, retain=retain)
        answer: dict[str, Any] = json.loads(self.until(f"answer/{name}")[0])
        return answer

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, broker: Broker) -> Iterator[NorthSite]:
    folder = tmp_path_factory.mktemp("north")
    (folder / "password").write_text(f"{PASSWORD}\n")
    site = NorthSite(
        folder,
        f"  mqtt: {{host: 127.0.0.1, port: {broker.port}, interval_s: 0.5, user: {USER}, password_file: password,"
        f" tls: {{authorities: {AUTHORITIES}}}}}\n",
    )
    yield site
    assert site.end() == 0


@pytest.fixture
def peer(broker: Broker, site: NorthSite) -> Iterator[Peer]:
    peer = Peer(broker.port)
    yield peer
    peer.close()


def test_status_and_being_online_are_kept_by_the_broker(peer: Peer, broker: Broker) -> None:
    assert peer.until("online")[0] == b"online"
    peer.until("status")
    late = Peer(broker.port)
    assert (late.until("online"), late.until("status")[1]) == ((b"online", True), True)
    late.close()
    status = peer.status_when(lambda status: status["mode"] == "running")
    assert (status["site"], status["faults"], status["lane_age_ms"]) == ("demo", [], None)


def test_request_moves_the_battery_until_its_time_is_over_and_is_withdrawn_by_null(peer: Peer) -> None:
    assert peer.ask("power_w", {"value": -40e3, "for_s": 60}) == {"ok": True}
    status = peer.status_when(lambda status: abs(status["battery_power_w"] + 40e3) < 300.0)
    assert status["told"] == "power_w=-40000:mqtt"
    assert peer.ask("power_w", {"value": None}) == {"ok": True}
    peer.status_when(lambda status: status["told"] == "" and abs(status["battery_power_w"]) < 300.0)
    assert peer.ask("agc_w", {"value": 10e3, "for_s": 1}) == {"ok": True}
    peer.status_when(lambda status: status["told"] == "")


@pytest.mark.parametrize(
    ("name", "payload", "error"),
    [
        ("powr", {"value": 1, "for_s": 1}, "powr: no application of site demo listens to it, they listen to: agc_w, "
         "power_w"),
        ("power_w", {"value": 1, "for_s": 1e9}, "power_w: expected a time above 0 and at most 86400 s (got 1e+09)"),
        ("power_w", b'{"value": NaN, "for_s": 1}', "power_w: expected a finite number (got nan)"),
        ("power_w", {"value": "5", "for_s": 1}, 'power_w: value: expected a number (got "5")'),
        ("power_w", {"value": True, "for_s": 1}, "power_w: value: expected a number (got true)"),
        ("power_w", {"value": 5}, "power_w: for_s: expected a number (got null)"),
        ("power_w", b"50000", 'power_w: expected {"value": NUMBER, "for_s": NUMBER} and nothing else'),
        ("power_w", b"[" * 3000, 'power_w: expected JSON as {"value": 50000, "for_s": 60}'),
        ("power_w", b" " * 5000, "power_w: expected at most 4096 bytes"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_answered_with_one_sentence(peer: Peer, name: str, payload: object, error: str) -> None:
    assert peer.ask(name, payload) == {"ok": False, "error": error}


def test_lost_broker_changes_nothing_and_is_found_again(peer: Peer, broker: Broker, site: NorthSite) -> None:
    broker.stop()
    site.controller.until(r"mqtt: 127\.0\.0\.1:")
    broker.start()
    deadline_s = time.monotonic() + 20.0
    while "mqtt: " in site.controller.until("running"):
        assert time.monotonic() < deadline_s
    again = Peer(broker.port)
    assert again.until("online")[0] == b"online"
    again.close()


def gateway_pid(site: NorthSite) -> int:
    """The controller's own process for MQTT and HTTP."""
    pid = site.controller.child.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(int(child) for child in children if b"gateway_main" in Path(f"/proc/{child}/cmdline").read_bytes())


def test_killed_gateway_is_said_by_the_broker_comes_back_and_takes_no_retained_request(
    peer: Peer, site: NorthSite
) -> None:
    assert peer.ask("power_w", {"value": 5e3, "for_s": 1}, retain=True) == {"ok": True}
    peer.status_when(lambda status: status["told"] == "")
    os.kill(gateway_pid(site), signal.SIGKILL)
    assert peer.until("online")[0] == b"offline"
    site.controller.until("north: its process ended; another is started")
    assert peer.until("online")[0] == b"online"
    said = json.loads(peer.until("answer/power_w")[0])
    assert said["error"] == "power_w: a retained request is not taken, nobody knows how old it is"
    assert peer.status_when(lambda status: status["north_fault"] == "")["told"] == ""


def test_site_that_ends_in_order_says_so(peer: Peer, site: NorthSite) -> None:
    peer.until("online")
    site.controller.child.send_signal(signal.SIGINT)
    assert peer.until("online", 30.0)[0] == b"offline"
