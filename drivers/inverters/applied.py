"""The set-point in effect, by what a device acknowledges and by what it says when it is read back."""

from math import isnan, nan


class Applied:
    """`value` is the set-point acknowledged last, or what the device says itself when that is another; NaN = none."""

    def __init__(self) -> None:
        self.value = nan
        self._acknowledged = nan
        self._believed = True

    def acknowledge(self, value: float) -> None:
        self._acknowledged = value
        if self._believed:
            self.value = value

    def release(self) -> None:
        """It acknowledged that there is none."""
        self._acknowledged = self.value = nan

    def confirm(self, value: float) -> None:
        """Takes a set-point as read back. Unless it is the one acknowledged last, acknowledgements mean nothing until
        it is again: the device, or somebody else, has another opinion."""
        self._believed = isnan(self._acknowledged) or value == self._acknowledged
        self.value = value

    def begin(self) -> None:
        """A new connection, on which nothing was acknowledged; the value stands."""
        self._acknowledged, self._believed = nan, True
