"""The one way in for everybody who tells the site an input: who may, what is refused and why, and what has ended."""

from collections.abc import Collection
from enum import StrEnum

from bms.dispatch.inputs import Inputs
from bms.protect.faults import LOCAL_CONTROL
from bms.protect.protection import ActiveFault
from bms.request_log import Note, RequestLog
from bms.site import Site
from bms.state.store import FOR_S_MAX

NAME_MAX = 64
"""Longer names are cut in what is said of them."""


class Source(StrEnum):
    """Who tells an input. The operator is at the site; all others are remote."""

    OPERATOR = "operator"
    MODBUS = "modbus"
    MQTT = "mqtt"
    REST = "rest"


class Why(StrEnum):
    """Why a request is refused."""

    UNKNOWN = "no application listens to it"
    VALUE = "it cannot be told"
    LOCAL = "the site is under local control"
    HELD = "somebody else has it"


class RequestRefused(Exception):  # noqa: N818
    """Nothing was changed; the text is one sentence."""

    def __init__(self, why: Why, words: str) -> None:
        super().__init__(words)
        self.why = why


def input_names(site: Site) -> list[str]:
    """Inputs that an application of the site listens to, sorted."""
    return sorted({each for application in site.applications for each in application.inputs})


class Requests:
    """Call `step` in every tick. `lost` are inputs whose remote teller was not heard in time: it neither renewed nor
    withdrew them, and nobody has told them since."""

    def __init__(self, site: Site, inputs: Inputs, note: Note) -> None:
        self._site, self._names, self._inputs, self._log = site.name, input_names(site), inputs, RequestLog(note)
        self._holders: dict[str, Source] = {}
        self._refused: dict[Source, str] = {}
        self._at_ns = 0
        self.local = False
        self.lost: frozenset[str] = frozenset()
        self.words = ""
        """What holds and who told it, as `power_w=50000:modbus`, joined by commas."""

    @property
    def names(self) -> Collection[str]:
        """Inputs that can be told."""
        return self._names

    def ask(self, name: str, value: float, for_s: float, source: Source, at_ns: int) -> None:
        """Tell an input for so long. It replaces what the same source told, and the operator's replaces everybody's.
        RequestRefused, which is logged once for a row of equal ones."""
        self._at_ns = at_ns
        try:
            self._check(name, value, for_s, source, at_ns)
        except RequestRefused as refused:
            self._log_refusal(source, name, str(refused))
            raise
        taken = self._holders.get(name) is not source
        self._inputs.put(name, value, at_ns + round(for_s * 1e9), source)
        self._holders[name] = source
        self._refused.pop(source, None)
        self.lost -= {name}
        self._say()
        if taken or source is Source.OPERATOR:
            self._log.write(at_ns, "set", by=source, input=name, value=value, for_s=for_s)

    def withdraw(self, name: str, source: Source) -> None:
        """End what this source told, as it is wanted: nothing is lost. RequestRefused for what nobody knows, or
        somebody else has."""
        self._check_name(name)
        holder = self._holders.get(name, source)
        if holder is not source:
            raise RequestRefused(Why.HELD, f"{name}: {holder} has it")
        if self._holders.get(name) is source:
            self._end(name, "withdrawn")
        self.lost -= {name}

    def value(self, name: str, at_ns: int) -> float | None:
        """What holds now; None = nothing."""
        return self._inputs.value(name) if self._inputs.expires_ns(name) > at_ns else None

    def left_s(self, name: str, at_ns: int) -> float:
        """How long it still holds."""
        return max(self._inputs.expires_ns(name) - at_ns, 0) / 1e9

    def holder(self, name: str) -> Source | None:
        """Who told what holds."""
        return self._holders.get(name)

    def step(self, at_ns: int, faults: Collection[ActiveFault]) -> None:
        """What has ended by now. Under local control nothing remote holds, and nothing is lost."""
        self._at_ns = at_ns
        local = any(fault.kind.id == LOCAL_CONTROL for fault in faults)
        if local and not self.local:
            for name in [name for name, source in self._holders.items() if source is not Source.OPERATOR]:
                self._end(name, "ended by local control")
            self.lost = frozenset()
        self.local = local
        for name in [name for name in self._holders if self._inputs.expires_ns(name) <= at_ns]:
            remote = self._holders[name] is not Source.OPERATOR
            self._end(name, "not renewed" if remote else "expired")
            if remote:
                self.lost |= {name}

    def _check(self, name: str, value: float, for_s: float, source: Source, at_ns: int) -> None:
        self._check_name(name)
        if not abs(value) < float("inf"):
            raise RequestRefused(Why.VALUE, f"{name}: expected a finite number (got {value})")
        if not 0.0 < for_s <= FOR_S_MAX:
            raise RequestRefused(
                Why.VALUE, f"{name}: expected a time above 0 and at most {FOR_S_MAX:g} s (got {for_s:g})"
            )
        if source is Source.OPERATOR:
            return
        if self.local:
            raise RequestRefused(Why.LOCAL, f"{name}: the site is under local control")
        holder = self._holders.get(name, source)
        if holder is not source:
            left_s = self.left_s(name, at_ns)
            raise RequestRefused(Why.HELD, f"{name}: {holder} has it for {left_s:.0f} s more")

    def _check_name(self, name: str) -> None:
        if name not in self._names:
            heard = ", ".join(self._names) or "nothing"
            raise RequestRefused(
                Why.UNKNOWN,
                f"{name[:NAME_MAX]}: no application of site {self._site} listens to it, they listen to: {heard}",
            )

    def _end(self, name: str, how: str) -> None:
        source = self._holders.pop(name)
        self._inputs.withdraw(name)
        self._say()
        self._log.write(self._at_ns, "ended", by=source, input=name, how=how)

    def _log_refusal(self, source: Source, name: str, words: str) -> None:
        kind = words.split(" has it for ")[0]
        if self._refused.get(source) != kind:
            self._refused[source] = kind
            self._log.write(self._at_ns, "refused", by=source, input=name[:NAME_MAX], why=words)

    def _say(self) -> None:
        told = [f"{name}={self._inputs.value(name):g}:{source}" for name, source in sorted(self._holders.items())]
        self.words = ",".join(told)
