"""A child process that is fed lines or bytes and may be slow: what does not fit the bound is dropped and counted."""

import asyncio
import os
from types import TracebackType
from typing import Self

from bms.child_python import module_command

BUFFER_BYTES_MAX = 1 << 20
EXIT_WAIT_S = 10.0


class ChildSink:
    """Starts `python -m MODULE ARGS`, writes to its standard input without ever blocking, and waits for its end."""

    def __init__(self, module: str, *args: str) -> None:
        self._command = module_command(module, *args)
        self._process: asyncio.subprocess.Process | None = None
        self.dropped = 0

    async def __aenter__(self) -> Self:
        # A session of its own: Ctrl-C on the terminal ends the controller, which then ends its children in order.
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, process_group=0, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(EXIT_WAIT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def put(self, data: bytes) -> None:
        """Hand over one piece; dropped when the child is gone or more than the bound is waiting."""
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None:
            self.dropped += 1
            return
        if process.stdin.transport.get_write_buffer_size() + len(data) > BUFFER_BYTES_MAX:
            self.dropped += 1
            return
        process.stdin.write(data)
