"""The files of a site's state: one JSON document, its previous copy, the log of events. Written whole or not at all.

The document has a `version`, the `site` it belongs to and a `sha256` over all the rest of it.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Generic, NamedTuple, TypeVar

VERSION = 1
"""Counts up when a reader of the version before would misunderstand the document; new keys alone do not count."""
SIZE_MAX = 64 << 20
EVENTS_SIZE_MAX = 16 << 20
"""Some 100,000 events; the log then begins anew and one earlier log is kept."""

T = TypeVar("T")


class StateRefusedError(ValueError):
    """A state file that must not be believed; the text says why in a few words."""


class StateFiles:
    """Where the state of one site is. Whoever writes there holds the lock."""

    def __init__(self, folder: Path, site: str) -> None:
        self.folder = folder
        self.site = site
        self.current = folder / f"{site}.state.json"
        self.previous = folder / f"{site}.state.previous.json"
        self.refused = folder / f"{site}.state.refused.json"
        self.unfinished = folder / f"{site}.state.tmp"
        self.events = folder / f"{site}.events.jsonl"
        self.earlier_events = folder / f"{site}.events.1.jsonl"
        self.request = folder / f"{site}.request.json"
        self.locked = folder / f"{site}.lock"
        self.status = folder / f"{site}.status.sock"

    def lock(self) -> BinaryIO:
        """Held until closed or the process ends. BlockingIOError while another has it; OSError."""
        file = self.locked.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise
        return file


class Found(NamedTuple, Generic[T]):
    """`document` is None when no file could be believed; `refusals` says of each refused file why, a line each."""

    document: T | None
    refusals: tuple[str, ...]

    @property
    def lost(self) -> bool:
        """There was a state, and nobody knows which faults were latched in it."""
        return self.document is None and bool(self.refusals)


def encode(site: str, state: Mapping[str, Any]) -> bytes:
    """The document for a state of plain values."""
    document = {"version": VERSION, "site": site, **state}
    return json.dumps({**document, "sha256": _digest(document)}, indent=1, allow_nan=False).encode() + b"\n"


def decode(data: bytes, site: str) -> dict[str, Any]:
    """The document as it was encoded, without its `sha256`. StateRefusedError; any bytes may be given."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise StateRefusedError("empty" if not data else "no JSON, or cut short") from None
    if not isinstance(document, dict) or not isinstance(document.get("version"), int):
        raise StateRefusedError("no state of a site")
    if document["version"] > VERSION:
        raise StateRefusedError(f"version {document['version']}, this controller knows {VERSION}")
    if document.pop("sha256", None) != _digest(document):
        raise StateRefusedError("its checksum does not fit")
    if document.get("site") != site:
        raise StateRefusedError(f"belongs to site {document.get('site')!r}")
    return document


def read(files: StateFiles, parse: Callable[[dict[str, Any]], T]) -> Found[T]:
    """The newest document that can be believed, as `parse` makes it (ValueError = refused too)."""
    refusals: list[str] = []
    for path in (files.current, files.previous):
        try:
            return Found(parse(decode(_bytes(path), files.site)), tuple(refusals))
        except FileNotFoundError:
            if path is files.current and files.previous.exists():
                refusals.append(f"{path}: is missing")
        except OSError as error:
            refusals.append(f"{path}: {error.strerror or error}")
        except ValueError as error:
            refusals.append(f"{path}: refused: {str(error).splitlines()[0]}")
    return Found(None, tuple(refusals))


def replace(files: StateFiles, data: bytes, *, keep: bool) -> None:
    """Puts `data` in the place of the current document, which becomes the previous one (`keep`) or else, being no
    believable one, is set aside. At every moment there is a whole current document if there was one before. OSError."""
    _write_unfinished(files, data)
    if files.current.exists():
        _link_over(files.current, files.previous if keep else files.refused)
    files.unfinished.replace(files.current)
    _sync_folder(files.folder)


def replace_both(files: StateFiles, data: bytes, *, keep: bool) -> None:
    """Puts `data` in the place of both copies, each at once, the previous one first: it may have to replace the current
    one and must never know fewer latched faults. A current document that is not believed (`keep` False) is set aside.
    OSError."""
    _write_unfinished(files, data)
    files.unfinished.replace(files.previous)
    _sync_folder(files.folder)
    _write_unfinished(files, data)
    if not keep and files.current.exists():
        _link_over(files.current, files.refused)
    files.unfinished.replace(files.current)
    _sync_folder(files.folder)


def append_events(files: StateFiles, lines: Iterable[bytes]) -> None:
    """Adds whole lines to the log: all of them or, with an OSError, none."""
    if files.events.exists() and files.events.stat().st_size > EVENTS_SIZE_MAX:
        files.events.replace(files.earlier_events)
    with files.events.open("ab+", buffering=0) as log:
        size = log.seek(0, os.SEEK_END)
        data = b"".join(line + b"\n" for line in lines)
        try:
            _write_all(log, data if _ends_a_line(log, size) else b"\n" + data)
            os.fsync(log.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                log.truncate(size)
            raise


def _write_unfinished(files: StateFiles, data: bytes) -> None:
    with files.unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(SIZE_MAX + 1)
    if len(data) > SIZE_MAX:
        raise StateRefusedError("too large")
    return data


def _digest(document: Mapping[str, Any]) -> str:
    """Over a form that does not depend on white space or order. StateRefusedError for what JSON has no word for."""
    try:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError):
        raise StateRefusedError("holds what is no number") from None
    return hashlib.sha256(text.encode()).hexdigest()


def _link_over(source: Path, target: Path) -> None:
    """`target` becomes a second name of `source`, at once; a file system without links gets a copy."""
    step = target.with_suffix(".step")
    step.unlink(missing_ok=True)
    try:
        os.link(source, step)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        step.write_bytes(source.read_bytes())
    step.replace(target)


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _write_all(log: FileIO, data: bytes) -> None:
    while data:
        data = data[log.write(data) :]


def _ends_a_line(log: FileIO, size: int) -> bool:
    """A power cut may have left the last line unfinished."""
    if size == 0:
        return True
    log.seek(size - 1)
    return log.read(1) == b"\n"
