"""`bms set`: tells a running controller an input, for a while. Nothing is saved: a restart knows nothing of it."""

import math
import re
import time

from bms.requests import input_names
from bms.site import Site
from bms.state.files import StateFiles
from bms.state.reset import HEARD_S, LOOK_S, SILENT, NoAnswerError, ResetError, asking, require_answer

ASKED = re.compile(r"inputs\.([a-z][a-z0-9_-]*)=(\S+)")


def parse_input(site: Site, words: str) -> tuple[str, float]:
    """Name and value of `inputs.NAME=VALUE`. ResetError for anything else, or a name that no application of the site
    listens to."""
    match = ASKED.fullmatch(words)
    if match is None:
        raise ResetError(f"{words}: expected inputs.NAME=VALUE")
    name, text = match.groups()
    known = input_names(site)
    if name not in known:
        heard = ", ".join(known) or "nothing"
        raise ResetError(f"inputs.{name}: no application of site {site.name} listens to it, they listen to: {heard}")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ResetError(f"inputs.{name}: expected a number (got {text})")
    return name, value


def tell(files: StateFiles, name: str, value: float, for_s: float) -> None:
    """Takes up to ANSWER_S. ResetError when no controller of this site runs; NoAnswerError when one does and hangs,
    which then never takes it."""
    try:
        files.lock().close()
    except BlockingIOError:
        pass  # a controller has it
    except OSError as error:
        raise ResetError(f"{files.locked}: {error.strerror}") from None
    else:
        raise ResetError(f"{files.folder}: no controller of site {files.site} runs there, and an input is not saved")
    require_answer(files, HEARD_S)
    with asking(files, {"set": [[name, value, for_s]]}) as end_s:
        while files.request.exists():
            if time.monotonic() > end_s - HEARD_S:
                raise NoAnswerError(SILENT)
            time.sleep(LOOK_S)
    # A process of its own takes it out of the folder: the controller itself must live until it is too late to be done.
    require_answer(files, end_s - time.monotonic())
