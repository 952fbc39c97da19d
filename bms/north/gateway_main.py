"""The gateway process: python -m bms.north.gateway_main. MQTT and HTTP on one side, the controller's pipe on the other.

Standard input: lines of JSON, first the settings, then `{"status": …}` and `{"id": n, "reply": [ok, why, words]}`.
Standard output: lines of JSON, `{"id": n, "at_s": …, "source": …, "name": …, "value": …, "for_s": …}` and
`{"fault": …}`. It ends with its input.
"""

import asyncio
import contextlib
import json
import signal
import sys
from typing import Any

from bms.north.desk import Desk
from bms.north.http import serve_http
from bms.north.mqtt import serve_mqtt
from bms.priority import step_back
from bms.site.north import North

LINE_BYTES_MAX = 1 << 20
LESS_URGENT = 5


async def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    first = json.loads(await reader.readline())
    north, desk = North.model_validate(first["north"]), Desk(_say)
    _say({"fault": ""})
    step_back(LESS_URGENT)
    serving = []
    if north.mqtt is not None:
        serving.append(asyncio.create_task(serve_mqtt(north.mqtt, first["site"], desk)))
    if north.http is not None:
        serving.append(asyncio.create_task(serve_http(north.http, desk)))
    listening = asyncio.create_task(_listen(reader, desk))
    done, _ = await asyncio.wait([listening, *serving], return_when=asyncio.FIRST_COMPLETED)
    for task in (listening, *serving):
        task.cancel()
    await asyncio.gather(listening, *serving, return_exceptions=True)
    for task in done:
        task.result()  # a programming error is seen


async def _listen(reader: asyncio.StreamReader, desk: Desk) -> None:
    while line := await reader.readline():
        desk.take(line)


def _say(what: dict[str, Any]) -> None:
    """To a controller that may be dead."""
    with contextlib.suppress(OSError):
        print(json.dumps(what), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
