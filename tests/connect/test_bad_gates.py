"""Gates that lie, repeat themselves, fall silent or never stop: each is bounded and told, and takes nothing from others."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import h2.settings
import pytest

import headway
from tests.dataplane.envoy import (
    DEADLINE_EXCEEDED,
    INVALID_ARGUMENT,
    PERMISSION_DENIED,
    UNIMPLEMENTED,
    Connection,
    frame,
)
from tests.dataplane.gate import (
    ALIVE,
    FACTS,
    HOLD,
    NAME,
    RESERVE,
    RETIRE,
    WELCOME,
    Gate,
    alive,
    ask,
    held,
    hello,
    opens,
    path,
    settle,
)
from tests.dataplane.test_bad_input import open_and_reset
from tests.dataplane.wire import message, only

from .conftest import TOKEN, TOKEN_OF_ANOTHER, Keeper

Until = Callable[[Callable[[], bool]], None]
RESOURCE_EXHAUSTED = 8
WELL = 0
ALMOST_UNCOUNTABLE = 2**48 // 1_000_000
"""Slots; a meter counts no more."""


@pytest.fixture
def dial(keeper: Keeper) -> Iterator[Callable[..., Gate]]:
    """Opens streams, each on a connection of its own that says `opening`."""
    with ExitStack() as stack:

        def dialled(*opening: bytes, token: str = TOKEN) -> Gate:
            return Gate(stack.enter_context(Connection(keeper.port, token)), *opening)

        yield dialled


@pytest.fixture(autouse=True)
def others_are_answered(gate: headway.Connected) -> Iterator[None]:
    """Whatever was done: another gate takes and gives back a slot of another contract."""
    patient = gate.limiter("patient")
    yield
    with patient:
        pass


Dial = Callable[..., Gate]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (frame(b"\xff" * 50), INVALID_ARGUMENT),
        (frame(b""), INVALID_ARGUMENT),
        (frame(message((99, b"newer"))), INVALID_ARGUMENT),
        (frame(message((1, 7))), INVALID_ARGUMENT),
        (ask(1), INVALID_ARGUMENT),
        (alive(1), INVALID_ARGUMENT),
        (hello(name=b""), INVALID_ARGUMENT),
        (hello(name=b"fifteen bytes!!"), INVALID_ARGUMENT),
        (hello(name=bytes(17)), INVALID_ARGUMENT),
        (hello(protocol=2), UNIMPLEMENTED),
        (hello(paths=(path(1, "x" * 257),)), INVALID_ARGUMENT),
        (hello(*[held(n) for n in range(50_001)]), INVALID_ARGUMENT),
        (hello(held(1, key="k" * 4_097)), INVALID_ARGUMENT),
        (struct.pack(">BI", 0, 2**20 + 1), INVALID_ARGUMENT),
        (struct.pack(">BI", 0, 2**32 - 1), INVALID_ARGUMENT),
        (struct.pack(">BI", 1, 3) + b"abc", UNIMPLEMENTED),
        (b"\7" * 5, INVALID_ARGUMENT),
    ],
    ids=lambda value: value if isinstance(value, int) else f"{len(value)}-{value[:8].hex()}",
)
def test_a_stream_that_does_not_begin_with_a_hello_that_is_one_ends_with_its_status(
    keeper: Keeper, dial: Dial, said: bytes, status: int
):
    assert status == dial(said).status()
    assert 0 == keeper.in_use("db")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (hello(), INVALID_ARGUMENT),
        (frame(b"\x1a\x05\x08"), INVALID_ARGUMENT),
        (frame(message((3, message((1, 1), (2, 1), (4, b"\xff"))))), INVALID_ARGUMENT),
        (frame(message((3, message((1, 1), (2, 1), (4, "k" * 4_097))))), INVALID_ARGUMENT),
        (opens(2, "c" * 257), INVALID_ARGUMENT),
        (b"".join(opens(n, "db") for n in range(2, 10_002)), RESOURCE_EXHAUSTED),
    ],
    ids=["a second hello", "cut short", "no UTF-8", "a long key", "a long name", "10,001 paths"],
)
def test_what_is_wrong_later_ends_the_stream_and_not_what_it_holds(
    keeper: Keeper, dial: Dial, said: bytes, status: int
):
    """A closed stream is a silent one: the slot stays until the holder comes back without it, or its time is over."""
    one = dial(hello(), ask(1))
    assert (1, True, "") == one.answer()

    one.say(said)

    assert status == one.status()
    assert 1 == keeper.in_use("db")


def test_a_message_longer_than_a_mebibyte_is_refused_before_it_has_arrived(dial: Dial):
    one = dial(hello())
    one.next(WELCOME)
    one.say(struct.pack(">BI", 0, 2**20 + 1))
    assert INVALID_ARGUMENT == one.status()


def test_another_token_under_a_holders_name_is_turned_away(keeper: Keeper, dial: Dial):
    """It neither ends the stream that is there nor gives back what that one holds."""
    first = dial(hello(), ask(1))
    assert (1, True, "") == first.answer()

    assert PERMISSION_DENIED == dial(hello(), token=TOKEN_OF_ANOTHER).status()

    first.say(ask(2))
    assert (2, True, "") == first.answer()
    assert 2 == keeper.in_use("db")


def test_an_ask_that_is_said_again_is_one(keeper: Keeper, dial: Dial):
    """The same id, or an earlier one, however often: answered once and charged once."""
    one = dial(hello(), ask(5), *[ask(5)] * 100, *[ask(n) for n in range(5)], alive(9))

    assert [(5, True, "")] == [one.answer()]
    one.say(ask(6))
    assert (6, True, "") == one.answer()
    assert 2 == keeper.in_use("db")


def test_an_id_that_was_restated_is_not_asked_for_again(keeper: Keeper, dial: Dial):
    """It holds one slot already: a second one under its id would be nobody's to let go."""
    one = dial(hello(held(5)), ask(5))
    assert (5, False) == one.answer()[:2]
    assert 1 == keeper.in_use("db")
    one.say(settle(5), alive(1))
    one.next(ALIVE)
    assert 0 == keeper.in_use("db")


def test_what_was_never_granted_cannot_be_settled(keeper: Keeper, dial: Dial):
    """Ids of nobody, of a refusal, of somebody else's slot, and one's own twice: the count is right afterwards."""
    other, one = dial(hello(name=bytes(16)), ask(1)), dial(hello())
    assert (1, True, "") == other.answer()
    one.say(ask(7, 5), ask(8, 2))
    assert [(7, False, "full"), (8, True, "")] == [one.answer(), one.answer()]

    one.say(*[settle(n) for n in (1, 7, 99, 2**64 - 1)], settle(7, 2**64 - 1), settle(8, 5), *[settle(8)] * 3, alive(1))
    one.next(ALIVE)

    assert 1 == keeper.in_use("db"), "the other gate's"


def test_a_settled_reservation_costs_no_more_than_the_contract_allows(dial: Dial):
    """10 of 50 reserved, at most 100 each: told that it cost 2^64 - 1, its key owes 50, and other keys nothing."""
    one = dial(hello(paths=(path(1, "tokens"),)), ask(1, 10, key="ana", kind=RESERVE))
    assert (1, True, "") == one.answer()
    one.say(settle(1, 2**64 - 1), settle(1, 0), ask(2, key="ana"), ask(3, 50, key="bob"))
    assert [(2, False, "full"), (3, True, "")] == [one.answer(), one.answer()]


def test_a_gate_that_claims_more_than_there_is_takes_nothing_from_others(keeper: Keeper, dial: Dial):
    """What it says it holds counts against it and everybody, as far as a meter can count; when it is gone, only its own is."""
    dial(hello(held(1, 3), name=bytes(16))).next(WELCOME)
    liar = dial(hello(*[held(n, 2**64 - 1) for n in range(10)], held(98, ALMOST_UNCOUNTABLE - 10), held(99, 2**40)))
    liar.next(WELCOME)
    assert ALMOST_UNCOUNTABLE - 7 == keeper.in_use("db")

    liar.say(ask(1_000), frame(message((5, b""))))

    assert (1_000, False, "full") == liar.answer()
    assert WELL == liar.status()
    assert 3 == keeper.in_use("db")


def test_fifty_thousand_slots_are_restated_and_not_one_more(keeper: Keeper, dial: Dial):
    """The most that one gate holds; the next demand is refused, and the count stays."""
    one = dial(hello(*[held(n) for n in range(1, 50_001)]))
    one.next(WELCOME)
    assert 50_000 == keeper.in_use("db")

    one.say(ask(60_000, path=1))

    assert (60_000, False, "full") == one.answer()


def test_paths_that_are_unknown_or_were_never_opened_are_answered_as_such(dial: Dial):
    """An unknown contract and a mistyped workload have a code each; an ask on neither is refused, and the stream goes on."""
    one = dial(hello(paths=(path(1, "nothing"), path(2, "db", "report"))))
    assert ["HW404", "HW406"] == [bytes(only(one.next(FACTS), 2, b"")).decode() for _ in range(2)]  # type: ignore[arg-type]

    one.say(ask(1), ask(2, path=2), ask(3, path=77), opens(77, "db"), ask(4, path=77))

    assert [(1, False), (2, False), (3, False), (4, True)] == [one.answer()[:2] for _ in range(4)]


def test_demands_that_mean_nothing_are_refused_and_charge_nothing(keeper: Keeper, dial: Dial):
    one = dial(hello(), ask(1, 0), ask(2, 2**64 - 1), ask(3, 6), ask(4, kind=9))
    assert [(1, False, "never_fits"), (2, False, "never_fits"), (3, False, "never_fits")] == [
        one.answer() for _ in range(3)
    ]
    assert (4, True, "") == one.answer(), "an unknown kind is the first one, says protobuf"
    assert 1 == keeper.in_use("db")


def test_half_a_message_and_then_silence_ends_within_a_term(dial: Dial):
    """Nor do bytes one by one keep it: a whole message has to come within each term."""
    one = dial(hello())
    term_ms = int(only(one.next(WELCOME), 1))
    assert 0 < term_ms <= 5_000
    one.say(alive(1)[:4])
    assert DEADLINE_EXCEEDED == one.status()


def test_a_gate_that_does_not_read_is_cut_off(keeper: Keeper, dial: Dial):
    """Its window stays shut while it asks for answers: no more than so many are kept for it, and its stream is over."""
    one = dial()
    one.connection.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    one.connection.flush()
    one.connection.settle()
    one.say(hello(paths=(path(1, "seen"),)))

    for first in range(0, 40_000, 1_000):
        one.say(*[alive(first + n) for n in range(1_000)])
    one.connection.settle()
    one.connection.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**20})
    one.connection.flush()

    assert RESOURCE_EXHAUSTED == one.status()
    assert 32_000 < sum(kind == ALIVE for kind, _ in one.heard()) < 40_000


def test_a_thousand_reconnects_leave_one_holder_and_no_open_file(keeper: Keeper, dial: Dial, until: Until):
    """Each restates its slot and says who it is; the last stream is the one that counts, and nothing piles up."""
    watched, sockets = _files("anon_inode:[pidfd]"), _files("socket:")
    process = _process()
    for _ in range(1_000):
        with Connection(keeper.port, TOKEN) as connection:
            Gate(connection, _hello_of(process)).next(WELCOME)

    assert 1 == keeper.in_use("db")
    assert 2 == keeper.holders, "the fixture's gate, and this one"
    # The gate of the fixture dials when it likes: one more of each, and the two ends of its connection.
    until(lambda: _files("anon_inode:[pidfd]") <= watched + 2)
    until(lambda: _files("socket:") <= sockets + 2)


def test_a_new_stream_of_a_holder_retires_the_old_one(dial: Dial):
    old = dial(hello())
    old.next(WELCOME)
    dial(hello()).next(WELCOME)
    old.say(alive(1))
    assert RETIRE in [kind for kind, _ in old.heard()]
    assert WELL == old.status()


def test_one_connection_has_no_more_than_a_few_streams_that_last(keeper: Keeper, dial: Dial):
    """Sixty-four; the next is told, and there is room again when one ends."""
    first = dial(hello())
    rest = [Gate(first.connection, hello(name=bytes([n]) * 16)) for n in range(1, 64)]
    for one in (first, *rest):
        one.next(WELCOME)

    assert RESOURCE_EXHAUSTED == Gate(first.connection).status()
    rest[0].say(end=True)
    assert WELL == rest[0].status()
    Gate(first.connection, hello(name=b"n" * 16)).next(WELCOME)


def test_streams_that_are_reset_as_they_begin_end_their_connection_alone(keeper: Keeper, dial: Dial):
    """Rapid reset (CVE-2023-44487), over the call of gates."""
    one = dial(hello())
    one.next(WELCOME)
    with Connection(keeper.port, TOKEN) as rude, pytest.raises((BrokenPipeError, ConnectionResetError)):
        open_and_reset(rude, HOLD, pieces=20, each=2_000)
    one.say(ask(1))
    assert (1, True, "") == one.answer()


def test_demands_that_wait_end_with_their_stream(keeper: Keeper, dial: Dial):
    """A hundred queue for an hour behind the one slot of `patient`; their gate goes, and the next in line is somebody else."""
    holds = dial(hello(name=bytes(16), paths=(path(1, "patient"),)), ask(1))
    assert (1, True, "") == holds.answer()
    queued = dial(hello(paths=(path(1, "patient"),)), *[ask(n, wait_ms=3_600_000) for n in range(1, 101)], alive(1))
    queued.next(ALIVE)
    queued.say(end=True)
    assert WELL == queued.status()

    holds.say(settle(1), ask(2, wait_ms=5_000))

    assert (2, True, "") == holds.answer()
    holds.say(settle(2))


def _process() -> bytes:
    """This process, as its gate would tell."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return message((1, boot), (2, Path("/proc/self/ns/pid").stat().st_ino), (3, os.getpid()), (4, started))


def _files(kind: str) -> int:
    """Open files of this process, by how the kernel names them; one that is closed meanwhile is none."""
    count = 0
    for one in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            count += str(one.readlink()).startswith(kind)
    return count


def _hello_of(process: bytes) -> bytes:
    return frame(message((1, message((1, NAME), (2, 1), (3, held(1)), (5, process), (6, path(1, "db"))))))
