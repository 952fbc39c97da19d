"""Virtual time and an in-memory network, in which controller, drivers and simulated devices run unmodified."""

from hil_rigs.world.errors import LeftPending, RefusedInVirtualTime, Stalled, VirtualTimeError
from hil_rigs.world.loop import VirtualLoop
from hil_rigs.world.network import Network
from hil_rigs.world.run import current_network, run_virtual

__all__ = [
    "LeftPending",
    "Network",
    "RefusedInVirtualTime",
    "Stalled",
    "VirtualLoop",
    "VirtualTimeError",
    "current_network",
    "run_virtual",
]
