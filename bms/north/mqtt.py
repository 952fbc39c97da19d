"""MQTT: the site's status as retained messages, and requests on `…/set/NAME`, each answered on `…/answer/NAME`."""

import asyncio
import json
import random
import ssl
from pathlib import Path

import aiomqtt

from bms.north.desk import Desk
from bms.north.reply import Reply, parse_asked
from bms.requests import Source
from bms.site.north import Mqtt

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""Between two tries to reach the broker, doubled each time, with a third of it at random: sites that lost one broker
together do not come back together."""

REQUESTS_MAX = 100
"""Requests that wait; what the broker brings beyond is dropped."""


async def serve_mqtt(settings: Mqtt, site: str, desk: Desk) -> None:
    """Until cancelled: then, and when the broker loses us, `…/online` is `offline`."""
    wait_s = FIRST_WAIT_S
    while True:
        try:
            async with _client(settings, site) as client:
                wait_s = FIRST_WAIT_S
                await _session(client, settings, site, desk)
        except (aiomqtt.MqttError, OSError, ssl.SSLError) as error:
            desk.blame("mqtt", f"mqtt: {settings.host}:{settings.port}: {str(error) or 'lost'}")
        await asyncio.sleep(wait_s * random.uniform(2 / 3, 4 / 3))
        wait_s = min(2.0 * wait_s, LONGEST_WAIT_S)


def _client(settings: Mqtt, site: str) -> aiomqtt.Client:
    password = None
    if settings.password_file is not None:
        password = Path(settings.password_file).read_text(encoding="utf-8").strip()
    return aiomqtt.Client(
        settings.host,
        settings.port,
        username=settings.user,
        password=password,
        identifier=settings.client_id or f"cellward-{site}",
        will=aiomqtt.Will(f"{settings.prefix(site)}/online", b"offline", qos=1, retain=True),
        clean_session=True,
        keepalive=settings.keepalive_s,
        tls_context=None if settings.tls is None else settings.tls.context(),
        max_queued_incoming_messages=REQUESTS_MAX,
    )


async def _session(client: aiomqtt.Client, settings: Mqtt, site: str, desk: Desk) -> None:
    """One connection. A request that the broker kept (retained) is not taken: nobody knows how old it is; nor does it
    keep any for us while we are away, since the session is a clean one."""
    prefix = settings.prefix(site)
    await client.subscribe(f"{prefix}/set/+", qos=1)
    await client.publish(f"{prefix}/online", b"online", qos=1, retain=True)
    desk.blame("mqtt", "")
    tasks = [
        asyncio.create_task(_publish_for_ever(client, f"{prefix}/status", settings.interval_s, desk)),
        asyncio.create_task(_answer_for_ever(client, prefix, desk)),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    except asyncio.CancelledError:
        await client.publish(f"{prefix}/online", b"offline", qos=1, retain=True)
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _answer_for_ever(client: aiomqtt.Client, prefix: str, desk: Desk) -> None:
    async for message in client.messages:
        name = message.topic.value.removeprefix(f"{prefix}/set/")
        payload = message.payload if isinstance(message.payload, bytes) else b""
        reply = await _answer(desk, name, payload, retained=message.retain)
        said = {"ok": True} if reply.ok else {"ok": False, "error": reply.words}
        await client.publish(f"{prefix}/answer/{name}", json.dumps(said), qos=1)


async def _answer(desk: Desk, name: str, payload: bytes, *, retained: bool) -> Reply:
    if retained:
        return Reply(False, None, f"{name}: a retained request is not taken, nobody knows how old it is")
    try:
        asked = parse_asked(payload)
    except ValueError as error:
        return Reply(False, None, f"{name}: {error}")
    return await desk.ask(Source.MQTT, name, asked)


async def _publish_for_ever(client: aiomqtt.Client, topic: str, interval_s: float, desk: Desk) -> None:
    while True:
        status = desk.status
        if status is not None:
            await client.publish(topic, json.dumps(status), qos=0, retain=True)
        await asyncio.sleep(interval_s)
