"""The record: one row a tick. This level and `process` need no pyarrow; `memory`, `files` and the writer do."""

from bms.record.process import ProcessRecorder
from bms.record.schema import Recorder, RecordError, TickRow

__all__ = ["ProcessRecorder", "RecordError", "Recorder", "TickRow"]
