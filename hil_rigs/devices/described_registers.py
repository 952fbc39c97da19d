"""The registers of a described device, as its simulation holds them: strict about what may be read and written."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from drivers.profiles import Profile
from drivers.profiles.codec import encode, nearest_raw, raw_of, read_plan
from drivers.profiles.registers import Register
from drivers.profiles.roles import Role
from hil_rigs.devices.modbus_frames import ILLEGAL_ADDRESS, ILLEGAL_VALUE, ModbusFault

COILS, DISCRETE, HOLDING, INPUT = 1, 2, 3, 4
"""Tables, by the function that reads them."""
Writes = Sequence[tuple[Register, float]]


class DescribedRegisters:
    """Registers, coils and discrete inputs of one profile. Only those that the profile has may be read, and those
    between them that it says a read may pass over; they are 0."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._values: dict[tuple[int, int], int] = {}
        readable = [register for register in profile.registers if register.readable]
        for block in read_plan(readable, profile.read_gap_max, profile.read_count_max):
            self._values |= {(block.function, block.address + k): 0 for k in range(block.count)}
        self._hidden = {
            (_written_to(register), register.address + k)
            for register in profile.registers
            if not register.readable
            for k in range(register.size)
        }
        self._values |= dict.fromkeys(self._hidden, 0)

    def read(self, function: int, address: int, count: int) -> list[int]:
        """ModbusFault 2 where any register is not there, 3 for more than the device reads at once."""
        places = [(function, address + k) for k in range(count)]
        if not all(place in self._values and place not in self._hidden for place in places):
            raise ModbusFault(ILLEGAL_ADDRESS)
        if count > self.profile.read_count_max:
            raise ModbusFault(ILLEGAL_VALUE)
        return [self._values[place] for place in places]

    def written(self, table: int, address: int, values: Sequence[int]) -> list[tuple[Register, float]]:
        """The writable values that a write to HOLDING or COILS consists of, and their raw values; nothing is changed
        yet. Values that are bits of one register are all written with it. ModbusFault 2 where one is read-only or not
        there, 3 for half a value."""
        found: list[tuple[Register, float]] = []
        words = {(table, address + k): value for k, value in enumerate(values)}
        writable = [each for each in self.profile.registers if each.write and _written_to(each) == table]
        while address < max(words)[1] + 1:
            registers = [each for each in writable if each.address == address]
            if not registers:
                raise ModbusFault(ILLEGAL_ADDRESS)
            if registers[0].end > max(words)[1] + 1:
                raise ModbusFault(ILLEGAL_VALUE)
            for register in registers:
                raw = raw_of(register.model_copy(update={"function": table}), words, self.profile.word_order)
                if raw is None:
                    raise ModbusFault(ILLEGAL_VALUE)
                found.append((register, raw))
            address = registers[0].end
        return found

    def put_raw(self, register: Register, raw: float) -> None:
        """Sets one value; of a masked register only its bits."""
        function = register.function or _written_to(register)
        for k, word in enumerate(encode(register, raw, self.profile.word_order)):
            place, mask = (function, register.address + k), self._mask(register, k)
            self._values[place] = self._values[place] & ~mask | word & mask

    def raw(self, register: Register) -> float | None:
        """Present raw value; None = absent."""
        values = self._values if register.readable else {(0, place): v for (_, place), v in self._values.items()}
        return raw_of(register, values, self.profile.word_order)

    def put(self, values: Mapping[Role, float]) -> None:
        """Sets measurements by role, in SI units and positive in discharge (of a meter: in import; reactive: injected).
        What the profile has no register for is left out; what is beyond a register saturates there, as in a real
        device."""
        for role, value in values.items():
            register = self.profile.find(role)
            if register is not None:
                self.put_raw(register, nearest_raw(register, register.sign * value))

    def _mask(self, register: Register, k: int) -> int:
        if register.mask is None:
            return 0xFFFF
        return encode(register, register.mask, self.profile.word_order)[k]


def _written_to(register: Register) -> int:
    return COILS if register.table == "coils" else HOLDING


class DescribedDevice(ABC):
    """A simulated device behind a profile, for a ModbusServer."""

    def __init__(self, profile: Profile) -> None:
        self._registers = DescribedRegisters(profile)

    def read(self, address: int, count: int) -> list[int]:
        """Holding registers."""
        return self._read(HOLDING, address, count)

    def read_input(self, address: int, count: int) -> list[int]:
        return self._read(INPUT, address, count)

    def read_coils(self, address: int, count: int) -> list[int]:
        return self._read(COILS, address, count)

    def read_discrete(self, address: int, count: int) -> list[int]:
        return self._read(DISCRETE, address, count)

    def write(self, address: int, values: list[int]) -> None:
        """Whole writable values of holding registers, all or none."""
        self._obey(self._registers.written(HOLDING, address, values))

    def write_coils(self, address: int, values: list[int]) -> None:
        self._obey(self._registers.written(COILS, address, values))

    def _read(self, table: int, address: int, count: int) -> list[int]:
        self._show()
        return self._registers.read(table, address, count)

    @abstractmethod
    def _show(self) -> None:
        """Put what is true now into the registers."""

    @abstractmethod
    def _obey(self, written: Writes) -> None:
        """Carry out all of it, or none and raise ModbusFault."""
