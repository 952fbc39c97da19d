"""The command `bms probe can://` on a served rig, over real sockets."""

import asyncio
import json
import sys

from hil_rigs.bench import Bench
from hil_rigs.devices.socketcand_hub import SocketcandHub
from hil_rigs.rig import find_rig


async def run(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bms.cli", "probe", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_served_rack_is_found_and_printed_as_a_fragment() -> None:
    bench = Bench(find_rig("demo"), 5)
    hub = SocketcandHub(bench.buses)
    await hub.start()
    running = asyncio.create_task(bench.run())
    try:
        url = f"can://socketcand/can0?host={hub.host}&port={hub.port}&seconds=2"
        status, out, err = await run(url)
        assert (status, err) == (0, "")
        assert "# native rack monitor: 26 modules of 16 cells" in out
        assert f"can: {{interface: socketcand, channel: can0, host: {hub.host}, port: {hub.port}}}" in out
        status, out, _ = await run(url, "--json")
        assert status == 0
        assert json.loads(out)["answers"][0]["details"]["modules"] == 26
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        hub.close()
        await asyncio.sleep(0.05)


async def test_what_is_no_url_is_bad_input() -> None:
    assert (await run("can://can0"))[0] == 2
    status, _, err = await run("ftp://host")
    assert (status, err.count("\n")) == (2, 1)
