"""The two ends of the low-voltage protocol on a simulated bus: a third-party battery and a third-party inverter."""

from drivers.battery import BatteryAlarm, BatterySays
from drivers.clock import NEVER_NS, now_ns
from drivers.frames import FrameBatch
from drivers.low_voltage.codec import KEEP_ALIVE_PERIOD_S, SILENCE_S, BatteryDecoder, BatteryEncoder
from drivers.low_voltage.profile import Profile
from drivers.pace import Pace
from hil_rigs.world.canbus import CanBus

SILENCE_NS = round(SILENCE_S * 1e9)


class LowVoltageBatteryNode:
    """Says `says` (to be set at any time) once a second while it runs. Without a keep-alive for 3 s it opens its
    contactor, allows nothing and raises its general alarm; the next keep-alive closes it again. `silent`: says nothing.
    """

    def __init__(self, bus: CanBus, profile: Profile, says: BatterySays) -> None:
        self.says = says
        self.silent = False
        self.contactor_closed = True
        self._encoder, self._decoder = BatteryEncoder(profile), BatteryDecoder(profile)
        self._port = bus.attach(self._on_batch)

    async def run(self) -> None:
        """Until cancelled; a battery that was just switched on waits 3 s for its first keep-alive."""
        pace, started_ns = Pace(1.0), now_ns()
        while True:
            heard_ns = max(self._decoder.keep_alive_at_ns, started_ns)
            self.contactor_closed = now_ns() - heard_ns < SILENCE_NS
            if not self.silent:
                self._port.send(self._encoder.encode(self.says if self.contactor_closed else _alone(self.says)))
            await pace.next()

    def _on_batch(self, batch: FrameBatch) -> None:
        self._decoder.feed(batch)


def _alone(says: BatterySays) -> BatterySays:
    return says._replace(
        charge_current_a_max=0.0,
        discharge_current_a_max=0.0,
        current_a=0.0,
        charge_allowed=False,
        discharge_allowed=False,
        alarms=(says.alarms or BatteryAlarm(0)) | BatteryAlarm.GENERAL | BatteryAlarm.INTERNAL,
    )


class LowVoltageInverterNode:
    """Sends its keep-alive once a second while it runs and obeys the battery's limits, none of which is older than
    3 s. `silent`: sends nothing."""

    def __init__(self, bus: CanBus, profile: Profile) -> None:
        self.silent = False
        self._decoder = BatteryDecoder(profile)
        self._keep_alive = BatteryEncoder(profile).keep_alive()
        self._port = bus.attach(self._on_batch)

    @property
    def hears(self) -> BatterySays:
        """The battery's newest word."""
        return self._decoder.says()

    def allowed_a(self) -> tuple[float, float]:
        """Charge and discharge current that it takes now, magnitudes."""
        says = self.hears
        if says.limits_at_ns == NEVER_NS or now_ns() - says.limits_at_ns > SILENCE_NS:
            return 0.0, 0.0
        return says.charge_current_a_max, says.discharge_current_a_max

    async def run(self) -> None:
        """Until cancelled."""
        pace = Pace(KEEP_ALIVE_PERIOD_S)
        while True:
            if not self.silent:
                self._port.send(self._keep_alive)
            await pace.next()

    def _on_batch(self, batch: FrameBatch) -> None:
        self._decoder.feed(batch)
