"""What is agreed with workloads, as proxies meet it: within every key, and of a quota by weight."""

from __future__ import annotations

from headway._core import ShareSpec
from tests.core.making import SECOND
from tests.dataplane.bound import one
from tests.dataplane.conftest import House
from tests.dataplane.envoy import OK, OVER_LIMIT, request

CHECKOUT = ShareSpec("checkout", guarantee_ppm=400_000)


def test_a_guarantee_holds_within_every_key_that_envoy_names(house: House) -> None:
    """Ten a second for a team, four of them checkout's; big has twice that."""
    house.rate("api", 10, keys_max=10, scale_ppm=[("big", 2_000_000)], shares=[CHECKOUT])
    house.bind(house.limiter("api", keyed=True), {"team": None})

    def codes(team: str) -> list[int]:
        with house.envoy() as envoy:
            return [envoy.ask(request(one(team))).code for _ in range(20)]

    assert [[OK] * 6 + [OVER_LIMIT] * 14, [OK] * 12 + [OVER_LIMIT] * 8] == [codes("ana"), codes("big")]


def test_a_check_with_a_key_finds_its_guarantee(house: House) -> None:
    """Others leave four of ten for checkout, which then has them."""
    house.rate("api", 10, keys_max=10, shares=[CHECKOUT])
    limiters = [house.limiter("api", keyed=True, workload=name) for name in ("other", "checkout")]
    house.check("api", *limiters)

    with house.http() as front:
        codes = {
            workload: [
                front.get("/check/api", params={"workload": workload, "key": "ana"}).status_code for _ in range(8)
            ]
            for workload in ("other", "checkout")
        }

    assert {"other": [200] * 6 + [429] * 2, "checkout": [200] * 4 + [429] * 4} == codes


def test_checks_share_a_quotas_window_by_weight(house: House) -> None:
    """Forty a minute, 3 to 1: both ask four times as much as there is, and have 30 and 10."""
    house.quota("exports", 40, shares=[ShareSpec("web", weight=3), ShareSpec("reports", weight=1)])
    house.check("exports", *[house.limiter("exports", workload=name) for name in ("web", "reports")])
    had = {"web": 0, "reports": 0}

    with house.http() as front:
        for _ in range(50):
            for workload in ("reports", "web"):
                answer = front.get("/check/exports", params={"workload": workload})
                had[workload] += answer.status_code == 200
            house.meters.clock.advance(SECOND)

    assert {"web": 30, "reports": 10} == had
