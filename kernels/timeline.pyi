from asyncio import Handle, TimerHandle
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVarTuple, Unpack

Ts = TypeVarTuple("Ts")

class Call(TimerHandle):
    context: Context

class Timeline:
    now_ns: int
    ready: list[Any]
    held: bool
    stopping: bool
    closed: bool
    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> Handle: ...
    def call_at_ns(
        self, when_ns: int, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> TimerHandle: ...
    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> TimerHandle: ...
    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> TimerHandle: ...
    def time(self) -> float: ...
    def jump(self) -> bool: ...
    def run(self, rounds_max: int) -> bool: ...
    def broke(self, call: Call, error: BaseException) -> None: ...
    def withhold(self) -> None: ...
