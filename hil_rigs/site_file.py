"""The site file that a rig writes for its own controller: it knows its own work again, and leaves what people made of
it alone."""

import contextlib
import hashlib
import os
from pathlib import Path

from bms.site import Site, dump_site

MARK = "# written by hil serve; sha256 of the rest "


class EditedSiteError(ValueError):
    """Somebody has worked on the file; the message is one line."""


def require_own(path: Path) -> None:
    """EditedSiteError for a file that is there and is not as `write_site` left it."""
    try:
        mark, _, rest = path.read_text(encoding="utf-8").partition("\n")
    except FileNotFoundError:
        return
    except UnicodeDecodeError:
        mark, rest = "", ""
    if mark != MARK + _digest(rest):
        raise EditedSiteError(f"{path}: is there and is not as hil serve wrote it: --force overwrites it")


def write_site(site: Site, path: Path) -> None:
    """The file appears complete or not at all, over one that may be there. OSError."""
    text = dump_site(site)
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(f"{MARK}{_digest(text)}\n{text}", encoding="utf-8")
        os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
