"""Record files as ASAM MDF 4.1, what measurement tools of the field read: one channel group, one record a tick.

Each column is a channel with its unit and meaning; `time_s` is the master channel. Texts are codes with a table of
values to texts, which tools show as texts; null is an invalid sample. Metadata are common properties of the header.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from asammdf import MDF, Signal
from asammdf.blocks.v4_blocks import FileHistory
from asammdf.blocks.v4_constants import CompressionAlgorithm

VERSION = "4.10"
"""The oldest with compressed data, for the sake of old tools."""
MAGIC, HEAD_BYTES = b"MDF     ", 64
"""How every finished MDF file begins (ASAM MDF 4.1, identification block)."""
MASTER, TIME_SYNC = "time_s", 1
STARTED = "started_unix_ns"
"""Metadata that says when the run began, wall time; the file's start is the epoch without it."""
EPOCH = datetime.fromtimestamp(0, UTC)


def write_mdf(groups: Callable[[], Iterable[Any]], path: Path, schema: Any) -> None:
    """Writes `path`, over a file that may be there. `groups` gives the rows as pyarrow.Tables, and is asked twice: for
    the texts, then for the values. Same rows and metadata, same bytes. OSError."""
    texts = _distinct(groups(), schema)
    with MDF(version=VERSION, temporary_folder=path.parent) as mdf:
        mdf.append(
            [_signal(field, texts) for field in schema if field.name != MASTER], comment="ticks", common_timebase=True
        )
        mdf.groups[0].channels[0].comment = schema.field(MASTER).metadata[b"meaning"].decode()
        for group in groups():
            mdf.extend(0, [(group[MASTER].to_numpy(), None), *_values(group, schema, texts)])
        _describe(mdf, {name.decode(): value.decode() for name, value in schema.metadata.items()})
        with path.open("wb+") as file:
            mdf.save(file, compression=CompressionAlgorithm.TRANSPOSED_DEFLATE, add_history_block=False)


def read_mdf(path: Path, fields: Iterable[Any]) -> Any:
    """pyarrow.Table of those of the `fields` (pyarrow.Field) that the file has, and its metadata. ValueError when it is
    no MDF file, OSError."""
    with path.open("rb") as file:
        if len(head := file.read(HEAD_BYTES)) < HEAD_BYTES or not head.startswith(MAGIC):
            raise ValueError("not an MDF file")
        try:
            return _table(file, fields)
        except Exception as error:  # of a damaged file asammdf raises whatever it stumbles over
            raise ValueError(f"an MDF file that cannot be read: {error}") from error


def _table(file: Any, fields: Iterable[Any]) -> Any:
    with MDF(file) as mdf:
        if str(mdf.version) < VERSION or not mdf.groups:
            raise ValueError(f"no MDF file of version {VERSION} with values")
        found = [field for field in fields if field.name in mdf]
        columns = [_column(mdf, field) for field in found]
        return pa.Table.from_arrays(columns, schema=pa.schema(found, metadata=_metadata(mdf.header.comment)))


def _distinct(groups: Iterable[Any], schema: Any) -> dict[str, list[str]]:
    """The texts of each column of texts, in the order in which they first come."""
    texts: dict[str, dict[str, None]] = {field.name: {"": None} for field in schema if pa.types.is_string(field.type)}
    for group in groups:
        for name, known in texts.items():
            known |= dict.fromkeys(pc.unique(group[name]).drop_null().to_pylist())
    return {name: list(known) for name, known in texts.items()}


def _signal(field: Any, texts: Mapping[str, list[str]]) -> Signal:
    """The channel of a column, as yet without samples."""
    given: dict[str, Any] = {"samples": np.empty(0, field.type.to_pandas_dtype())}
    if field.name in texts:
        coded = enumerate(texts[field.name])
        given = {
            "samples": np.empty(0, np.uint32),
            "conversion": {key: value for code, text in coded for key, value in _entry(code, text)},
            "invalidation_bits": np.empty(0, np.bool_),
        }
    return Signal(
        timestamps=np.empty(0),
        name=field.name,
        unit=field.metadata[b"unit"].decode(),
        comment=field.metadata[b"meaning"].decode(),
        master_metadata=(MASTER, TIME_SYNC),
        **given,
    )


def _entry(code: int, text: str) -> tuple[tuple[str, Any], ...]:
    return (f"val_{code}", code), (f"text_{code}", text)


def _values(group: Any, schema: Any, texts: Mapping[str, list[str]]) -> list[tuple[Any, Any]]:
    """Samples and invalidation bits of each channel but the master."""
    return [
        _codes(group[name], texts[name]) if name in texts else (group[name].to_numpy(), None)
        for name in schema.names
        if name != MASTER
    ]


def _codes(column: Any, texts: list[str]) -> tuple[Any, Any]:
    codes = pc.index_in(column, value_set=pa.array(texts, pa.string()))
    return pc.fill_null(codes, 0).to_numpy().astype(np.uint32), column.is_null().to_numpy()


def _column(mdf: MDF, field: Any) -> Any:
    if field.name == MASTER:
        return pa.array(mdf.get_master(0), field.type)
    signal = mdf.get(field.name, raw=True, ignore_invalidation_bits=True)
    if not pa.types.is_string(field.type):
        return pa.array(signal.samples, field.type)
    if signal.conversion is None:
        raise ValueError(f"channel {field.name} holds no texts")
    codes, places = np.unique(signal.samples, return_inverse=True)
    texts = [text.decode() for text in signal.conversion.convert(codes).tolist()]
    indices = pa.array(places.astype(np.int32), mask=np.asarray(signal.invalidation_bits, np.bool_))
    return pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string())).cast(pa.string())


def _describe(mdf: MDF, metadata: Mapping[str, str]) -> None:
    started = EPOCH + timedelta(microseconds=int(metadata.get(STARTED, "0")) / 1e3)
    root = ElementTree.Element("HDcomment")
    ElementTree.SubElement(root, "TX").text = "cellward record"
    properties = ElementTree.SubElement(root, "common_properties")
    for name, value in metadata.items():
        ElementTree.SubElement(properties, "e", name=name).text = value
    mdf.header.comment = ElementTree.tostring(root, encoding="unicode")
    mdf.header.start_time = started
    history = FileHistory()
    history.time_stamp = started  # the library's own would be the time of writing, and no run like another
    history.comment = (
        "<FHcomment><TX>created</TX><tool_id>cellward</tool_id><tool_vendor>cellward</tool_vendor>"
        f"<tool_version>schema {metadata['schema_version']}</tool_version></FHcomment>"
    )
    mdf.file_history.append(history)


def _metadata(comment: str) -> dict[str, str]:
    try:
        properties = ElementTree.fromstring(comment).iter("e")
    except ElementTree.ParseError:
        return {}
    return {element.attrib["name"]: element.text or "" for element in properties}
