"""The virtual world's TCP network: who listens where, who connects, and what is wrong with the way between them."""

import asyncio
import contextvars
import errno
import ipaddress
import itertools
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hil_rigs.world.pipe import Path
from hil_rigs.world.transport import Link, MemoryTransport, Sockaddr

if TYPE_CHECKING:
    from hil_rigs.world.loop import VirtualLoop

Address = tuple[str, int]
Factory = Callable[[], asyncio.BaseProtocol]

LATENCY_S_MIN, LATENCY_S_MAX = 0.0002, 0.0005
"""One way on a site's switched Ethernet, device's own stack included."""
CONNECT_S = 127.0
"""A connect without an answer fails after this long: Linux's net.ipv4.tcp_syn_retries = 6 (kernel ip-sysctl)."""
PORTS_FROM, PORTS_END = 49152, 65536
"""Dynamic ports, RFC 6335."""
ANY = ("0.0.0.0", "::")


class Network:
    """Every literal address is a host of this network; a server may listen on any. Conditions go by the address that
    clients connect to and hold for its present and future connections, in both directions."""

    def __init__(self, loop: "VirtualLoop", rng: np.random.Generator) -> None:
        self._loop, self._rng = loop, rng
        self._servers: dict[Address, MemoryServer] = {}
        self._paths: dict[Address, Path] = {}
        self._local_ports = itertools.cycle(range(PORTS_FROM, PORTS_END))

    def cut(self, host: str, port: int, *, after_answer_bytes: int = 0) -> None:
        """Nothing arrives any more, either way; connects hang. Neither end is told. With `after_answer_bytes` the cut
        comes once that many more bytes went from the server to its clients, be it in the middle of a message."""
        path = self._path(host, port)
        path.cut, path.answer_bytes_left = not after_answer_bytes, after_answer_bytes or None
        path.restored.clear()

    def restore(self, host: str, port: int) -> None:
        """Ends cut, refuse, stall and segment. What was written meanwhile arrives now, as TCP sends it again."""
        path = self._path(host, port)
        path.cut, path.refused, path.answer_bytes_left = False, False, None
        path.stalled_until_ns, path.segment_probability = 0, 0.0
        path.restored.set()
        for link in list(path.links):
            link.requests.resend()
            link.answers.resend()

    def arm(self) -> None:
        """What waits for a reader is looked at again, on every connection."""
        for path in self._paths.values():
            for link in list(path.links):
                link.requests.arm()
                link.answers.arm()

    def refuse(self, host: str, port: int) -> None:
        """New connects raise ConnectionRefusedError; open connections stay."""
        self._path(host, port).refused = True

    def reset(self, host: str, port: int) -> int:
        """Both ends of every open connection lose it with ConnectionResetError, as when a device restarts. Returns
        how many there were."""
        links = list(self._path(host, port).links)
        for link in links:
            for end in (link.client, link.server):
                end.lose(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
        return len(links)

    def stall(self, host: str, port: int, duration_s: float) -> None:
        """Nothing arrives for this long, then all of it."""
        self._path(host, port).stalled_until_ns = self._loop.now_ns + round(duration_s * 1e9)

    def segment(self, host: str, port: int, probability: float) -> None:
        """Each write arrives with this probability in two to four segments."""
        self._path(host, port).segment_probability = probability

    def set_latency(self, host: str, port: int, latency_s_min: float, latency_s_max: float) -> None:
        """One-way latency, uniform between the two."""
        path = self._path(host, port)
        path.latency_ns_min, path.latency_ns_max = round(latency_s_min * 1e9), round(latency_s_max * 1e9)

    def address(self, host: str | None, port: int) -> Address:
        """Canonical address; socket.gaierror unless `host` is a literal address, localhost, or None for any."""
        if host in (None, ""):
            return ANY[0], port
        if host == "localhost":
            return "127.0.0.1", port
        try:
            return str(ipaddress.ip_address(str(host))), port
        except ValueError:
            raise socket.gaierror(socket.EAI_NONAME, f"Name or service not known: {host!r}") from None

    @staticmethod
    def sockaddr(address: Address) -> Sockaddr:
        """As sockets name it: IPv6 with flow and scope."""
        return (*address, 0, 0) if ":" in address[0] else address

    def listen(self, factory: Factory, hosts: Sequence[str | None], port: int) -> "MemoryServer":
        """A server that does not accept yet; port 0 is the next free one."""
        if not port:
            port = next(free for free in self._local_ports if not self._is_taken(free))
        addresses = [self.address(host, port) for host in hosts]
        for address in addresses:
            if address in self._servers:
                raise OSError(errno.EADDRINUSE, f"error while attempting to bind on {address}: address already in use")
        server = MemoryServer(self._loop, factory, addresses, self._servers)
        self._servers.update(dict.fromkeys(addresses, server))
        return server

    async def connect(
        self, factory: Factory, host: str | None, port: int, local_host: str | None, local_port: int
    ) -> tuple[MemoryTransport, asyncio.BaseProtocol]:
        """A connection after one round trip; ConnectionRefusedError, or TimeoutError after CONNECT_S."""
        target = self.address(host or "localhost", port)
        local = self.address(local_host or target[0], local_port or next(self._local_ports))
        path, link, connected = self._path(*target), None, False
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._pass(path)
                link = self._accept(path, local, target)
                await self._pass(path)
            protocol = link.client.start(factory) if link else None
            connected = True
        except TimeoutError:
            raise TimeoutError(errno.ETIMEDOUT, f"Connect call failed {target}") from None
        finally:
            if link and not connected:
                link.client.close()
        if link is None or protocol is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed {target}")
        return link.client, protocol

    async def _pass(self, path: Path) -> None:
        await asyncio.sleep(path.latency_ns(self._rng) / 1e9)
        while path.cut or self._loop.now_ns < path.stalled_until_ns:
            if path.cut:
                await path.restored.wait()
            wait_ns = max(path.latency_ns(self._rng), path.stalled_until_ns - self._loop.now_ns)
            await asyncio.sleep(wait_ns / 1e9)

    def _accept(self, path: Path, local: Address, target: Address) -> Link | None:
        server = self._server_at(target)
        if path.refused or server is None or not server.is_serving():
            return None
        link = Link(self._loop, path, self._rng, self.sockaddr(local), self.sockaddr(target))
        self._loop.call_soon(link.server.start, server.factory, context=server.context)
        return link

    def _server_at(self, target: Address) -> "MemoryServer | None":
        addresses = (target, *((host, target[1]) for host in ANY))
        return next((self._servers[address] for address in addresses if address in self._servers), None)

    def _is_taken(self, port: int) -> bool:
        return any(taken == port for _, taken in self._servers)

    def _path(self, host: str, port: int) -> Path:
        address = self.address(host, port)
        if address not in self._paths:
            self._paths[address] = Path(round(LATENCY_S_MIN * 1e9), round(LATENCY_S_MAX * 1e9))
        return self._paths[address]


class MemoryServer(asyncio.AbstractServer):
    """What create_server returns; as asyncio.Server, close() ends listening and leaves open connections alone."""

    def __init__(
        self, loop: "VirtualLoop", factory: Factory, addresses: list[Address], servers: "dict[Address, MemoryServer]"
    ) -> None:
        self.factory, self.context = factory, contextvars.copy_context()
        self._loop, self._addresses, self._servers = loop, addresses, servers
        self._serving = False
        self._serving_forever: asyncio.Future[None] | None = None

    @property
    def sockets(self) -> tuple["ListeningSocket", ...]:
        """Empty once closed."""
        return tuple(ListeningSocket(Network.sockaddr(address)) for address in self._addresses)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._serving

    async def start_serving(self) -> None:
        self._serving = True

    async def serve_forever(self) -> None:
        """Until cancelled or closed."""
        self._serving = True
        self._serving_forever = self._loop.create_future()
        try:
            await self._serving_forever
        finally:
            self.close()

    def close(self) -> None:
        self._serving = False
        for address in self._addresses:
            self._servers.pop(address, None)
        self._addresses = []
        if self._serving_forever is not None and not self._serving_forever.done():
            self._serving_forever.cancel()

    async def wait_closed(self) -> None:
        await asyncio.sleep(0)


class ListeningSocket:
    """The part of a listening socket that callers ask: its name."""

    def __init__(self, sockname: Sockaddr) -> None:
        self._sockname = sockname
        self.family = socket.AF_INET6 if len(sockname) == 4 else socket.AF_INET

    def getsockname(self) -> Sockaddr:
        return self._sockname
