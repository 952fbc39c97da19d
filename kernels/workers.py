"""A few threads that share one piece of compiled work."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Workers:
    """`threads` threads, the caller's among them; 1 = no other thread is ever made. Compiled work releases the GIL,
    so the threads run at the same time; waking one costs some 20 us. OpenMP is not used: its runtime would have to come
    with every wheel, and between two pieces its threads spin or wake slower than these."""

    def __init__(self, threads: int) -> None:
        self.threads = positive_count("threads", threads)
        self._pool = ThreadPoolExecutor(threads - 1, "cells") if threads > 1 else None

    def run(self, work: Callable[[int], None]) -> None:
        """`work(0)` here and `work(1)`, `work(2)` ... on the others; returns when all have; errors pass through."""
        others = [self._pool.submit(work, worker) for worker in range(1, self.threads)] if self._pool else []
        work(0)
        for other in others:
            other.result()


def positive_count(name: str, value: int) -> int:
    """A number of threads, strings, cells; ValueError below 1."""
    if value < 1:
        raise ValueError(f"{name}: got {value}, expected 1 or more")
    return int(value)
