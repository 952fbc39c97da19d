"""What a device says and accepts: links, frames, registers and the types that cross the boundary."""
