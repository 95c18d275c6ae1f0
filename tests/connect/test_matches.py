"""Workloads that are told apart by what is said, in a process whose limits a server keeps."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

import headway
from headway.asgi import Middleware
from tests.library.exchange import HTTP, ask, hello

from .conftest import TOKEN, Keeper

Until = Callable[[Callable[[], bool]], None]


def admitted(keeper: Keeper) -> dict[str, int]:
    """How many demands of each workload the keeper has let in, by itself or on loan."""
    paths = (path for path in keeper.engine.meters.paths() if path.contract == "shop")
    counts = {path.workload: path.admitted + path.admitted_elsewhere for path in paths}
    return {workload: count for workload, count in counts.items() if count}


def test_the_server_says_how_workloads_are_told_apart(keeper: Keeper, gate: headway.Connected) -> None:
    """The first match wins, the rest is `other`: the same limiters as by their names, and charged as those."""
    assert gate.limiter("shop", "checkout") is gate.limiter("shop", attributes={"user": "checkout_1", "method": "POST"})
    assert gate.limiter("shop") is gate.limiter("shop", attributes={"user": "ana"})
    assert gate.limiter("shop") is gate.limiter("shop", attributes={"user": None, "nobody": "asks"})
    assert (("method", "user"), ("checkout", "other", "posts")) == (gate.attributes("shop"), gate.workloads("shop"))
    for said in ({"user": "checkout_1"}, {"method": "POST"}, {"user": "ana"}):
        assert gate.limiter("shop", attributes=said).try_acquire()

    assert {"checkout": 1, "posts": 1, "other": 1} == admitted(keeper)


def test_a_workload_that_was_told_apart_is_lent_like_one_that_was_named(
    keeper: Keeper, gate: headway.Connected, until: Until
) -> None:
    """A hundred demands and more: most are decided here, and the server hears whose they were."""
    for _ in range(200):
        assert gate.limiter("shop", attributes={"user": "checkout_1"}).try_acquire()

    until(lambda: admitted(keeper) == {"checkout": 200})


def test_a_contract_without_matches_takes_everybody_as_before(keeper: Keeper, gate: headway.Connected) -> None:
    assert gate.limiter("api") is gate.limiter("api", attributes={"user": "x"})
    assert () == gate.attributes("api")


def test_a_middleware_takes_the_connection_itself(keeper: Keeper, gate: headway.Connected) -> None:
    """As it takes what `headway.open` returned: by match, by name, by a function; and it tells what the contract says."""
    matched = Middleware(hello, gate, "shop", attributes=lambda scope: {"user": scope.get("user")})
    for scope in ({**HTTP, "user": "checkout_9"}, {**HTTP, "method": "POST"}, HTTP):
        assert 200 == ask(matched, scope).status
    ask(Middleware(hello, gate, "shop", workload="posts"))
    ask(Middleware(hello, gate, "shop", workload=lambda scope: "checkout"))

    assert {"checkout": 2, "posts": 2, "other": 1} == admitted(keeper)
    assert ("full", "public") == (gate.tell("shop"), gate.tell("api"))


def test_while_the_server_was_never_reached_nobody_is_let_in(keeper: Keeper) -> None:
    """Nothing is known of the workloads: whoever asks is refused as cut off, and names are an error that says why."""
    keeper.stop()
    with headway.connect(keeper.url, token=TOKEN) as gate:
        refusal = gate.limiter("shop", attributes={"user": "checkout_1"}).try_acquire()
        assert isinstance(refusal, headway.Refusal) and "cut_off" == refusal.why
        with pytest.raises(headway.HeadwayError) as unknown:
            gate.workloads("shop")
        assert ((), None) == (gate.attributes("shop"), gate.tell("shop"))
    keeper.start()

    assert "HW532" == unknown.value.code


def test_what_was_told_once_is_known_while_the_server_is_away(keeper: Keeper, gate: headway.Connected) -> None:
    checkout = gate.limiter("shop", attributes={"user": "checkout_1"})
    keeper.stop()
    try:
        assert checkout is gate.limiter("shop", attributes={"user": "checkout_2"})
        assert ("checkout", "other", "posts") == gate.workloads("shop")
    finally:
        keeper.start()


def test_both_a_name_and_attributes_are_a_mistake_and_an_unknown_contract_is_told(gate: headway.Connected) -> None:
    with pytest.raises(TypeError, match="leave `attributes` out"):
        gate.limiter("shop", "checkout", attributes={})
    with pytest.raises(headway.HeadwayError) as unknown:
        gate.limiter("ship", attributes={"user": "x"})

    assert "HW404" == unknown.value.code


def test_a_forked_child_tells_workloads_apart_as_its_parent_does(keeper: Keeper, gate: headway.Connected) -> None:
    """What was told before the fork is known after it, and each demand is charged to whom it is taken for."""
    assert gate.limiter("shop", attributes={"user": "checkout_1"}).try_acquire()
    reading, writing = os.pipe()

    child = os.fork()
    if child == 0:
        try:
            said: list[dict[str, str | None]] = [{"user": "checkout_2"}, {"method": "POST"}, {}]
            taken = [bool(gate.limiter("shop", attributes=one).try_acquire()) for one in said]
            os.write(writing, bytes([sum(taken)]))
        finally:
            os._exit(0)
    count = os.read(reading, 1)[0]
    os.waitpid(child, 0)

    assert 3 == count
    assert {"checkout": 2, "posts": 1, "other": 1} == admitted(keeper)
