"""A process whose mandate has ended answers no yes on any surface, and goes on where it is renewed."""

from __future__ import annotations

import time

from tests.core.making import SECOND, rate_curve
from tests.dataplane.bound import plain, told
from tests.dataplane.conftest import House
from tests.dataplane.envoy import OK, OVER_LIMIT, request
from tests.dataplane.quota import Proxy, divided, usage

FOREVER = 2**62


def ends(house: House) -> None:
    """Now, on the meters' clock."""
    house.meters.decide_until(house.meters.clock.boot_ns())


def test_a_check_is_refused_as_cut_off_until_the_mandate_is_renewed(house: House) -> None:
    """At its last nanosecond it is answered, at its end it is not; nothing is charged meanwhile."""
    house.rate("api", 2)
    house.check("api", house.limiter("api"))
    with house.http() as http:
        house.meters.decide_until(house.meters.clock.boot_ns() + 1)
        first = http.get("/check/api")
        ends(house)
        refused = [http.get("/check/api") for _ in range(3)]
        house.meters.decide_until(FOREVER)
        last = [http.get("/check/api").status_code for _ in range(2)]

    assert 200 == first.status_code
    assert [503] * 3 == [one.status_code for one in refused]
    assert "cut_off" in refused[0].text
    assert [200, 429] == last


def test_what_was_closed_is_not_opened_by_a_renewal(house: House) -> None:
    """A renewal that comes late finds the process at its end."""
    house.rate("api", 2)
    limiter = house.limiter("api")

    house.meters.close()
    house.meters.decide_until(FOREVER)

    assert "closed" == limiter.try_acquire().why  # type: ignore[union-attr]


def test_envoy_is_told_over_limit(house: House) -> None:
    """Never an UNKNOWN, which it would take for a yes."""
    plain(house, "api", 5)
    with house.envoy() as envoy:
        assert OK == envoy.ask(request(told("api"))).code
        ends(house)
        assert OVER_LIMIT == envoy.ask(request(told("api"))).code


def test_nothing_is_assigned_to_proxies(house: House) -> None:
    """An assignment that lives is not prolonged, and a new limit is not told: another process may divide it by now. Renewed, the
    process tells both again.
    """
    divided(house)
    proxy = Proxy(house.port)
    proxy.report(usage({"name": "checkout"}, 1))
    proxy.told_until("bucket")

    ends(house)
    house.meters.clock.advance(SECOND // 2)
    house.publish("checkout", rate_curve(10, 2))
    said, until = len(proxy.reply.body), time.monotonic() + 0.5
    while time.monotonic() < until:
        proxy.connection.settle()
    assert said == len(proxy.reply.body), "five rounds in which nothing is said"

    house.meters.decide_until(FOREVER)
    assert 9 == proxy.told_until("bucket")[-1].per_s
    proxy.close()
