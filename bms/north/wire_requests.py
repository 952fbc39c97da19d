"""Requests over Modbus: each with a time of its own or a heartbeat, and what follows once that time is over."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from bms.requests import RequestRefused, Requests, Source, Why
from bms.state.store import FOR_S_MAX
from drivers.clock import now_ns
from drivers.serve.frames import DEVICE_FAILURE, ILLEGAL_VALUE, ModbusFault


@dataclass(slots=True)
class _Asked:
    """What was asked for last. `own_s` is its own time, 0 = the heartbeat's; `reverts` is asked for then, if any."""

    value: float
    own_s: float
    reverts: float | None
    timer: asyncio.TimerHandle | None = None


class WireRequests:
    """The Modbus side of the site's desk; `refusal` says why the newest refused write was refused."""

    def __init__(self, requests: Requests, heartbeat_s: float) -> None:
        self._requests, self._heartbeat_s = requests, heartbeat_s
        self._asked: dict[str, _Asked] = {}
        self.refusal = ""

    def ask(self, name: str, value: float, own_s: float, reverts: float | None = None) -> None:
        """ModbusFault 4 while somebody else has the authority, 3 for what cannot be asked."""
        try:
            self._tell(name, value, own_s or self._heartbeat_s)
        except RequestRefused as refused:
            code = DEVICE_FAILURE if refused.why in (Why.LOCAL, Why.HELD) else ILLEGAL_VALUE
            raise self.refused(str(refused), code) from None
        self.refusal = ""
        self._forget(name)
        asked = self._asked[name] = _Asked(value, own_s, reverts)
        if reverts is not None:
            loop = asyncio.get_running_loop()
            asked.timer = loop.call_at(loop.time() + own_s, self._revert, name, reverts)

    def refused(self, words: str, code: int) -> ModbusFault:
        """The fault of a write that is refused for that reason."""
        self.refusal = words
        return ModbusFault(code)

    def withdraw(self, name: str) -> None:
        self._forget(name)
        with suppress(RequestRefused):  # somebody else has it: then it is not ours any more
            self._requests.withdraw(name, Source.MODBUS)

    def alive(self) -> None:
        """A sign of life: what has no time of its own goes on."""
        for name, asked in self._asked.items():
            if asked.own_s == 0.0 and self.value(name) is not None:
                with suppress(RequestRefused):  # somebody took the site into local control in this very tick
                    self._tell(name, asked.value, self._heartbeat_s)

    def value(self, name: str) -> float | None:
        """What holds now by a request over Modbus; None = nothing does."""
        mine = self._requests.holder(name) is Source.MODBUS
        return self._requests.value(name, now_ns()) if mine else None

    def own_left_s(self, name: str) -> float:
        """What is left of a time of its own."""
        asked = self._asked.get(name)
        return 0.0 if asked is None or asked.own_s == 0.0 else self._requests.left_s(name, now_ns())

    def close(self) -> None:
        """Nothing follows any more."""
        for name in list(self._asked):
            self._forget(name)

    def _tell(self, name: str, value: float, for_s: float) -> None:
        self._requests.ask(name, value, for_s, Source.MODBUS, now_ns())

    def _revert(self, name: str, value: float) -> None:
        """At the time when what was asked ends; nothing if somebody else took it meanwhile, or under local control."""
        self._forget(name)
        if self._requests.holder(name) is Source.MODBUS and not self._requests.local:
            self._tell(name, value, FOR_S_MAX)

    def _forget(self, name: str) -> None:
        asked = self._asked.pop(name, None)
        if asked is not None and asked.timer is not None:
            asked.timer.cancel()
