"""What a command does when nobody reads its output to the end, as with `| head`."""

import os
import sys


def leave_closed_pipe() -> int:
    """For BrokenPipeError of standard output: no word about it, and what is still to be written goes nowhere. The exit
    status, which says that not everything was read."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return 1
