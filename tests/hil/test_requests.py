"""The local/remote switch of a running site: what is remote ends, over a restart too, and the operator still counts."""

from bms.dispatch.applications.remote_power import RemotePower
from bms.requests import Source
from bms.state.store import Reset, Told
from drivers.clock import now_ns
from tests.hil.test_restart import Restarts, play

REMOTE = RemotePower(kind="remote-power", charge_power_w_max=100e3, discharge_power_w_max=100e3)


def now(restarts: Restarts) -> tuple[list[str], str, float]:
    """Faults, what is told, and the battery's power in kW."""
    status = restarts.controller.report.status()
    assert status is not None
    return restarts.faults(), status.told, round(restarts.bench.plant.converter.ac_power_w / 1e3)


def test_site_under_local_control_takes_only_what_the_operator_tells() -> None:
    async def script(restarts: Restarts) -> None:
        restarts.site = restarts.site.model_copy(update={"applications": (REMOTE,)})

        def ask_from_afar() -> None:
            restarts.controller.requests.ask("power_w", 50e3, 60.0, Source.REST, now_ns())

        await restarts.run(16.0, meanwhile=ask_from_afar)
        assert now(restarts) == ([], "power_w=50000:rest", 50)

        def switch() -> None:
            ask_from_afar()
            restarts.store.asked_local = True

        await restarts.run(16.0, meanwhile=switch)
        assert now(restarts) == (["local_control"], "", 0)
        await restarts.run(16.0, meanwhile=lambda: restarts.store.asked_in.append(Told("power_w", -30e3, 60.0)))
        assert now(restarts) == (["local_control"], "power_w=-30000:operator", -30)
        restarts.store.asked.append(Reset("local_control", "site"))
        await restarts.run(16.0, meanwhile=ask_from_afar)
        assert now(restarts) == ([], "power_w=50000:rest", 50)
        told = [(event["event"], event["by"]) for event in restarts.store.events if "by" in event]
        assert told == [("set", "rest"), ("set", "rest"), ("ended", "rest"), ("set", "operator"), ("set", "rest")]

    play(script)
