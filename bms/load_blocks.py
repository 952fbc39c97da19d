"""Which load blocks are closed: shed the last first, bring the first back first, one at a time."""

from collections.abc import Sequence
from typing import NamedTuple

from bms.site.island import Island, LoadBlock

RESTORE_SOC_FRAC = 0.05
"""So much above the SoC at which a block was shed it may come back."""


class BlockInputs(NamedTuple):
    """`closed`: the contactors' feedback. On the grid the battery's power and SoC bind nothing."""

    closed: int
    islanded: bool
    load_w: float
    capability_w: float
    soc_frac: float


class LoadBlocks:
    """`wanted` is what to command (bit n = block n). `adopt` and `open_all` set it, `shed` and `restore` move it by at
    most one block each time their step is over."""

    def __init__(self, settings: Island) -> None:
        self._settings = settings
        self._blocks: Sequence[LoadBlock] = settings.blocks
        self.wanted = 0
        self._waited_s = 0.0
        self._differs_s = 0.0

    @property
    def complete(self) -> bool:
        return self.wanted == self._settings.all_blocks

    @property
    def least(self) -> bool:
        """Nothing is left but the first block."""
        return not self.wanted & ~(1 << self._blocks[0].bit)

    def step(self, closed: int, dt_s: float) -> str:
        """Once a tick: the block that has not obeyed for too long, empty if all do."""
        self._waited_s += dt_s
        wrong = (self.wanted ^ closed) & self._settings.all_blocks
        self._differs_s = self._differs_s + dt_s if wrong else 0.0
        if self._differs_s <= self._settings.block_s_max:
            return ""
        return next(block.name for block in self._blocks if wrong >> block.bit & 1)

    def adopt(self, closed: int) -> None:
        """As they are found."""
        self.wanted = closed & self._settings.all_blocks

    def open_all(self) -> None:
        self._change(0)

    def shed(self) -> None:
        """One block less, never the first."""
        if self._waited_s < self._settings.shed_s:
            return
        last = next((block for block in reversed(self._blocks[1:]) if self.wanted >> block.bit & 1), None)
        if last is not None:
            self._change(self.wanted & ~(1 << last.bit))

    def serve(self, it: BlockInputs) -> None:
        """One block more, or those less that the SoC has no room for."""
        if it.islanded:
            empty = sum(1 << block.bit for block in self._blocks if it.soc_frac < block.soc_frac_min)
            if self.wanted & empty:
                self._change(self.wanted & ~empty)
        block = self._next(it)
        if block is not None and self._waited_s >= self._settings.block_step_s:
            self._change(self.wanted | 1 << block.bit)

    def _next(self, it: BlockInputs) -> LoadBlock | None:
        """The most important one that is open, if it fits."""
        block = next((block for block in self._blocks if not self.wanted >> block.bit & 1), None)
        if block is None or not it.islanded:
            return block
        full = 0.0 < block.soc_frac_min > it.soc_frac - RESTORE_SOC_FRAC
        fits = it.load_w + block.power_w <= self._settings.restore_frac * it.capability_w
        return block if fits and not full else None

    def _change(self, wanted: int) -> None:
        if wanted != self.wanted:
            self.wanted, self._waited_s = wanted, 0.0
