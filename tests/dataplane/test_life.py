"""Starting, routing anew, ending."""

from __future__ import annotations

import os
import socket
from threading import Thread
from typing import Any

import pytest

from headway._core import CheckRoute, DataPlane, Meters, RlqsRoute, RlsRoute
from tests.core.making import MICRO
from tests.dataplane.conftest import CREDENTIALS, House, Serve, hashed
from tests.dataplane.envoy import OK, SHOULD_RATE_LIMIT, data_frame, descriptor, frame, request


def test_it_listens_where_it_says(house: House) -> None:
    """Any free port of this machine, told as a number and as an address."""
    assert f"127.0.0.1:{house.plane.port}" == house.plane.address
    assert house.plane.port > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"listen": "localhost:0"},
        {"listen": "127.0.0.1"},
        {"listen": "0.0.0.0:0"},
        {"listen": "[::]:0"},
        {"threads": 0},
        {"threads": 257},
        {"connections": 0},
        {"in_flight": 0},
        {"idle_ms": 0},
        {"credentials": [("a", b"short", ["gate"])]},
        {"credentials": [("a", hashed("a"), ["admin"])]},
    ],
)
def test_settings_that_mean_nothing_are_told(settings: dict[str, Any]) -> None:
    """Another address than this machine's is one of them: tokens would cross the network in the clear."""
    with pytest.raises(ValueError, match=r"\w"):
        DataPlane(Meters(), **({"credentials": CREDENTIALS} | settings))


def test_an_address_that_is_taken_is_an_error(house: House) -> None:
    with pytest.raises(OSError, match="in use"):
        DataPlane(house.meters, house.plane.address, credentials=CREDENTIALS)


def test_other_addresses_are_listened_on_when_told() -> None:
    plane = DataPlane(Meters(), "0.0.0.0:0", credentials=CREDENTIALS, off_loopback=True)
    with socket.create_connection(("127.0.0.1", plane.port), timeout=10) as reached:
        assert plane.port == reached.getpeername()[1]
    plane.close()


def test_routes_that_mean_nothing_are_told_and_change_nothing(house: House) -> None:
    """Each mistake by itself; the routes that were there go on."""
    house.rate("api", 10)
    house.rate("teams", 10, keys_max=10)
    house.slots("pool")
    plain, keyed = house.limiter("api"), house.limiter("teams", keyed=True)
    house.check("api", plain)
    mistakes: list[tuple[list[CheckRoute], list[RlsRoute]]] = [
        ([CheckRoute("other", [plain])], []),
        ([CheckRoute("api", [plain]), CheckRoute("api", [plain])], []),
        ([CheckRoute("api", [plain, plain])], []),
        ([CheckRoute("pool", [house.limiter("pool")])], []),
        ([], [RlsRoute("edge", [("a", "b")], house.limiter("pool"))]),
        ([], [RlsRoute("edge", [], plain)]),
        ([], [RlsRoute("edge", [("a", "b"), ("a", "c")], plain)]),
        ([], [RlsRoute("edge", [("a", None)], plain)]),
        ([], [RlsRoute("edge", [("a", "b")], keyed)]),
        ([], [RlsRoute("edge", [("a", None), ("b", None)], keyed)]),
        ([], [RlsRoute("edge", [("a", "b")], plain, post_paid=True)]),
        ([], [RlsRoute("edge", [("a", "b")], _paid(house), post_paid=True, refundable=True)]),
    ]

    for checks, rls in mistakes:
        with pytest.raises(ValueError, match=r"\w"):
            house.plane.routes(checks, rls)
    divided = [
        [RlqsRoute("edge", {"a": "b"}, keyed)],
        [RlqsRoute("edge", {"a": "b"}, house.limiter("pool"))],
        [RlqsRoute("edge", {"a": "b"}, plain), RlqsRoute("edge", {"a": "b"}, house.limiter("api"))],
    ]
    for rlqs in divided:
        with pytest.raises(ValueError, match=r"\w"):
            house.plane.routes([], [], [], [], rlqs)
    with pytest.raises(ValueError, match="too short"):
        RlqsRoute("edge", {"a": "b"}, plain, within_ns=2_999_999_999)

    with house.http() as front:
        assert 200 == front.get("/check/api").status_code


def _paid(house: House) -> Any:
    return house.limiter("api", settle_max_micro=50 * MICRO)


def test_a_limiter_that_is_bound_to_a_key_is_no_route(house: House) -> None:
    house.rate("teams", 10, keys_max=10)
    bound = house.limiter("teams", keyed=True).bind("search")

    with pytest.raises(ValueError, match="bound"):
        CheckRoute("teams", [bound])
    with pytest.raises(ValueError, match="bound"):
        RlsRoute("edge", [("team", None)], bound)
    with pytest.raises(ValueError, match="tell"):
        CheckRoute("teams", [], tell="all")  # type: ignore[arg-type]


def test_routes_are_swapped_as_a_whole(house: House) -> None:
    """What was there and is not any more is unknown; what stays goes on counting."""
    house.rate("api", 10)
    house.rate("db", 10)
    api, db = house.limiter("api"), house.limiter("db")
    house.plane.routes([CheckRoute("api", [api]), CheckRoute("db", [db])], [])

    with house.http() as front:
        assert [200, 200] == [front.get(f"/check/{name}").status_code for name in ("api", "db")]
        house.plane.routes([CheckRoute("db", [db])], [])
        assert [404, 200] == [front.get(f"/check/{name}").status_code for name in ("api", "db")]

    assert 2 == db.reading().admitted


def test_a_plane_that_is_closed_answers_what_is_under_way_and_nothing_new(house: House) -> None:
    """A call that is half sent when the plane closes still gets its answer; the port is free afterwards."""
    house.rate("api", 10)
    house.bind(house.limiter("api"), {"contract": "api"})
    raw = frame(request(descriptor({"contract": "api"})))

    with house.envoy() as envoy:
        stream = envoy.start(SHOULD_RATE_LIMIT)
        envoy.send(stream, raw[:9], end=False)
        envoy.settle()
        closing = Thread(target=house.plane.close)
        closing.start()
        while envoy.goaway is None:
            envoy.read_once()
        envoy.socket.sendall(data_frame(stream, raw[9:]))
        while not envoy.is_closed:
            envoy.read_once()
        closing.join(timeout=10)

    assert not closing.is_alive()
    assert bytes([8, OK]) in envoy.after_goaway
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", house.port), timeout=10)
    house.plane.close()
    house.plane.routes([], [])


def test_a_forked_child_leaves_the_parents_plane_alone(house: House) -> None:
    """The child has none of its threads: closing or dropping it there does nothing, and ends at once."""
    house.rate("api", 10)
    house.check("api", house.limiter("api"))

    child = os.fork()
    if child == 0:
        house.plane.close()
        os._exit(7)
    _, status = os.waitpid(child, 0)

    assert 7 == os.waitstatus_to_exitcode(status)
    with house.http() as front:
        assert 200 == front.get("/check/api").status_code


def test_threads_answer_together_and_never_over(serve: Serve) -> None:
    """Four connections ask 50 times each for 100 a second: exactly 100 pass."""
    house = serve(threads=4, deadline_ms=60_000)
    house.rate("api", 100)
    limiter = house.limiter("api")
    house.bind(limiter, {"contract": "api"})
    raw = frame(request(descriptor({"contract": "api"})))
    envoys = [house.envoy() for _ in range(4)]

    streams = []
    for envoy in envoys:
        for _ in range(50):
            stream = envoy.start(SHOULD_RATE_LIMIT)
            envoy.send(stream, raw)
            streams.append((envoy, stream))
    replies = [envoy.wait(stream) for envoy, stream in streams]

    assert 100 == sum(reply.unframed[1] == OK for reply in replies)
    assert (100, 100) == (limiter.reading().admitted, limiter.reading().refused)
    for envoy in envoys:
        envoy.socket.close()
