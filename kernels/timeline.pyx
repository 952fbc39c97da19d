# cython: language_level=3, boundscheck=False, wraparound=False
"""Callbacks in the order of a virtual clock, for an event loop; twin: kernels.reference.timeline."""

from cpython.contextvars cimport PyContext_CopyCurrent, PyContext_Enter, PyContext_Exit
from libc.math cimport llrint
from libc.stdint cimport int64_t

__all__ = ["Call", "Timeline"]

cdef enum:
    CANCELLED_KEPT = 100  # cancelled timers in the heap before it is worth sweeping them out

cdef double LATEST_NS = 4e18  # 126 years: whatever is later is then


cdef class Call:
    """One callback that is to run, as asyncio's handles: `cancel`, `cancelled`, and `when` (s) of one with a time."""

    cdef object callback
    cdef tuple args
    cdef readonly object context
    cdef bint gone, timed
    cdef int64_t when_ns, number
    cdef Timeline timeline

    def cancel(self):
        """It will not run, and lets go of what it holds."""
        if not self.gone:
            self.gone = True
            self.callback = self.args = None
            if self.timed:
                self.timeline.cancelled_one()

    def cancelled(self):
        return self.gone

    def when(self):
        return self.when_ns / 1e9

    cdef inline bint before(self, Call other) noexcept:
        return self.when_ns < other.when_ns or (self.when_ns == other.when_ns and self.number < other.number)

    def __repr__(self):
        what = "cancelled" if self.gone else f"{self.callback!r}{self.args!r}"
        return f"<Call at {self.when_ns} ns {what}>"


cdef class Timeline:
    """`now_ns` is the clock; `ready` is what runs next, in its order. What is due at the same ns runs in the order in
    which it was scheduled.

    A callback's errors go to `broke(call, error)`, which a subclass has, SystemExit and KeyboardInterrupt out of `run`,
    with what was ready still ready. With `held` set, `withhold()`, which a subclass has too, may take calls out of
    `ready` before each round. Once `closed` it takes nothing any more: RuntimeError."""

    cdef public int64_t now_ns
    cdef public list ready
    cdef public bint held, stopping, closed
    cdef list timers
    cdef int64_t numbers, cancelled_n

    def __cinit__(self, *args, **kwargs):
        self.now_ns = self.numbers = self.cancelled_n = 0
        self.ready, self.timers = [], []
        self.held = self.stopping = self.closed = False

    def call_soon(self, callback, *args, context=None):
        """Run it in the next round, in `context` or else in a copy of the present one."""
        cdef Call call = self.made(self.now_ns, callback, args, context)
        self.ready.append(call)
        return call

    def call_at_ns(self, int64_t when_ns, callback, *args, context=None):
        """Run it once the clock stands there, or soon if that is past."""
        return self.scheduled(when_ns, callback, args, context)

    def call_later(self, double delay, callback, *args, context=None):
        """`delay` (s), rounded to whole ns and added without float error."""
        return self.scheduled(self.now_ns + whole_ns(delay), callback, args, context)

    def call_at(self, double when, callback, *args, context=None):
        """`when` (s), rounded to whole ns."""
        return self.scheduled(whole_ns(when), callback, args, context)

    def time(self):
        """now_ns / 1e9; round(time() * 1e9) is now_ns again for the first 26 days (2**51 ns)."""
        return self.now_ns / 1e9

    def jump(self):
        """Put the clock on the next timer, unless that is past; False if there is none."""
        cdef Call first
        while self.timers:
            first = <Call>self.timers[0]
            if not first.gone:
                if first.when_ns > self.now_ns:
                    self.now_ns = first.when_ns
                return True
            self.taken()
            self.cancelled_n -= 1
        return False

    def run(self, int64_t rounds_max):
        """Rounds of what is ready and due, until nothing is or `stopping`. No callback that was scheduled within a
        round runs in it. False if that was not enough rounds."""
        cdef int64_t rounds = 0
        while True:
            self.take_due()
            if self.held:
                self.withhold()
            self.run_round()
            if not self.ready or self.stopping:
                return True
            rounds += 1
            if rounds > rounds_max:
                return False

    cdef int run_round(self) except -1:
        cdef list calls = self.ready
        cdef Py_ssize_t place = 0
        cdef Call call
        self.ready = []
        while place < len(calls):
            call = <Call>calls[place]
            place += 1
            if call.gone:
                continue
            try:
                PyContext_Enter(call.context)
                try:
                    call.callback(*call.args)
                finally:
                    PyContext_Exit(call.context)
            except (SystemExit, KeyboardInterrupt):
                self.ready = calls[place:] + self.ready
                raise
            except BaseException as error:
                self.broke(call, error)
        return 0

    cdef int take_due(self) except -1:
        cdef Call first
        while self.timers:
            first = <Call>self.timers[0]
            if first.when_ns > self.now_ns:
                break
            self.taken()
            first.timed = False
            if first.gone:
                self.cancelled_n -= 1
            else:
                self.ready.append(first)
        return 0

    cdef Call made(self, int64_t when_ns, object callback, tuple args, object context):
        if self.closed:
            raise RuntimeError("Event loop is closed")
        cdef Call call = Call.__new__(Call)
        call.callback, call.args, call.when_ns, call.timeline = callback, args, when_ns, self
        call.context = PyContext_CopyCurrent() if context is None else context
        return call

    cdef Call scheduled(self, int64_t when_ns, object callback, tuple args, object context):
        cdef Call call = self.made(when_ns, callback, args, context)
        call.timed, call.number = True, self.numbers
        self.numbers += 1
        self.timers.append(call)
        self.rise(len(self.timers) - 1)
        return call

    cdef int cancelled_one(self) except -1:
        """Sweeps the cancelled ones out where they are more than the others."""
        cdef Py_ssize_t place
        self.cancelled_n += 1
        if self.cancelled_n > CANCELLED_KEPT and self.cancelled_n * 2 > len(self.timers):
            self.timers = [call for call in self.timers if not (<Call>call).gone]
            self.cancelled_n = 0
            for place in range(len(self.timers) // 2 - 1, -1, -1):
                self.sink(place)
        return 0

    cdef Call taken(self):
        """The first timer, out of the heap."""
        cdef Call first, last = <Call>self.timers.pop()
        if not self.timers:
            return last
        first = <Call>self.timers[0]
        self.timers[0] = last
        self.sink(0)
        return first

    cdef int rise(self, Py_ssize_t place) except -1:
        cdef list timers = self.timers
        cdef Call call = <Call>timers[place], above
        while place > 0:
            above = <Call>timers[(place - 1) // 2]
            if not call.before(above):
                break
            timers[place] = above
            place = (place - 1) // 2
        timers[place] = call
        return 0

    cdef int sink(self, Py_ssize_t place) except -1:
        cdef list timers = self.timers
        cdef Py_ssize_t below, count = len(timers)
        cdef Call call = <Call>timers[place], least
        while True:
            below = 2 * place + 1
            if below >= count:
                break
            least = <Call>timers[below]
            if below + 1 < count and (<Call>timers[below + 1]).before(least):
                below += 1
                least = <Call>timers[below]
            if not least.before(call):
                break
            timers[place] = least
            place = below
        timers[place] = call
        return 0


cdef int64_t whole_ns(double seconds) except? -1:
    """Rounded half to even. OverflowError for an infinite time, ValueError for NaN."""
    cdef double ns = seconds * 1e9
    if ns != ns:
        raise ValueError("a time is not a number")
    if ns - ns != 0.0:
        raise OverflowError("a time is infinite")
    return llrint(min(max(ns, -LATEST_NS), LATEST_NS))
