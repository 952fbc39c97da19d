"""Cell monitors of a rack: one folder each, frames in, RackReading out."""
