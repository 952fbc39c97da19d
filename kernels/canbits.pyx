# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Decodes and encodes batches of CAN frames by a plan, with counters and CRC; twin: kernels.reference.canbits."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport NAN, isnan, ldexp, rint
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

import numpy as np

from kernels.frame_plan import (
    EXTENDED_EXTRA_BITS, FRAME_BYTES, NEVER_NS, SILENCE_NS, STANDARD_BITS, STANDARD_STUFFED_BITS, STUFFING_PERIOD_BITS,
    FramePlan,
)

__all__ = ["NEVER_NS", "FrameDecoder", "FrameEncoder", "FramePlan", "crc8_j1850", "frames_bits"]

cdef enum:
    STANDARD_IDS = 2048
    FRAME_SIZE = 16
    NO_COUNTER = -1
    NO_FRAME = -1
    NO_MUX = -1
    FEW_FRAMES = 16  # to let go of the GIL and take it again costs as much as to decode some frames
    CRC_POLYNOMIAL = 0x1D

cdef int64_t SILENCE = SILENCE_NS
cdef double TOP_BIT = 2.0**63  # below it a conversion to a signed number is one instruction, to an unsigned one not
cdef int64_t STANDARD = STANDARD_BITS, STANDARD_STUFFED = STANDARD_STUFFED_BITS
cdef int64_t EXTENDED_EXTRA = EXTENDED_EXTRA_BITS, STUFFING_PERIOD = STUFFING_PERIOD_BITS


cdef struct CanFrame:
    uint32_t id
    uint8_t length
    uint8_t padding[3]
    uint8_t data[8]


cdef struct Signal:
    Py_ssize_t index
    uint8_t big_endian
    uint8_t is_signed
    uint8_t has_invalid
    uint8_t first_bit
    uint8_t bits
    uint8_t left  # shifts of the 8-byte word that bring the signal to the top, and down from there
    uint8_t right
    uint64_t invalid
    uint64_t mask
    double least_steps  # of `scale` from `offset`: from this one to below `end_steps` they fit the signal
    double end_steps
    double scale
    double offset


cdef struct Frame:
    uint32_t id
    uint8_t length
    uint8_t length_min
    int32_t counter_start
    uint8_t has_crc
    uint8_t crc_of_id
    int32_t signals_from
    int32_t signals_to
    int32_t base
    int32_t mux


cdef struct Mux:
    Signal place
    Py_ssize_t pages_from
    Py_ssize_t pages_to


cdef uint8_t[256] CRC_TABLE
# CRC_BEFORE[n][byte]: what a byte adds to the CRC when n more bytes follow. A CRC is linear: a frame's is the sum of
# what its bytes add, looked up side by side rather than one after the other.
cdef uint8_t[9][256] CRC_BEFORE


cdef void fill_crc_tables() noexcept:
    cdef int value, _bit, place
    cdef uint8_t crc
    for value in range(256):
        crc = <uint8_t>value
        for _bit in range(8):
            crc = <uint8_t>((crc << 1) ^ CRC_POLYNOMIAL) if crc & 0x80 else <uint8_t>(crc << 1)
        CRC_TABLE[value] = crc
    for value in range(256):
        CRC_BEFORE[0][value] = CRC_TABLE[value]
        for place in range(1, 9):
            CRC_BEFORE[place][value] = CRC_TABLE[CRC_BEFORE[place - 1][value]]


fill_crc_tables()


cdef inline uint8_t crc8(uint8_t crc, const uint8_t *data, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        crc = CRC_TABLE[crc ^ data[i]]
    return crc


cdef inline uint8_t crc_of_id(uint32_t frame_id, int length) noexcept nogil:
    """What the id's two low bytes add, with the initial value and the final XOR: they are covered, so that a frame
    taken for another one is refused."""
    return CRC_BEFORE[length][0xFF ^ (frame_id & 0xFF)] ^ CRC_BEFORE[length - 1][(frame_id >> 8) & 0xFF] ^ 0xFF


cdef inline uint8_t frame_crc(uint8_t of_id, const uint8_t *data, int length) noexcept nogil:
    cdef uint8_t crc = of_id
    cdef int i
    if length == 8:
        return (
            crc ^ CRC_BEFORE[6][data[0]] ^ CRC_BEFORE[5][data[1]] ^ CRC_BEFORE[4][data[2]] ^ CRC_BEFORE[3][data[3]]
            ^ CRC_BEFORE[2][data[4]] ^ CRC_BEFORE[1][data[5]] ^ CRC_BEFORE[0][data[6]]
        )
    for i in range(length - 1):
        crc ^= CRC_BEFORE[length - 2 - i][data[i]]
    return crc


cdef inline uint64_t load_little(const uint8_t *d) noexcept nogil:
    return (
        <uint64_t>d[0] | <uint64_t>d[1] << 8 | <uint64_t>d[2] << 16 | <uint64_t>d[3] << 24
        | <uint64_t>d[4] << 32 | <uint64_t>d[5] << 40 | <uint64_t>d[6] << 48 | <uint64_t>d[7] << 56
    )


cdef inline uint64_t load_big(const uint8_t *d) noexcept nogil:
    return (
        <uint64_t>d[7] | <uint64_t>d[6] << 8 | <uint64_t>d[5] << 16 | <uint64_t>d[4] << 24
        | <uint64_t>d[3] << 32 | <uint64_t>d[2] << 40 | <uint64_t>d[1] << 48 | <uint64_t>d[0] << 56
    )


cdef inline int shift_of(const Signal *signal) noexcept nogil:
    """Right shift of the 8-byte word that brings the signal's lowest bit to bit 0."""
    return 64 - signal.first_bit - signal.bits if signal.big_endian else signal.first_bit


cdef inline uint64_t pattern_of(uint64_t little, uint64_t big, const Signal *signal) noexcept nogil:
    """The signal's bits at the top of a word."""
    return (big if signal.big_endian else little) << signal.left


cdef inline double decode_signal(uint64_t little, uint64_t big, const Signal *signal) noexcept nogil:
    cdef uint64_t top = pattern_of(little, big, signal)
    cdef int64_t raw
    if signal.has_invalid and top >> signal.right == signal.invalid:
        return NAN
    if signal.is_signed:
        raw = <int64_t>top >> signal.right
    elif signal.right:  # below 2**63: a signed conversion is one instruction, an unsigned one is not
        raw = <int64_t>(top >> signal.right)
    else:
        return <double>top * signal.scale + signal.offset
    return <double>raw * signal.scale + signal.offset


cdef inline bint raw_of(double value, const Signal *signal, uint64_t *raw) noexcept nogil:
    """Writes the signal's bit pattern; False when the value does not fit, or would read as "not available"."""
    cdef double steps
    if isnan(value):
        raw[0] = signal.invalid
        return signal.has_invalid
    steps = rint((value - signal.offset) / signal.scale)
    if not (signal.least_steps <= steps < signal.end_steps):
        return False
    if steps < TOP_BIT:
        raw[0] = <uint64_t><int64_t>steps & signal.mask
    else:
        raw[0] = <uint64_t>steps
    return not (signal.has_invalid and raw[0] == signal.invalid)


cdef inline void store_little(uint8_t *data, uint64_t little) noexcept nogil:
    cdef int byte
    for byte in range(8):
        data[byte] = <uint8_t>(little >> 8 * byte)


cdef inline void store(uint8_t *data, uint64_t little, uint64_t big) noexcept nogil:
    """The 8 bytes of a frame from its little-endian and its big-endian signals, which share no bit."""
    cdef int byte
    store_little(data, little)
    if big:
        for byte in range(8):
            data[byte] |= <uint8_t>(big >> (56 - 8 * byte))


@cython.final
cdef class Tables:
    """A plan as C structs, signals grouped by frame; 11-bit ids through a table, 29-bit ids and pages by bisection."""

    cdef Py_ssize_t frames_n, signals_n, extended_n
    cdef Frame *frames
    cdef Signal *signals
    cdef int32_t *standard
    cdef int32_t *extended
    cdef int32_t *pages
    cdef uint64_t *page
    cdef Mux *muxes

    def __cinit__(self, plan):
        self.frames_n = plan.frame_id.size
        self.signals_n = plan.signal_frame.size
        self.frames = <Frame *>calloc(self.frames_n + 1, sizeof(Frame))
        self.signals = <Signal *>calloc(self.signals_n + 1, sizeof(Signal))
        self.standard = <int32_t *>calloc(STANDARD_IDS, sizeof(int32_t))
        self.extended = <int32_t *>calloc(self.frames_n + 1, sizeof(int32_t))
        self.pages = <int32_t *>calloc(self.frames_n + 1, sizeof(int32_t))
        self.page = <uint64_t *>calloc(self.frames_n + 1, sizeof(uint64_t))
        self.muxes = <Mux *>calloc(self.frames_n + 1, sizeof(Mux))
        if not (self.frames and self.signals and self.standard and self.extended):
            raise MemoryError
        if not (self.pages and self.page and self.muxes):
            raise MemoryError
        self._fill_signals(plan)
        self._fill_frames(plan)
        self._fill_pages(plan)

    def __dealloc__(self):
        free(self.frames)
        free(self.signals)
        free(self.standard)
        free(self.extended)
        free(self.pages)
        free(self.page)
        free(self.muxes)

    cdef _fill_signals(self, plan):
        cdef Signal *signal
        for row, index in enumerate(np.argsort(plan.signal_frame, kind="stable").tolist()):
            signal = &self.signals[row]
            signal.index = index
            signal.big_endian = plan.big_endian[index]
            signal.is_signed = plan.signed[index]
            signal.has_invalid = plan.invalid_raw[index] >= 0
            signal.first_bit = plan.first_bit(index)
            signal.bits = plan.bits[index]
            signal.right = 64 - signal.bits
            signal.left = signal.right - shift_of(signal)
            signal.invalid = plan.invalid_raw[index] if signal.has_invalid else 0
            signal.mask = <uint64_t>-1 >> signal.right
            signal.least_steps = -ldexp(0.5, signal.bits) if signal.is_signed else 0.0
            signal.end_steps = ldexp(0.5 if signal.is_signed else 1.0, signal.bits)
            signal.scale = plan.scale[index]
            signal.offset = plan.offset[index]

    cdef _fill_frames(self, plan):
        cdef Py_ssize_t index, row = 0
        memset(self.standard, 0xFF, STANDARD_IDS * sizeof(int32_t))
        counts = np.bincount(plan.signal_frame, minlength=self.frames_n)
        for index in range(self.frames_n):
            self.frames[index].id = plan.frame_id[index]
            self.frames[index].length = plan.length[index]
            self.frames[index].length_min = plan.length_min[index]
            self.frames[index].counter_start = plan.counter_start[index]
            self.frames[index].has_crc = plan.crc[index]
            if plan.crc[index]:
                self.frames[index].crc_of_id = crc_of_id(plan.frame_id[index], plan.length[index])
            self.frames[index].signals_from = row
            row += counts[index]
            self.frames[index].signals_to = row
        for index in np.argsort(plan.frame_id, kind="stable").tolist():
            if plan.page_of[index] >= 0:
                continue
            if self.frames[index].id < STANDARD_IDS:
                self.standard[self.frames[index].id] = index
            else:
                self.extended[self.extended_n] = index
                self.extended_n += 1

    cdef _fill_pages(self, plan):
        cdef Py_ssize_t index, row = 0, count = 0
        cdef Mux *mux
        for index in range(self.frames_n):
            self.frames[index].base = plan.base(index)
            self.frames[index].mux = NO_MUX
            self.page[index] = plan.page[index]
        for index in np.flatnonzero(plan.mux_bits).tolist():
            self.frames[index].mux = count
            mux = &self.muxes[count]
            mux.place.bits = plan.mux_bits[index]
            mux.place.first_bit = plan.mux_first_bit(index)
            mux.place.big_endian = plan.mux_big_endian[index]
            mux.place.right = 64 - mux.place.bits
            mux.place.left = mux.place.right - shift_of(&mux.place)
            mux.pages_from = row
            pages = np.flatnonzero(plan.page_of == index)
            for page in pages[np.argsort(plan.page[pages])].tolist():
                self.pages[row] = page
                row += 1
            mux.pages_to = row
            count += 1

    cdef int32_t find_page(self, const Mux *mux, uint64_t little, uint64_t big) noexcept nogil:
        cdef uint64_t page = pattern_of(little, big, &mux.place) >> mux.place.right
        cdef Py_ssize_t low = mux.pages_from, high = mux.pages_to, middle
        while low < high:
            middle = (low + high) // 2
            if self.page[self.pages[middle]] < page:
                low = middle + 1
            else:
                high = middle
        if low < mux.pages_to and self.page[self.pages[low]] == page:
            return self.pages[low]
        return NO_FRAME

    cdef inline int32_t find(self, uint32_t frame_id) noexcept nogil:
        cdef Py_ssize_t low = 0, high = self.extended_n, middle
        if frame_id < STANDARD_IDS:
            return self.standard[frame_id]
        while low < high:
            middle = (low + high) // 2
            if self.frames[self.extended[middle]].id < frame_id:
                low = middle + 1
            else:
                high = middle
        if low < self.extended_n and self.frames[self.extended[low]].id == frame_id:
            return self.extended[low]
        return NO_FRAME


@cython.final
cdef class FrameDecoder:
    """The latest value of every signal of a plan; a frame is taken whole or not at all."""

    cdef readonly int64_t accepted, crc_errors, counter_errors, length_errors, lost, unknown
    cdef readonly object plan, values, at_ns
    cdef Tables tables
    cdef object buffers
    cdef double *value
    cdef int64_t *accepted_ns
    cdef int64_t *heard_ns
    cdef int64_t *counter

    def __cinit__(self, plan):
        self.plan = plan
        self.tables = Tables(plan)
        cdef double[::1] values = np.full(self.tables.signals_n + 1, np.nan)
        cdef int64_t[:, ::1] state = np.full((3, self.tables.frames_n + 1), NEVER_NS, np.int64)
        self.value = &values[0]
        self.accepted_ns = &state[0, 0]
        self.heard_ns = &state[1, 0]
        self.counter = &state[2, 0]
        self.buffers = (values, state)
        self.values = _read_only(values.base[:self.tables.signals_n])
        self.at_ns = _read_only(state.base[0, :self.tables.frames_n])

    def feed(self, bytes frames not None, int64_t at_ns):
        """Takes a batch of 16-byte `struct can_frame`, all received at `at_ns`; returns how many were accepted."""
        cdef Py_ssize_t i, n = PyBytes_GET_SIZE(frames)
        cdef const CanFrame *frame = <const CanFrame *>PyBytes_AS_STRING(frames)
        cdef int64_t before = self.accepted
        if n % FRAME_SIZE:
            raise ValueError(f"frames: got {n} bytes, expected a multiple of {FRAME_BYTES}")
        n //= FRAME_SIZE
        if n <= FEW_FRAMES:
            for i in range(n):
                self.take(&frame[i], at_ns)
        else:
            with nogil:
                for i in range(n):
                    self.take(&frame[i], at_ns)
        return self.accepted - before

    cdef void take(self, const CanFrame *frame, int64_t at_ns) noexcept nogil:
        cdef int32_t index = self.tables.find(frame.id), page = NO_FRAME
        cdef const Frame *known
        if index == NO_FRAME:
            self.unknown += 1
            return
        known = &self.tables.frames[index]
        if known.mux != NO_MUX:
            page = self.tables.find_page(&self.tables.muxes[known.mux], load_little(frame.data), load_big(frame.data))
        if frame.length > known.length or frame.length < known.length_min:
            self.length_errors += 1
        elif known.has_crc and frame_crc(known.crc_of_id, frame.data, known.length) != frame.data[known.length - 1]:
            self.crc_errors += 1
        elif known.mux != NO_MUX and page == NO_FRAME:
            self.unknown += 1
        elif not self.counter_moved(index, known, frame.data, at_ns):
            self.counter_errors += 1
        else:
            self.accepted += 1
            self.accepted_ns[index] = at_ns
            self.decode(known, frame)
            if page != NO_FRAME:
                self.accepted_ns[page] = at_ns
                self.decode(&self.tables.frames[page], frame)

    cdef inline bint counter_moved(
        self, int32_t index, const Frame *known, const uint8_t *data, int64_t at_ns
    ) noexcept nogil:
        """False for a repeated counter. Silence is counted from the last intact frame, so that a frozen sender that
        repeats one frame for ever is never taken again."""
        cdef int64_t counter, gap
        cdef bint known_sender = at_ns - self.heard_ns[index] <= SILENCE
        if known.counter_start == NO_COUNTER:
            return True
        self.heard_ns[index] = at_ns
        counter = load_little(data) >> known.counter_start & 15
        gap = (counter - self.counter[index]) & 15
        if known_sender and gap == 0:
            return False
        if known_sender:
            self.lost += gap - 1
        self.counter[index] = counter
        return True

    cdef inline void decode(self, const Frame *known, const CanFrame *frame) noexcept nogil:
        cdef uint64_t little = load_little(frame.data), big = load_big(frame.data)
        cdef double *value = self.value
        cdef const Signal *signal = &self.tables.signals[known.signals_from]
        cdef const Signal *end = &self.tables.signals[known.signals_to]
        while signal < end:
            value[signal.index] = decode_signal(little, big, signal)
            signal += 1
        if frame.length < known.length:
            self.forget(known, 8 * frame.length)

    cdef void forget(self, const Frame *known, int bits) noexcept nogil:
        """What lies beyond so many bits is absent."""
        cdef const Signal *signal
        cdef Py_ssize_t row
        for row in range(known.signals_from, known.signals_to):
            signal = &self.tables.signals[row]
            if signal.first_bit + signal.bits > bits:
                self.value[signal.index] = NAN


@cython.final
cdef class FrameEncoder:
    """Writes frames of a plan, each with its own running counter (first 0) and its CRC."""

    cdef readonly object plan
    cdef Tables tables
    cdef object buffers
    cdef uint8_t *counter
    cdef double *least
    cdef double *most

    def __cinit__(self, plan, bounds=None):
        """`bounds`: least and most of every signal, at which a value beyond ends; NaN stays NaN."""
        self.plan = plan
        self.tables = Tables(plan)
        cdef uint8_t[::1] counters = np.zeros(self.tables.frames_n + 1, np.uint8)
        cdef double[:, ::1] ends = np.empty((2, self.tables.signals_n + 1))
        ends[0, :], ends[1, :] = -np.inf, np.inf
        if bounds is not None:
            ends.base[:, :self.tables.signals_n] = bounds
        self.counter, self.least, self.most = &counters[0], &ends[0, 0], &ends[1, 0]
        self.buffers = counters, ends

    def encode(self, const int64_t[:] frames not None, const double[:] values not None):
        """The plan's frames with the given indices, from the values of all the plan's signals, as struct can_frame.

        A multiplexed message is encoded by its pages. NaN is written as the signal's `invalid_raw`. Raises ValueError,
        with no counter moved, for a frame that is not in the plan or is the base of pages, and for a value that does
        not fit (or is NaN without an `invalid_raw`)."""
        cdef Py_ssize_t i, signal, k = frames.shape[0]
        cdef bytes out = PyBytes_FromStringAndSize(NULL, k * FRAME_SIZE)
        cdef CanFrame *frame = <CanFrame *>PyBytes_AS_STRING(out)
        if values.shape[0] != self.tables.signals_n:
            raise ValueError(f"values: got {values.shape[0]}, expected {self.tables.signals_n}")
        for i in range(k):
            if not 0 <= frames[i] < self.tables.frames_n:
                raise ValueError(f"frames[{i}]: got {frames[i]}, expected 0 to {self.tables.frames_n - 1}")
            if self.tables.frames[frames[i]].mux != NO_MUX:
                raise ValueError(f"frames[{i}]: got {frames[i]}, the base of pages, expected one of its pages")
        for i in range(k):
            signal = self.payload(&frame[i], &self.tables.frames[frames[i]], values)
            if signal >= 0:
                within = min(max(values[signal], self.least[signal]), self.most[signal])
                raise ValueError(f"values[{signal}]: {within} does not fit signal {signal}")
        for i in range(k):
            self.seal(&frame[i], self.tables.frames[frames[i]].base)
        return out

    cdef Py_ssize_t payload(self, CanFrame *frame, const Frame *known, const double[:] values) noexcept:
        """Fills id, length and signals; returns the index of the first signal that does not fit, else -1."""
        cdef const Frame *base = &self.tables.frames[known.base]
        cdef uint64_t page, little = 0, big = 0
        cdef Py_ssize_t wrong
        memset(frame, 0, FRAME_SIZE)
        frame.id = known.id
        frame.length = known.length
        wrong = self.put(known, values, &little, &big)
        if wrong < 0 and base != known:
            wrong = self.put(base, values, &little, &big)
            page = self.tables.page[known - self.tables.frames]
            self.put_page(&self.tables.muxes[base.mux].place, page, &little, &big)
        store(frame.data, little, big)
        return wrong

    cdef void put_page(self, const Signal *mux, uint64_t page, uint64_t *little, uint64_t *big) noexcept:
        if mux.big_endian:
            big[0] |= page << shift_of(mux)
        else:
            little[0] |= page << shift_of(mux)

    cdef Py_ssize_t put(self, const Frame *known, const double[:] values, uint64_t *little, uint64_t *big) noexcept:
        """Adds the frame's signals to the two words; returns the index of the first that does not fit, else -1."""
        cdef const Signal *signal
        cdef uint64_t raw
        cdef Py_ssize_t row
        cdef double value
        for row in range(known.signals_from, known.signals_to):
            signal = &self.tables.signals[row]
            value = values[signal.index]
            value = self.least[signal.index] if value < self.least[signal.index] else value
            value = self.most[signal.index] if value > self.most[signal.index] else value
            if not raw_of(value, signal, &raw):
                return signal.index
            if signal.big_endian:
                big[0] |= raw << shift_of(signal)
            else:
                little[0] |= raw << shift_of(signal)
        return -1

    cdef void seal(self, CanFrame *frame, Py_ssize_t index) noexcept:
        """Writes counter and CRC over the payload."""
        cdef const Frame *known = &self.tables.frames[index]
        cdef uint64_t others
        if known.counter_start != NO_COUNTER:
            others = load_little(frame.data) & ~(<uint64_t>15 << known.counter_start)
            store_little(frame.data, others | <uint64_t>self.counter[index] << known.counter_start)
            self.counter[index] = (self.counter[index] + 1) & 15
        if known.has_crc:
            frame.data[known.length - 1] = frame_crc(known.crc_of_id, frame.data, known.length)


def frames_bits(bytes frames not None):
    """Bit times that these whole frames (`struct can_frame`) occupy on the wire, mean stuffing included."""
    cdef const CanFrame *frame = <const CanFrame *>PyBytes_AS_STRING(frames)
    cdef Py_ssize_t i, n = PyBytes_GET_SIZE(frames) // FRAME_SIZE
    cdef int64_t header = 0
    for i in range(n):
        header += EXTENDED_EXTRA * (frame[i].id >> 31) + 8 * frame[i].length
    return STANDARD * n + header + (STANDARD_STUFFED * n + header) // STUFFING_PERIOD


def crc8_j1850(const uint8_t[:] data not None):
    """CRC-8/SAE-J1850: polynomial 0x1D, initial value and final XOR 0xFF; b"123456789" gives 0x4B."""
    cdef bytes contiguous = bytes(data)
    return crc8(0xFF, <const uint8_t *>PyBytes_AS_STRING(contiguous), PyBytes_GET_SIZE(contiguous)) ^ 0xFF


cdef _read_only(array):
    view = array.view()
    view.flags.writeable = False
    return view
