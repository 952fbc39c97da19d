"""`bms probe URL`: what answers on a link, as the fragment of a site file. One module a scheme."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from bms.probe.answers import Answer, NothingAnswers, UrlError
from bms.probe.can import probe_can
from bms.probe.tcp import probe_tcp

Prober = Callable[[str], Coroutine[Any, Any, list[Answer]]]

SCHEMES: dict[str, Prober] = {"can": probe_can, "tcp": probe_tcp}
"""By scheme: looks at the rest of the URL behind `SCHEME://`. UrlError, NothingAnswers."""


def probe(url: str, *, as_json: bool) -> int:
    """Exit status 0 when a device was found that a site file can name, 1 when none answers or none is known, 2 for what
    is no URL."""
    scheme, _, place = url.partition("://")
    try:
        if scheme not in SCHEMES:
            expected = " or ".join(f"{each}://..." for each in SCHEMES)
            raise UrlError(f"{url!r}: unknown scheme {scheme!r}, expected {expected}")
        answers = asyncio.run(SCHEMES[scheme](place))
    except UrlError as error:
        return _fail(str(error), 2, as_json)
    except NothingAnswers as error:
        return _fail(str(error), 1, as_json)
    found = any(answer.fragment for answer in answers)
    if as_json:
        print(json.dumps({"ok": found, "errors": [], "answers": [answer.document() for answer in answers]}))
    else:
        print("\n".join(line for answer in answers for line in answer.lines()))
    return 0 if found else 1


def _fail(error: str, status: int, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"ok": False, "errors": [error], "answers": []}))
    else:
        print(error, file=sys.stderr)
    return status
