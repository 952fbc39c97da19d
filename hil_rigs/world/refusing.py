"""An asyncio loop without a selector: whatever needs threads, processes, real sockets or signals is refused."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextvars import Context
from selectors import BaseSelector, SelectorKey
from typing import Any, NoReturn, TypeVarTuple, Unpack

from hil_rigs.world.errors import RefusedInVirtualTime

Ts = TypeVarTuple("Ts")


def _refused(what: str) -> Any:
    def refuse(*_args: object, **_kwargs: object) -> NoReturn:
        raise RefusedInVirtualTime(what)

    return refuse


class RefusingLoop(asyncio.SelectorEventLoop):
    """Base of the virtual loop: every way out of the loop's own thread raises RefusedInVirtualTime."""

    def __init__(self) -> None:
        super().__init__(_NoSelector())
        self.set_debug(False)
        self._own_thread = threading.get_ident()

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """call_soon from the loop's own thread, refused from any other."""
        if threading.get_ident() != self._own_thread:
            raise RefusedInVirtualTime("call_soon_threadsafe from another thread")
        return self.call_soon(callback, *args, context=context)

    run_in_executor = _refused("run_in_executor (a thread)")
    add_reader = remove_reader = _refused("add_reader")
    add_writer = remove_writer = _refused("add_writer")
    add_signal_handler = remove_signal_handler = _refused("add_signal_handler")
    connect_accepted_socket = _refused("connect_accepted_socket")
    connect_read_pipe = _refused("connect_read_pipe")
    connect_write_pipe = _refused("connect_write_pipe")
    create_datagram_endpoint = _refused("create_datagram_endpoint")
    create_unix_connection = _refused("create_unix_connection")
    create_unix_server = _refused("create_unix_server")
    getnameinfo = _refused("getnameinfo (a thread)")
    sendfile = _refused("sendfile")
    sock_accept = _refused("sock_accept")
    sock_connect = _refused("sock_connect")
    sock_recv = _refused("sock_recv")
    sock_recv_into = _refused("sock_recv_into")
    sock_recvfrom = _refused("sock_recvfrom")
    sock_recvfrom_into = _refused("sock_recvfrom_into")
    sock_sendall = _refused("sock_sendall")
    sock_sendfile = _refused("sock_sendfile")
    sock_sendto = _refused("sock_sendto")
    start_tls = _refused("start_tls")
    subprocess_exec = _refused("subprocess_exec")
    subprocess_shell = _refused("subprocess_shell")

    def _make_self_pipe(self) -> None:
        """No wake-up socket: no other thread may call."""

    def _close_self_pipe(self) -> None:
        """Nothing to close."""

    def _write_to_self(self) -> None:
        """No one to wake."""


class _NoSelector(BaseSelector):
    """What the base class wants to hold and close; it is never asked to select."""

    register = unregister = _refused("a selector")

    def select(self, timeout: float | None = None) -> NoReturn:
        raise RefusedInVirtualTime("select")

    def get_map(self) -> Mapping[Any, SelectorKey]:
        return {}
