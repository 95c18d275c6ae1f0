"""Envoy's quota service on the wire: what a proxy is told, and what it can say that is wrong.

Source: protocols/envoy.md, *What Envoy 1.40.0 really does, and the rule for our server*. The reader of what is told (`quota`)
fails on an unset strategy or life, on another interval than a second, on requests a time unit.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headway._core import RlqsRoute
from tests.core.making import MICRO, SECOND, rate_curve
from tests.dataplane.conftest import VIEWER, House
from tests.dataplane.envoy import INVALID_ARGUMENT, PERMISSION_DENIED, UNAUTHENTICATED, UNIMPLEMENTED
from tests.dataplane.quota import CHECKOUT, STREAM, Proxy, Told, divided, gone, subscribed, usage
from tests.dataplane.wire import message


@pytest.fixture
def proxies(house: House) -> Iterator[list[Proxy]]:
    """Two streams on a limit of 100 that is past its quiet time."""
    divided(house)
    both = [Proxy(house.port), Proxy(house.port)]
    yield both
    for proxy in both:
        proxy.close()


def test_nothing_is_assigned_until_what_an_earlier_process_assigned_has_ended(house: House) -> None:
    """It may have been another process a moment ago: for five seconds everybody is told to deny, for whole seconds."""
    divided(house, quiet=True)
    proxy = Proxy(house.port)
    subscribed(house, proxy)

    assert Told(CHECKOUT, "deny", 4) == proxy.told()
    house.meters.clock.advance(SECOND)
    assert Told(CHECKOUT, "deny", 4) == proxy.told()
    proxy.close()


def test_the_first_report_is_the_subscription_and_no_time_has_elapsed_in_it(proxies: list[Proxy]) -> None:
    """Envoy's first report says one request and `time_elapsed` 0. Alone it is assigned all but the reserve of a twentieth,
    with less than a second's worth of tokens."""
    proxies[0].report(usage(CHECKOUT, 1))
    told = proxies[0].told_until("bucket")[-1]

    assert (CHECKOUT, 4, 95) == (told.bucket, told.ttl_s, told.per_s)
    assert 1 <= told.tokens <= told.per_s // 2


def test_the_same_is_sent_again_while_it_lives(house: House, proxies: list[Proxy]) -> None:
    """An identical assignment keeps the bucket and prolongs its life."""
    proxies[0].report(usage(CHECKOUT, 1))
    first = proxies[0].told_until("bucket")[-1]
    house.meters.clock.advance(SECOND // 2)

    assert first == proxies[0].told()


def test_a_cut_is_pushed_without_a_report(house: House, proxies: list[Proxy]) -> None:
    proxies[0].report(usage(CHECKOUT, 1))
    proxies[0].told_until("bucket")
    house.publish("checkout", rate_curve(10, 2))
    told = proxies[0].told()

    assert ("bucket", 9) == (told.kind, told.per_s)


def test_a_second_stream_gets_of_what_is_free_and_the_first_keeps_its_own(house: House, proxies: list[Proxy]) -> None:
    first, second = proxies
    first.report(usage(CHECKOUT, 1))
    had = first.told_until("bucket")[-1].per_s
    second.report(usage(CHECKOUT, 1))
    gets = second.told_until("bucket")[-1].per_s

    assert 95 == had and 1 <= gets <= 5
    assert house.plane.divided()[0][4] <= 100


def test_what_a_lost_stream_had_stays_booked_until_it_has_ended(house: House, proxies: list[Proxy]) -> None:
    proxies[0].report(usage(CHECKOUT, 1))
    proxies[0].told_until("bucket")
    proxies[0].close()
    gone(house)
    assert [("checkout", 0, 0, 0, 95)] == house.plane.divided()
    house.meters.clock.advance(5 * SECOND)

    assert [("checkout", 0, 0, 0, 0)] == house.plane.divided()


def test_who_asks_for_nothing_is_told_to_forget_its_bucket(house: House, proxies: list[Proxy]) -> None:
    """After fifteen seconds; the next request of that bucket begins anew."""
    proxy = proxies[0]
    proxy.report(usage(CHECKOUT, 1))
    proxy.told_until("bucket")
    house.meters.clock.advance(15 * SECOND)
    assert Told(CHECKOUT, "abandon") == proxy.told_until("abandon")[-1]
    house.meters.clock.advance(6 * SECOND)
    proxy.report(usage(CHECKOUT, 1))

    assert "bucket" == proxy.told_until("bucket")[-1].kind


def test_what_was_let_through_is_counted_as_use(house: House, proxies: list[Proxy]) -> None:
    """So that soaks, `/metrics` and `headway top` see what proxies did."""
    proxies[0].report(usage(CHECKOUT, 30, 7))
    proxies[0].told()
    (meter,) = house.meters.snapshot()
    path = max(house.meters.paths(), key=lambda one: one.admitted_micro)

    assert 30 * MICRO <= meter.charged_micro
    assert 30 * MICRO <= path.admitted_micro and 7 * MICRO == path.refused_micro


def test_a_bucket_that_no_contract_is_bound_to_is_told_nothing(proxies: list[Proxy]) -> None:
    """Another name, one entry more, another domain: the proxy does what it does unassigned. Its neighbours are told."""
    proxy = proxies[0]
    proxy.report(usage(CHECKOUT, 1), domain="other")
    proxy.report(usage({"name": "search"}, 1), usage({**CHECKOUT, "team": "a"}, 1), usage(CHECKOUT, 1))

    assert CHECKOUT == proxy.told().bucket


def test_new_routes_take_over_what_is_assigned(house: House, proxies: list[Proxy]) -> None:
    """A contract is applied elsewhere: nobody here is told to deny, and nothing is handed out twice."""
    proxies[0].report(usage(CHECKOUT, 1))
    proxies[0].told_until("bucket")
    house.plane.routes([], [], [], [], [RlqsRoute("edge", CHECKOUT, house.limiter("checkout"))])

    assert [("checkout", 1, 0, 95, 95)] == house.plane.divided()


@pytest.mark.parametrize(
    "raw",
    [
        b"\0\0\0\0\x02\x0a\xff",
        b"\1\0\0\0\0",
        b"\0\xff\xff\xff\xff",
        b"\0" + (300 * 1024).to_bytes(4),
        b"\0" + len(message((1, "x" * 300))).to_bytes(4) + message((1, "x" * 300)),
    ],
    ids=["malformed", "compressed", "4 GiB", "300 KiB", "a long domain"],
)
def test_a_report_that_cannot_be_read_ends_its_stream_alone(house: House, proxies: list[Proxy], raw: bytes) -> None:
    bad, good = proxies
    good.report(usage(CHECKOUT, 1))
    good.told_until("bucket")
    bad.send(raw)
    ended = bad.connection.wait(bad.stream)
    house.meters.clock.advance(SECOND // 2)

    assert ended.grpc in (INVALID_ARGUMENT, UNIMPLEMENTED), "what was wrong is told"
    assert "bucket" == good.told().kind


@pytest.mark.parametrize(("token", "status"), [(None, UNAUTHENTICATED), (VIEWER, PERMISSION_DENIED)])
def test_a_stream_wants_a_token_that_may_ask(house: House, token: str | None, status: int) -> None:
    divided(house, quiet=True)
    proxy = Proxy(house.port, token)

    assert status == proxy.connection.wait(proxy.stream).grpc
    proxy.close()


def test_a_connection_from_before_the_first_division_is_ended(house: House) -> None:
    """On it nobody would know whether its peer still hears: it is told to come again, and is closed."""
    house.rate("checkout", 100)
    with house.envoy() as early:
        early.settle()
        house.plane.routes([], [], [], [], [RlqsRoute("edge", CHECKOUT, house.limiter("checkout"))])
        stream = early.start(STREAM)
        early.flush()

        early.wait_closed()
        assert early.goaway is not None and not early.replies[stream].body


def test_a_peer_that_answers_no_ping_is_cut_off(house: House) -> None:
    """What is sent has arrived within a second, or never does: a peer that is silent for less is gone."""
    divided(house, quiet=True)
    proxy = Proxy(house.port)
    raw = bytearray()
    while piece := proxy.connection.socket.recv(65_536):
        raw += piece
    proxy.close()

    assert b"" != bytes(raw)
