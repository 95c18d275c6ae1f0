"""Who gets what is free: room for who goes first, guarantees, ceilings; and never more than the limit."""

from __future__ import annotations

from typing import Any

import pytest

from headway._core import NEVER, UNKNOWN, Clock, Limiter, Measure, Meters, MeterSpec, PathSpec, ShareSpec
from tests.core.making import MICRO, MINUTE, SECOND, UTC, quota_curve, rate_curve, slots_curve

CHECKOUT = ShareSpec("checkout", "critical")
WEB = ShareSpec("web")
REPORTS = ShareSpec("reports", "background")


class Db:
    """A contract `db` with a limit and a limiter for each of its workloads."""

    def __init__(self, measure: Measure, level: int, *shares: ShareSpec, curve: Any = None, **spec: Any) -> None:
        self.clock = Clock.manual(100 * SECOND)
        self.meters = Meters(self.clock)
        self.measure = measure
        per_ns = SECOND if measure == "rate" else 0
        given = MeterSpec(
            "db", measure, ceiling_micro=1_000 * MICRO, per_ns=per_ns, unit="request", shares=shares, **spec
        )
        self.meters.declare([given])
        self.publish(level)
        self.keyed = "keys_max" in spec
        self.limiters = {share.workload: self.limiter(share.workload) for share in shares}

    def publish(self, level: int, version: int = 1) -> None:
        makes = {"rate": rate_curve, "concurrency": slots_curve, "quota": quota_curve}
        self.meters.publish([("db", makes[self.measure](level, version))], UTC + self.clock.boot_ns() - 100 * SECOND)

    def limiter(self, workload: str, shares_as: str | None = None, **path: Any) -> Limiter:
        spec = PathSpec("db", workload, [("db", MICRO, self.keyed)], shares_as=shares_as, **path)
        return self.meters.limiter(spec)

    def takes(self, workload: str, most: int = 10_000, **demand: Any) -> int:
        """How many units it gets, one by one, until it is refused; slots stay held."""
        self.held = getattr(self, "held", [])
        for got in range(most):
            answer = self.limiters[workload].try_acquire(**demand)
            if not answer:
                return got
            self.held.append(answer)
        return most

    @property
    def in_use(self) -> int:
        return self.meters.snapshot()[0].use_micro // MICRO


MEASURES: tuple[Measure, ...] = ("rate", "concurrency", "quota")


# --- priority -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", MEASURES)
def test_background_leaves_a_fifth_and_normal_a_twentieth_for_who_goes_first(measure: Measure) -> None:
    """Of 100, reports take 80, the web 15 more, and checkout the last 5."""
    db = Db(measure, 100, CHECKOUT, WEB, REPORTS)

    assert [80, 15, 5] == [db.takes("reports"), db.takes("web"), db.takes("checkout")]


@pytest.mark.parametrize("measure", MEASURES)
def test_the_highest_priority_always_has_the_whole_limit(measure: Measure) -> None:
    assert 100 == Db(measure, 100, CHECKOUT, WEB, REPORTS).takes("checkout")


@pytest.mark.parametrize("measure", MEASURES)
def test_nobody_leaves_room_where_nobody_goes_first(measure: Measure) -> None:
    """Background alone in its contract, or among its like, has the whole limit; so has normal above it."""
    assert 100 == Db(measure, 100, REPORTS).takes("reports")
    assert 100 == Db(measure, 100, REPORTS, ShareSpec("mails", "background")).takes("mails")
    assert 100 == Db(measure, 100, REPORTS, WEB).takes("web")


@pytest.mark.parametrize("measure", MEASURES)
def test_a_small_limit_is_not_kept_for_nobody(measure: Measure) -> None:
    """A fifth of 4 is no whole unit, so nothing is left; of 5 it is one. A limit of 1 admits 1 of whoever asks."""
    assert [1, 4, 4] == [Db(measure, level, CHECKOUT, REPORTS).takes("reports") for level in (1, 4, 5)]


def test_room_is_left_of_every_keys_limit() -> None:
    """20 a key, 40 for the one that is scaled: reports leave 4 and 8."""
    db = Db("rate", 20, CHECKOUT, REPORTS, keys_max=10, scale_ppm=[("big", 2 * MICRO)])

    assert [16, 32] == [db.takes("reports", key="small"), db.takes("reports", key="big")]
    assert [4, 8] == [db.takes("checkout", key="small"), db.takes("checkout", key="big")]


def test_a_workload_that_no_name_fits_shares_as_the_one_that_takes_the_rest() -> None:
    db = Db("concurrency", 10, CHECKOUT, ShareSpec("other", "background"))
    db.limiters["mails"] = db.limiter("mails", "other")

    assert 8 == db.takes("mails")


def test_the_refusal_says_who_goes_first_and_when_there_is_room() -> None:
    """80 of 100 a second are spent: for one more of the background one has to come in, after 10 ms."""
    db = Db("rate", 100, CHECKOUT, REPORTS)
    db.takes("reports")
    refusal = db.limiters["reports"].try_acquire()

    assert not refusal
    said = "db is full for reports: 80 of 100 requests a second. checkout goes first. Try again in about 10 ms."
    assert ("full", f"{said} [{refusal.ref}]") == (refusal.why, str(refusal))
    assert refusal.retry_at_ns == db.clock.boot_ns() + 10_000_000
    db.clock.advance(9_999_999)
    assert not db.limiters["reports"].try_acquire()
    db.clock.advance(1)
    assert db.limiters["reports"].try_acquire()


def test_a_limit_that_is_really_full_is_said_to_be_full_to_everybody() -> None:
    db = Db("concurrency", 10, CHECKOUT, REPORTS)
    db.takes("checkout")
    refusal = db.limiters["reports"].try_acquire()

    assert str(refusal) == f"db is full: 10 of 10 requests, 0 of them yours (reports). [{refusal.ref}]"


def test_a_demand_above_what_is_ever_left_never_fits() -> None:
    """81 at once of a limit of 100 of which 20 stay for checkout; 80 fit."""
    db = Db("rate", 100, CHECKOUT, REPORTS)

    refusal = db.limiters["reports"].try_acquire(81)
    assert ("never_fits", NEVER) == (refusal.why, refusal.retry_at_ns)
    assert db.limiters["reports"].try_acquire(80)
    assert db.limiters["checkout"].try_acquire(20)


def test_a_probe_and_the_headers_know_of_the_room() -> None:
    db = Db("concurrency", 10, CHECKOUT, REPORTS)
    db.takes("reports", 8)

    assert not db.limiters["reports"].probe()
    assert db.limiters["checkout"].probe()
    told = [db.limiters[name].rate_limit_fields(tell="full") for name in ("reports", "checkout")]
    assert [True, True] == [
        fields is not None and f"r={left}" in fields[1] for fields, left in zip(told, (0, 2), strict=True)
    ]


# --- guarantees -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", MEASURES)
def test_others_leave_what_of_a_guarantee_is_unused(measure: Measure) -> None:
    """40 of 100 are checkout's whenever it comes: the web gets 60, then checkout 40."""
    db = Db(measure, 100, ShareSpec("checkout", guarantee_ppm=400_000), WEB)

    assert [60, 40] == [db.takes("web"), db.takes("checkout")]


@pytest.mark.parametrize("measure", MEASURES)
def test_what_of_a_guarantee_is_used_is_not_left_twice(measure: Measure) -> None:
    """Checkout has 30 of its 40: the web leaves 10 and takes 60. Above its 40 checkout leaves nothing of its own."""
    db = Db(measure, 100, ShareSpec("checkout", guarantee_ppm=400_000), WEB)

    assert [30, 60, 10] == [db.takes("checkout", 30), db.takes("web"), db.takes("checkout")]
    alone = Db(measure, 100, ShareSpec("checkout", guarantee_ppm=400_000), WEB)
    assert [100, 0] == [alone.takes("checkout"), alone.takes("web")]


@pytest.mark.parametrize("measure", MEASURES)
def test_a_guarantee_in_units_is_never_more_than_the_limit(measure: Measure) -> None:
    assert [70, 30] == [
        (db := Db(measure, 100, ShareSpec("checkout", guarantee_micro=30 * MICRO), WEB)).takes("web"),
        db.takes("checkout"),
    ]
    assert 0 == Db(measure, 20, ShareSpec("checkout", guarantee_micro=30 * MICRO), WEB).takes("web")


@pytest.mark.parametrize("measure", MEASURES)
def test_a_guarantee_below_one_unit_keeps_nothing_back(measure: Measure) -> None:
    """40 % of a limit of 2 or 1 is no whole unit; of 3 it is one."""
    checkout = ShareSpec("checkout", guarantee_ppm=400_000)
    assert [1, 2, 2] == [Db(measure, level, checkout, WEB).takes("web") for level in (1, 2, 3)]


@pytest.mark.parametrize("measure", MEASURES)
def test_a_higher_priority_never_eats_a_guarantee(measure: Measure) -> None:
    """Reports are background with 10 sure ones: critical checkout takes 90. Within its 10 background leaves no room."""
    db = Db(measure, 100, CHECKOUT, ShareSpec("reports", "background", guarantee_ppm=100_000))

    assert [90, 10, 0] == [db.takes("checkout"), db.takes("reports"), db.takes("checkout")]


@pytest.mark.parametrize("measure", MEASURES)
def test_the_room_for_who_goes_first_holds_their_guarantees(measure: Measure) -> None:
    """Checkout is critical and has 10 sure ones: of 100 reports leave 20 in all, not 30; with 40 sure ones 40."""
    for sure, left in ((10, 20), (40, 40)):
        db = Db(measure, 100, ShareSpec("checkout", "critical", guarantee_micro=sure * MICRO), REPORTS)
        assert [100 - left, left] == [db.takes("reports"), db.takes("checkout")]


def test_an_unused_guarantee_of_a_rate_comes_back_with_its_part_of_the_limit() -> None:
    """Checkout spends its 40; in 250 ms 25 come in, 10 of them its own. What it took above its guarantee is no debt."""
    db = Db("rate", 100, ShareSpec("checkout", guarantee_ppm=400_000), WEB)
    assert 100 == db.takes("checkout")
    db.clock.advance(SECOND // 4)

    assert [15, 10] == [db.takes("web"), db.takes("checkout")]


def test_slots_that_come_back_are_the_guarantees_again() -> None:
    """The web fills its 60, checkout its 40; ten of checkout's come back, and none of them is the web's."""
    db = Db("concurrency", 100, ShareSpec("checkout", guarantee_ppm=400_000), WEB)
    assert [60, 40] == [db.takes("web"), db.takes("checkout")]
    for permit in db.held[-10:]:
        permit.release()

    assert [0, 10] == [db.takes("web"), db.takes("checkout")]


def test_a_window_opens_with_the_whole_guarantee() -> None:
    db = Db("quota", 100, ShareSpec("checkout", guarantee_ppm=400_000), WEB)
    assert [60, 40] == [db.takes("web"), db.takes("checkout")]
    db.clock.advance(MINUTE)

    assert [60, 40] == [db.takes("web"), db.takes("checkout")]


def test_a_cut_cuts_the_guarantee_with_the_limit() -> None:
    db = Db("concurrency", 100, ShareSpec("checkout", guarantee_ppm=400_000), WEB)
    db.publish(50, 2)
    assert [30, 20] == [db.takes("web"), db.takes("checkout")]


def test_a_demand_that_waits_for_a_guarantee_is_told_when_its_part_has_come_in() -> None:
    """60 spent, 40 kept: of 100 a second 60 are anybody's, so the next one comes after 16.67 ms, not after 10."""
    db = Db("rate", 100, ShareSpec("checkout", guarantee_ppm=400_000), WEB)
    db.takes("checkout")
    refusal = db.limiters["web"].try_acquire()
    wait_ns = refusal.retry_at_ns - db.clock.boot_ns()

    assert 1_667 == round(wait_ns / 10_000)
    db.clock.advance(wait_ns - 1)
    assert not db.limiters["web"].try_acquire()
    db.clock.advance(1)
    assert db.limiters["web"].try_acquire()


def test_a_limit_that_is_all_guaranteed_is_not_said_to_fit_never() -> None:
    """The web gets what checkout uses of its own accord only: when, nobody knows."""
    db = Db("rate", 100, ShareSpec("checkout", guarantee_ppm=1_000_000), WEB)
    refusal = db.limiters["web"].try_acquire()

    assert ("full", UNKNOWN) == (refusal.why, refusal.retry_at_ns)


def test_what_is_settled_below_its_estimate_is_guaranteed_again() -> None:
    """40 are reserved and 10 used: 30 come back to the limit, and the web may not have them."""
    db = Db("rate", 100, ShareSpec("checkout", guarantee_ppm=400_000), WEB)
    permit = db.limiters["checkout"].reserve(40)
    assert permit
    permit.settle(10)

    assert [60, 30] == [db.takes("web"), db.takes("checkout")]


def test_another_contract_that_spends_this_one_leaves_the_guarantees() -> None:
    db = Db("concurrency", 100, ShareSpec("checkout", guarantee_ppm=400_000), WEB)
    db.limiters["spender"] = db.meters.limiter(PathSpec("shop", "checkout", [("db", MICRO, False)]))

    assert [60, 40] == [db.takes("spender"), db.takes("checkout")]


# --- ceilings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", MEASURES)
def test_a_ceiling_is_a_limit_of_the_workloads_own(measure: Measure) -> None:
    db = Db(measure, 100, ShareSpec("reports", ceiling_ppm=250_000), WEB)

    assert [25, 75] == [db.takes("reports"), db.takes("web")]


@pytest.mark.parametrize("measure", MEASURES)
def test_a_refusal_under_the_ceiling_by_the_limit_gives_the_ceilings_share_back(measure: Measure) -> None:
    """The web has filled the limit; what reports are refused costs them nothing of their ceiling of 25."""
    db = Db(measure, 100, ShareSpec("reports", ceiling_micro=25 * MICRO), WEB)
    db.takes("web", 90)
    assert 10 == db.takes("reports")
    db.publish(200, 2)
    if measure == "rate":
        db.clock.advance(SECOND)

    assert {"rate": 25, "concurrency": 15, "quota": 15}[measure] == db.takes("reports")


def test_the_refusal_names_the_ceiling_and_not_the_limit() -> None:
    db = Db("concurrency", 100, ShareSpec("reports", ceiling_ppm=250_000), WEB)
    db.takes("reports")
    refusal = db.limiters["reports"].try_acquire()

    assert "db@reports" == refusal.meter
    assert str(refusal) == f"reports has all it may have of db: 25 of 25 requests. [{refusal.ref}]"


# --- stops and starts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ["rate", "quota"])
def test_a_clean_stop_keeps_what_was_used_of_a_guarantee_and_a_ceiling(measure: Measure) -> None:
    """Checkout used 30 of its 40 and reports 5 of their 25: after a start 10 are still checkout's, 20 may reports have."""
    shares = (ShareSpec("checkout", guarantee_ppm=400_000), ShareSpec("reports", ceiling_ppm=250_000), WEB)
    before = Db(measure, 100, *shares)
    assert [30, 5] == [before.takes("checkout", 30), before.takes("reports", 5)]
    before.meters.close()
    saved = before.meters.save()

    after = Db.__new__(Db)
    after.clock, after.measure, after.keyed = Clock.manual(100 * SECOND), measure, False
    after.meters = Meters(after.clock)
    per_ns = SECOND if measure == "rate" else 0
    after.meters.declare([MeterSpec("db", measure, ceiling_micro=1_000 * MICRO, per_ns=per_ns, shares=shares)])
    after.meters.restore(saved)
    after.publish(100)
    after.limiters = {share.workload: after.limiter(share.workload) for share in shares}

    assert [20, 35, 10] == [after.takes("reports"), after.takes("web"), after.takes("checkout")]


def test_a_crash_keeps_a_quotas_ceiling_by_its_durable_count() -> None:
    """A row says that reports drew 20 of this window's 25."""
    meters = Meters(Clock.manual(100 * SECOND))
    share = ShareSpec("reports", ceiling_ppm=250_000)
    meters.declare([MeterSpec("db", "quota", ceiling_micro=100 * MICRO, durable=True, shares=[share])])
    meters.restore_drawn([("db", "", UTC, 50 * MICRO), ("db@reports", "", UTC, 20 * MICRO)])
    meters.publish([("db", quota_curve(100))], UTC)
    limiter = meters.limiter(PathSpec("db", "reports", [("db", MICRO, False)]))

    assert "db@reports" == limiter.try_acquire(6).meter
    with pytest.raises(KeyError):
        meters.restore_drawn([("db@web", "", UTC, MICRO)])


# --- what means nothing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ([ShareSpec("a", guarantee_ppm=600_000), ShareSpec("b", guarantee_ppm=500_000)], "more than all of it"),
        ([ShareSpec("a"), ShareSpec("a")], "twice"),
        ([ShareSpec("a", ceiling_ppm=1_000_001)], "at most all"),
        ([ShareSpec(f"w{number}", guarantee_micro=1) for number in range(65)], "at most"),
    ],
)
def test_shares_that_mean_nothing_are_errors(shares: list[ShareSpec], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MeterSpec("db", "concurrency", ceiling_micro=MICRO, shares=shares)


def test_a_part_is_a_share_or_an_amount_and_a_priority_one_of_three() -> None:
    with pytest.raises(ValueError, match="not both"):
        ShareSpec("a", guarantee_ppm=1, guarantee_micro=1)
    with pytest.raises(ValueError, match="no priority"):
        ShareSpec("a", "urgent")  # type: ignore[arg-type]
