"""What a command does when nobody reads its output to the end, as with `| head`."""

import os
import sys


def leave_closed_pipe(unread: int) -> int:
    """For BrokenPipeError of standard output: no word about it, and what is still to be written goes nowhere. `unread`
    is the exit status: 0 of a list, which is right wherever its reader stops, 1 of what has a verdict."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return unread
