"""A parser of command lines that says what was meant."""

import argparse
import re
from typing import NoReturn

from drivers.config.near import near

CHOICE = re.compile(r"invalid choice: '([^']*)'(?= \(choose from (.*)\)$)")


class Parser(argparse.ArgumentParser):
    """As argparse's, and its subcommands' likewise; where a choice is mistyped, the one most like it comes before the
    list of all."""

    def error(self, message: str) -> NoReturn:
        super().error(CHOICE.sub(_with_hint, message))


def _with_hint(found: re.Match[str]) -> str:
    meant = near(found[1], re.findall(r"[^',\s]+", found[2]))
    return found[0] if meant is None else f"{found[0]}, did you mean {meant}?"
