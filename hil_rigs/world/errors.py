"""What can go wrong with virtual time itself: causes that real time would show as a hang, a race or a leak."""

from collections.abc import Sequence


class VirtualTimeError(RuntimeError):
    """Root of the errors below."""


class Stalled(VirtualTimeError):  # noqa: N818 (leaves are named after their cause)
    """Virtual time cannot go on: nothing is scheduled, or tasks spin without ever awaiting time.
    `tasks` names what is pending."""

    def __init__(self, cause: str, tasks: Sequence[str]) -> None:
        super().__init__(f"{cause}; pending: {', '.join(tasks) or 'no task'}")
        self.tasks = tuple(tasks)


class LeftPending(VirtualTimeError):  # noqa: N818 (leaves are named after their cause)
    """The main coroutine returned while tasks that it started were still running. `tasks` names them."""

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(f"main returned and left pending: {', '.join(tasks)}")
        self.tasks = tuple(tasks)


class RefusedInVirtualTime(VirtualTimeError):  # noqa: N818 (leaves are named after their cause)
    """Threads, processes, real sockets and signals would make a run depend on the machine it runs on."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is refused in virtual time: only timers, tasks and the in-memory network exist there")
