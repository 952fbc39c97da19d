"""HTTP: GET /status, GET /metrics, POST and DELETE /inputs/NAME."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from aiohttp import web

from bms.north.desk import Desk
from bms.north.metrics import CONTENT_TYPE, metrics_text
from bms.north.reply import BYTES_MAX, Asked, Reply, parse_asked
from bms.requests import Source, Why
from bms.site.north import Http

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

RETRY_S = 5.0
"""A port that is taken is tried again after this time."""

REFUSED = {Why.UNKNOWN: 404, Why.VALUE: 422, Why.LOCAL: 409, Why.HELD: 409, None: 503}
"""Status of an answer that is not ok; None = the controller did not answer."""


async def serve_http(settings: Http, desk: Desk) -> None:
    """Until cancelled."""
    runner = web.AppRunner(make_app(settings, desk), access_log=None)
    await runner.setup()
    try:
        while True:
            try:
                await web.TCPSite(runner, settings.host, settings.port).start()
            except OSError as error:
                desk.blame("http", f"http: cannot listen on {settings.host}:{settings.port}: {error.strerror or error}")
                await asyncio.sleep(RETRY_S)
            else:
                desk.blame("http", "")
                await asyncio.get_running_loop().create_future()
    finally:
        await runner.cleanup()


def make_app(settings: Http, desk: Desk) -> web.Application:
    """The routes; everything that is refused has a JSON body with one sentence, `error`."""
    pages = _Pages(settings, desk)
    app = web.Application(middlewares=[_errors], client_max_size=BYTES_MAX)
    app.router.add_get("/status", pages.status)
    app.router.add_get("/metrics", pages.metrics)
    app.router.add_post("/inputs/{name}", pages.tell)
    app.router.add_delete("/inputs/{name}", pages.withdraw)
    return app


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What aiohttp itself refuses (path, method, size) in the same form."""
    try:
        return await handler(request)
    except web.HTTPException as refused:
        return _error(refused.status, f"{request.method} {request.path}: {refused.reason}", refused.headers)


class _Pages:
    def __init__(self, settings: Http, desk: Desk) -> None:
        self._desk = desk
        path = settings.token_file
        self._token = None if path is None else Path(path).read_text(encoding="utf-8").strip().encode()

    async def status(self, _: web.Request) -> web.Response:
        status = self._desk.status
        return (
            _error(503, "there is no status yet, or none that is new") if status is None else web.json_response(status)
        )

    async def metrics(self, _: web.Request) -> web.Response:
        """Without a status only that there is none: a scrape that fails would hide which of both is down."""
        return web.Response(text=metrics_text(self._desk.status), headers={"Content-Type": CONTENT_TYPE})

    async def tell(self, request: web.Request) -> web.Response:
        refusal = self._unauthorised(request)
        if refusal is not None:
            return refusal
        try:
            asked = parse_asked(await request.read())
        except ValueError as error:
            return _error(400, str(error))
        return await self._ask(request, asked)

    async def withdraw(self, request: web.Request) -> web.Response:
        return self._unauthorised(request) or await self._ask(request, Asked(None, 0.0))

    async def _ask(self, request: web.Request, asked: Asked) -> web.Response:
        reply: Reply = await self._desk.ask(Source.REST, request.match_info["name"], asked)
        return web.json_response({"ok": True}) if reply.ok else _error(REFUSED[reply.why], reply.words)

    def _unauthorised(self, request: web.Request) -> web.Response | None:
        if self._token is None:
            return _error(403, "the site file has no token_file, so that no requests are taken")
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token):
            return None
        return _error(401, "expected the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})


def _error(status: int, words: str, headers: Mapping[str, str] = NO_HEADERS) -> web.Response:
    kept = {name: headers[name] for name in ("Allow", "WWW-Authenticate") if name in headers}
    return web.json_response({"ok": False, "error": words}, status=status, headers=kept)
