"""How a child process that runs one of our modules is called."""

import sys


def module_command(module: str, *arguments: str) -> list[str]:
    """`python -m MODULE ARGUMENTS`, importing what this process does: not what lies where its user stands,
    in a source tree without compiled kernels, say."""
    return [sys.executable, "-P", "-m", module, *arguments]
