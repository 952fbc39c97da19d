"""Virtual time: the clock jumps, order is fixed, and whatever could make a run depend on the machine is refused."""

import asyncio
import random
import socket
import threading

import pytest

from drivers.clock import now_ns
from hil_rigs.world import LeftPending, RefusedInVirtualTime, Stalled, VirtualLoop, current_network, run_virtual

START_NS = 1_000_000_000_000


def test_result_and_error_of_main_come_back():
    async def answer() -> int:
        return 42

    async def fail() -> None:
        raise KeyError("wrong")

    assert run_virtual(answer()) == 42
    with pytest.raises(KeyError, match="wrong"):
        run_virtual(fail())


def test_clock_starts_at_1000_s_and_jumps_to_the_next_timer():
    async def main() -> list[int]:
        seen = [now_ns()]
        for delay_s in (0.1, 86_400.0, 0.000_000_001, 0):
            await asyncio.sleep(delay_s)
            seen.append(now_ns() - START_NS)
        return seen

    assert run_virtual(main()) == [START_NS, 100_000_000, 86_400_100_000_000, 86_400_100_000_001, 86_400_100_000_001]


def test_a_million_tenths_of_a_second_do_not_drift():
    async def main() -> int:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        left = 1_000_000

        def tick() -> None:
            nonlocal left
            left -= 1
            if left:
                loop.call_later(0.1, tick)
            else:
                done.set()

        loop.call_later(0.1, tick)
        await done.wait()
        return now_ns() - START_NS

    assert run_virtual(main()) == 100_000 * 1_000_000_000


def test_float_time_gives_the_integer_clock_back_for_26_days():
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        choose = random.Random(1)
        for at_ns in (START_NS + 1, 2**51 - 1, *(choose.randrange(START_NS, 2**51) for _ in range(10_000))):
            loop.now_ns = at_ns
            assert round(loop.time() * 1e9) == at_ns
            assert now_ns() == at_ns

    run_virtual(main())


def test_timers_due_together_run_in_the_order_they_were_scheduled():
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        ran: list[int] = []
        when = loop.time() + 1.0
        for i in range(200):
            loop.call_at(when, ran.append, i)
        await asyncio.sleep(2.0)
        return ran

    assert run_virtual(main()) == list(range(200))


def test_cancelled_timers_neither_run_nor_move_the_clock():
    async def main() -> int:
        loop = asyncio.get_running_loop()
        ran: list[int] = []
        timers = [loop.call_later(5.0 + i, ran.append, i) for i in range(1000)]
        for timer in timers:
            timer.cancel()
        loop.call_later(60.0, loop.create_future).cancel()
        await asyncio.sleep(3.0)
        assert ran == []
        return now_ns() - START_NS

    assert run_virtual(main()) == 3_000_000_000


def test_swept_out_cancelled_timers_leave_the_others_in_order():
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        ran: list[int] = []
        timers = [loop.call_later(1.0 + (i % 7), ran.append, i) for i in range(1000)]
        for i, timer in enumerate(timers):
            if i % 10:
                timer.cancel()
        await asyncio.sleep(10.0)
        return ran

    kept = range(0, 1000, 10)
    assert run_virtual(main()) == sorted(kept, key=lambda i: (i % 7, i))


def test_timeout_fires_at_its_time():
    async def main() -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.sleep(10.0)
        return now_ns() - START_NS

    assert run_virtual(main()) == 300_000_000


def test_loop_that_nothing_can_wake_is_stalled_and_names_the_tasks():
    async def wait_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_for_ever(), name="poll meter")

    with pytest.raises(Stalled, match=r"nothing can ever wake up at t = 1000\.000000000 s; pending: .*poll meter"):
        run_virtual(main())


def test_a_cancelled_timer_does_not_delay_the_stall():
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(60.0, print).cancel()
        await loop.create_future()

    with pytest.raises(Stalled, match=r"t = 1000\.000000000 s"):
        run_virtual(main())


def test_tasks_that_spin_without_awaiting_time_are_stalled():
    async def main() -> None:
        while now_ns() < START_NS + 1:  # noqa: ASYNC110 (the mistake that this is about)
            await asyncio.sleep(0)

    with pytest.raises(Stalled, match=r"spin .* t = 1000\.000000000 s"):
        run_virtual(main())


def test_tasks_left_pending_are_an_error_and_are_cancelled():
    ends: list[str] = []

    async def poll() -> None:
        try:
            for _ in range(10):
                await asyncio.sleep(0.5)
        finally:
            ends.append("cancelled")

    async def main() -> None:
        main.task = asyncio.create_task(poll(), name="forgotten")
        await asyncio.sleep(0.1)

    with pytest.raises(LeftPending, match="forgotten") as error:
        run_virtual(main())
    assert len(error.value.tasks) == 1
    assert ends == ["cancelled"]


def test_tasks_that_end_within_a_second_of_main_are_no_error():
    async def main() -> None:
        main.task = asyncio.create_task(asyncio.sleep(0.9))

    run_virtual(main())


def test_asynchronous_generators_are_closed():
    ends: list[str] = []

    async def numbers():
        try:
            while True:
                yield 1
        finally:
            ends.append("closed")

    async def main() -> None:
        main.numbers = numbers()
        await anext(main.numbers)

    run_virtual(main())
    assert ends == ["closed"]


def test_task_group_cancels_in_the_order_of_creation():
    async def main() -> list[int]:
        order: list[int] = []

        async def member(i: int) -> None:
            try:
                await asyncio.sleep(10.0)
            finally:
                order.append(i)

        async def forty_members() -> None:
            async with asyncio.TaskGroup() as group:
                for i in range(40):
                    group.create_task(member(i))
                await asyncio.sleep(1.0)
                raise ValueError("stop")

        with pytest.raises(ExceptionGroup):
            await forty_members()
        return order

    assert run_virtual(main()) == list(range(40))


def test_task_names_count_from_one_in_every_run():
    async def main() -> str:
        return asyncio.create_task(asyncio.sleep(0)).get_name()

    assert run_virtual(main()) == run_virtual(main()) == "Task-2"


REFUSED = {
    "run_in_executor": lambda loop: loop.run_in_executor(None, print),
    "add_reader": lambda loop: loop.add_reader(0, print),
    "add_writer": lambda loop: loop.add_writer(1, print),
    "add_signal_handler": lambda loop: loop.add_signal_handler(15, print),
    "sock_connect": lambda loop: loop.sock_connect(None, ("127.0.0.1", 1)),
    "sock_recv": lambda loop: loop.sock_recv(None, 1),
    "subprocess_exec": lambda _: asyncio.create_subprocess_exec("true"),
    "subprocess_shell": lambda _: asyncio.create_subprocess_shell("true"),
    "create_datagram_endpoint": lambda loop: loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 1)),
    "create_unix_connection": lambda loop: loop.create_unix_connection(asyncio.Protocol, "/nowhere"),
    "create_connection(ssl": lambda loop: loop.create_connection(asyncio.Protocol, "127.0.0.1", 1, ssl=True),
    "create_server(ssl": lambda loop: loop.create_server(asyncio.Protocol, "127.0.0.1", 1, ssl=object()),
    "create_connection(sock": lambda loop: loop.create_connection(asyncio.Protocol, sock=object()),
}


@pytest.mark.parametrize("what", REFUSED)
def test_ways_out_of_the_world_are_refused_in_one_clear_line(what):
    async def main() -> None:
        answer = REFUSED[what](asyncio.get_running_loop())
        if asyncio.iscoroutine(answer):
            await answer

    with pytest.raises(RefusedInVirtualTime) as error:
        run_virtual(main())
    assert str(error.value).startswith(what)
    assert "is refused in virtual time" in str(error.value)
    assert "\n" not in str(error.value)


def test_calls_from_another_thread_are_refused_there():
    async def main() -> list[BaseException]:
        loop = asyncio.get_running_loop()
        caught: list[BaseException] = []

        def call() -> None:
            try:
                loop.call_soon_threadsafe(print)
            except RefusedInVirtualTime as error:
                caught.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        return caught

    assert "another thread" in str(run_virtual(main())[0])


def test_threadsafe_call_from_the_loops_own_thread_works():
    async def main() -> None:
        done = asyncio.Event()
        asyncio.get_running_loop().call_soon_threadsafe(done.set)
        await done.wait()

    run_virtual(main())


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("10.1.2.3", (socket.AF_INET, ("10.1.2.3", 502))),
        ("localhost", (socket.AF_INET, ("127.0.0.1", 502))),
        ("::1", (socket.AF_INET6, ("::1", 502, 0, 0))),
    ],
)
def test_literal_addresses_and_localhost_resolve_without_threads(host, expected):
    async def main() -> tuple[int, tuple[object, ...]]:
        found = await asyncio.get_running_loop().getaddrinfo(host, 502, type=socket.SOCK_STREAM)
        return found[0][0], found[0][4]

    assert run_virtual(main()) == expected


def test_other_names_do_not_resolve():
    async def main() -> None:
        await asyncio.open_connection("inverter.example", 502)

    with pytest.raises(socket.gaierror, match=r"inverter\.example"):
        run_virtual(main())


def test_network_is_asked_for_on_the_virtual_loop_only():
    async def main() -> None:
        current_network()

    run_virtual(main())
    with pytest.raises(RuntimeError, match="run_virtual"):
        asyncio.run(main())
