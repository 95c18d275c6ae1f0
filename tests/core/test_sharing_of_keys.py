"""Guarantees and ceilings within every key of a contract with `each`."""

from __future__ import annotations

import pytest

from headway._core import Clock, Measure, Meters, MeterSpec, PathSpec, Permit, ShareSpec
from tests.core.making import MICRO, SECOND, UTC, quota_curve, rate_curve, slots_curve

MEASURES: tuple[Measure, ...] = ("rate", "concurrency", "quota")
SURE = ShareSpec("checkout", guarantee_ppm=400_000)
WEB = ShareSpec("web")
CAPPED = ShareSpec("reports", ceiling_ppm=250_000)


class Teams:
    """A contract `db` with a limit for each key."""

    def __init__(
        self, measure: Measure, level: int, *shares: ShareSpec, keys_max: int = 100, scale: dict[str, int] | None = None
    ) -> None:
        self.clock, self.measure = Clock.manual(100 * SECOND), measure
        scaled = [(key, factor * MICRO) for key, factor in sorted((scale or {}).items())]
        self.spec = MeterSpec(
            "db",
            measure,
            ceiling_micro=1_000 * MICRO,
            per_ns=SECOND if measure == "rate" else 0,
            unit="request",
            shares=shares,
            keys_max=keys_max,
            scale_ppm=scaled,
        )
        self.level, self.names = level, [share.workload for share in shares]
        self.held: list[Permit] = []
        self.start(Meters(self.clock))

    def start(self, meters: Meters, saved: bytes = b"") -> None:
        """Meters of a process that begins."""
        self.meters = meters
        meters.declare([self.spec])
        if saved:
            meters.restore(saved)
        curve = {"rate": rate_curve, "concurrency": slots_curve, "quota": quota_curve}[self.measure](self.level, 1)
        meters.publish([("db", curve)], UTC + self.clock.boot_ns() - 100 * SECOND)
        self.limiters = {name: meters.limiter(PathSpec("db", name, [("db", MICRO, True)])) for name in self.names}

    def takes(self, workload: str, key: str, most: int = 10_000) -> int:
        """How many units it gets for a key, one by one, until it is refused; slots stay held."""
        for got in range(most):
            answer = self.limiters[workload].try_acquire(key=key)
            if not isinstance(answer, Permit):
                return got
            self.held.append(answer)
        return most


@pytest.mark.parametrize("measure", MEASURES)
def test_a_guarantee_is_kept_within_every_key(measure: Measure) -> None:
    """Of 20 a key, 8 are checkout's in each, though it was never there; what it uses of one key's is no other's loss."""
    teams = Teams(measure, 20, SURE, WEB)

    assert [12, 12] == [teams.takes("web", "a"), teams.takes("web", "b")]
    assert 8 == teams.takes("checkout", "a")
    assert [0, 8] == [teams.takes("web", "b"), teams.takes("checkout", "b")]


@pytest.mark.parametrize("measure", MEASURES)
def test_a_ceiling_stops_a_workload_within_every_key(measure: Measure) -> None:
    teams = Teams(measure, 20, CAPPED, WEB)

    assert [5, 5, 15] == [teams.takes("reports", "a"), teams.takes("reports", "b"), teams.takes("web", "a")]


@pytest.mark.parametrize("measure", MEASURES)
def test_a_share_of_a_scaled_key_is_one_of_its_own_limit(measure: Measure) -> None:
    """Three times 20: of those 60 checkout has 24, and reports stop at 15."""
    teams = Teams(measure, 20, SURE, CAPPED, WEB, scale={"big": 3})

    assert [15, 21, 24] == [teams.takes(name, "big") for name in ("reports", "web", "checkout")]
    assert [5, 7, 8] == [teams.takes(name, "small") for name in ("reports", "web", "checkout")]


@pytest.mark.parametrize("measure", MEASURES)
def test_an_amount_is_one_of_a_key_and_scales_with_it(measure: Measure) -> None:
    shares = (ShareSpec("checkout", guarantee_micro=8 * MICRO), ShareSpec("reports", ceiling_micro=5 * MICRO))
    teams = Teams(measure, 20, *shares, WEB, scale={"big": 3})

    assert [15, 21, 24] == [teams.takes(name, "big") for name in ("reports", "web", "checkout")]
    assert [5, 7, 8] == [teams.takes(name, "small") for name in ("reports", "web", "checkout")]


def test_a_guarantee_that_is_used_is_not_left_twice_and_comes_back_with_its_slots() -> None:
    teams = Teams("concurrency", 20, SURE, WEB)
    teams.takes("checkout", "a", 8)
    assert 12 == teams.takes("web", "a")
    for permit in teams.held[:8]:
        permit.release()

    assert [0, 8] == [teams.takes("web", "a"), teams.takes("checkout", "a")]


def test_the_refusal_names_the_ceiling_and_who_goes_first() -> None:
    teams = Teams("quota", 20, SURE, CAPPED, WEB)
    teams.takes("reports", "a")
    teams.takes("web", "a")
    capped, kept = (teams.limiters[name].try_acquire(key="a") for name in ("reports", "web"))

    assert not isinstance(capped, Permit) and not isinstance(kept, Permit)
    assert ("db@reports", "a") == (capped.meter, capped.key)
    assert "reports has all it may have of db: 5 of 5 requests" in str(capped)
    assert "db is full for web: 12 of 20 requests" in str(kept) and "checkout goes first" in str(kept)


def test_a_key_that_a_guarantee_has_no_place_for_is_refused_and_nothing_of_it_stays_charged() -> None:
    """Two keys may live. Those that checkout used 8 of are alive in its guarantee for a second, longer than in the limit."""
    teams = Teams("rate", 20, SURE, WEB, keys_max=2)
    assert [8, 8] == [teams.takes("checkout", key, 8) for key in ("a", "b")]
    teams.clock.advance(SECOND // 2)
    answers = [teams.limiters[name].try_acquire(key="c") for name in ("checkout", "web")]

    assert ["too_many_keys", True] == [getattr(answers[0], "why", ""), isinstance(answers[1], Permit)]
    assert 11 == teams.takes("web", "c")
    teams.clock.advance(SECOND)
    assert isinstance(teams.limiters["checkout"].try_acquire(key="c"), Permit)


@pytest.mark.parametrize("measure", ["rate", "quota"])
def test_a_clean_stop_keeps_what_each_key_used_of_a_guarantee_and_a_ceiling(measure: Measure) -> None:
    before = Teams(measure, 20, SURE, CAPPED, WEB)
    assert [6, 3] == [before.takes("checkout", "a", 6), before.takes("reports", "a", 3)]
    before.meters.close()
    after = Teams(measure, 20, SURE, CAPPED, WEB)
    after.start(Meters(after.clock), before.meters.save())

    assert [2, 7, 2] == [after.takes(name, "a") for name in ("reports", "web", "checkout")]
    assert [5, 7, 8] == [after.takes(name, "b") for name in ("reports", "web", "checkout")]


def test_a_quotas_ceiling_takes_up_the_durable_count_of_every_key() -> None:
    meters = Meters(Clock.manual(100 * SECOND))
    spec = MeterSpec(
        "db", "quota", ceiling_micro=100 * MICRO, durable=True, keys_max=4, scale_ppm=[("big", 2 * MICRO)],
        shares=[CAPPED],
    )  # fmt: skip
    meters.declare([spec])
    rows = [("a", 3), ("big", 9)]
    meters.restore_drawn([(name, key, UTC, n * MICRO) for name in ("db", "db@reports") for key, n in rows])
    meters.publish([("db", quota_curve(20))], UTC)
    limiter = meters.limiter(PathSpec("db", "reports", [("db", MICRO, True)]))
    refused = [limiter.try_acquire(n, key) for key, n in (("a", 3), ("big", 2))]

    assert ["db@reports", "db@reports"] == [getattr(one, "meter", "") for one in refused]
