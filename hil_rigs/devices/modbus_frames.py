"""What simulated Modbus devices refuse a request with: the words of drivers.serve.frames."""

from drivers.serve.frames import (
    DEVICE_FAILURE,
    GATEWAY_NO_ANSWER,
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    ModbusFault,
)

__all__ = [
    "DEVICE_FAILURE",
    "GATEWAY_NO_ANSWER",
    "ILLEGAL_ADDRESS",
    "ILLEGAL_FUNCTION",
    "ILLEGAL_VALUE",
    "ModbusFault",
]
