"""Weights: contended workloads divide by exact max-min of what they ask for; nothing is kept from who asks alone."""

from __future__ import annotations

import pytest

from benches.weights import SETTINGS, faults, played
from headway._core import Clock, Measure, Meters, MeterSpec, PathSpec, Permit, ShareSpec
from tests.core.making import MICRO, SECOND, UTC, rate_curve, slots_curve

MS = 1_000_000
BOTH: tuple[Measure, ...] = ("rate", "concurrency")


class Db:
    """A contract `db` whose workloads ask a number of times in each millisecond, one after the other."""

    def __init__(self, measure: Measure, level: int, *shares: ShareSpec) -> None:
        self.clock = Clock.manual(100 * SECOND)
        self.meters = Meters(self.clock)
        per_ns = SECOND if measure == "rate" else 0
        given = MeterSpec("db", measure, ceiling_micro=level * MICRO, per_ns=per_ns, unit="request", shares=shares)
        self.meters.declare([given])
        curve = rate_curve(level) if measure == "rate" else slots_curve(level)
        self.meters.publish([("db", curve)], UTC)
        self.limiters = {
            name: self.meters.limiter(PathSpec("db", name, [("db", MICRO, False)]))
            for name in [share.workload for share in shares]
        }
        self.measure, self.held = measure, dict.fromkeys(self.limiters, 0)
        self.ends: list[tuple[int, str, Permit]] = []

    def asks(self, span_ms: int, **times: int) -> dict[str, int]:
        """How many demands of each were admitted; slots are held for 20 ms."""
        had = dict.fromkeys(times, 0)
        for _ in range(span_ms):
            now_ns = self.clock.boot_ns()
            while self.ends and self.ends[0][0] <= now_ns:
                _, name, permit = self.ends.pop(0)
                permit.release()
                self.held[name] -= 1
            for name, count in times.items():
                for _ in range(count):
                    answer = self.limiters[name].try_acquire()
                    if isinstance(answer, Permit):
                        had[name] += 1
                        if self.measure == "concurrency":
                            self.held[name] += 1
                            self.ends.append((now_ns + 20 * MS, name, answer))
            self.clock.advance(MS)
        return had


def weighed(**weights: int | None) -> tuple[ShareSpec, ...]:
    """Workloads by their weights."""
    return tuple(ShareSpec(name, weight=weight) for name, weight in weights.items())


@pytest.mark.parametrize("loud", ["web", "reports"])
def test_a_contended_rate_is_divided_by_weight_whoever_asks_more(loud: str) -> None:
    """1,000 a second, 3 to 1: 750 and 250, though one of the two asks four times as often."""
    db = Db("rate", 1_000, *weighed(web=3, reports=1))
    times = {"web": 2, "reports": 2} | {loud: 8}
    db.asks(2_000, **times)

    assert {"web": pytest.approx(750, abs=3), "reports": pytest.approx(250, abs=3)} == db.asks(1_000, **times)


def test_contended_slots_are_divided_by_weight() -> None:
    """400 slots that are held for 20 ms, 3 to 1: 300 and 100 of them, within 2 % of the limit."""
    db = Db("concurrency", 400, *weighed(web=3, reports=1))
    db.asks(2_000, reports=80, web=40)

    assert {"web": pytest.approx(300, abs=8), "reports": pytest.approx(100, abs=8)} == db.held


@pytest.mark.parametrize("sure", ["checkout", "web"])
def test_slots_that_are_guaranteed_are_divided_by_nobody_and_kept_by_whom_they_are_for(sure: str) -> None:
    """Of 400, 160 stand idle for checkout, which does not ask: of the other 240 the web has 180 and reports have 60. Where
    the 160 are the web's own, it has its 300 of all.
    """
    shares = (*weighed(web=3, reports=1), ShareSpec("checkout"))
    shares = tuple(
        ShareSpec(one.workload, weight={"web": 3}.get(one.workload, 1), guarantee_ppm=400_000)
        if one.workload == sure
        else one
        for one in shares
    )
    db = Db("concurrency", 400, *shares)
    db.asks(2_000, reports=80, web=80)

    expected = {"web": 180, "reports": 60} if sure == "checkout" else {"web": 300, "reports": 100}
    assert {name: pytest.approx(slots, abs=8) for name, slots in expected.items()} == {
        name: db.held[name] for name in expected
    }


@pytest.mark.parametrize("measure", BOTH)
def test_who_wants_less_than_its_part_has_it_and_the_others_have_the_rest(measure: Measure) -> None:
    """Of 1,000 a second, or of 20 slots a millisecond, the quiet one asks for a tenth and is refused next to nothing."""
    db = Db(measure, 1_000, *weighed(quiet=1, loud=1, louder=1))
    times = {"louder": 40, "loud": 20, "quiet": 1} if measure == "rate" else {"louder": 200, "loud": 100, "quiet": 5}
    had = dict.fromkeys(times, 0)
    for number in range(4_000):
        # Of the rate one each ten milliseconds is a tenth.
        now = times | ({"quiet": 0} if measure == "rate" and number % 10 else {})
        for name, count in db.asks(1, **now).items():
            had[name] += count if number >= 3_000 else 0
    whole = sum(had.values())

    asked = 100 if measure == "rate" else 5_000
    assert had["quiet"] >= 0.99 * asked
    assert had["loud"] == pytest.approx(had["louder"], abs=0.02 * whole)
    assert whole >= 0.99 * (1_000 if measure == "rate" else 50_000)


@pytest.mark.parametrize("measure", BOTH)
def test_a_lone_asker_has_all_there_is(measure: Measure) -> None:
    """Its equals have declared weights a thousand times its own and ask for nothing."""
    db = Db(measure, 100, *weighed(web=1_000, reports=1))
    db.asks(1_000, reports=20)
    had = db.asks(1_000, reports=20)

    assert {"reports": 100 if measure == "rate" else 5_000} == had


@pytest.mark.parametrize("measure", BOTH)
def test_what_one_leaves_the_other_has_within_two_divisions(measure: Measure) -> None:
    """The web asked for three quarters and stops: after a fifth of a second reports have at least 97 % of the limit."""
    db = Db(measure, 1_000, *weighed(web=3, reports=1))
    db.asks(3_000, web=200, reports=200)
    db.asks(200, reports=200)
    had = db.asks(1_000, reports=200)["reports"]

    assert had >= 0.97 * (1_000 if measure == "rate" else 50_000)


def test_where_nothing_is_contended_nothing_binds() -> None:
    """A burst of all there is goes to whoever asks for it, whatever its weight."""
    db = Db("rate", 1_000, *weighed(web=1_000, reports=1))
    db.asks(500, web=1)

    assert db.limiters["reports"].try_acquire(999)


@pytest.mark.parametrize("measure", BOTH)
def test_a_limit_of_one_is_admitted_to_whoever_asks_first(measure: Measure) -> None:
    """One unit cannot be divided, and it is never kept from who asks."""
    db = Db(measure, 1, *weighed(web=1_000, reports=1))
    db.asks(50, web=5, reports=5)
    for *_, permit in db.ends:
        permit.release()
    db.clock.advance(2 * SECOND)

    assert db.limiters["reports"].try_acquire()


@pytest.mark.parametrize("measure", BOTH)
def test_who_goes_first_is_not_divided_with_who_comes_after(measure: Measure) -> None:
    """Checkout is critical and weighs 1, reports are background and weigh 1,000: checkout has all that it asks for."""
    shares = (ShareSpec("checkout", "critical", weight=1), ShareSpec("reports", "background", weight=1_000))
    db = Db(measure, 1_000, *shares)
    times = {"reports": 200, "checkout": 25}
    if measure == "rate":
        times = {"reports": 3, "checkout": 1}
        db.limiters["checkout"].try_acquire(200)
    db.asks(2_000, **times)
    had = db.asks(1_000, **times)

    assert had["checkout"] >= 0.995 * 1_000 * times["checkout"]


def test_a_refusal_for_its_part_says_so_and_when_to_ask_again() -> None:
    """`full` as ever; the sentence says whose part is how much. The instant it names is one at which it fits."""
    db = Db("rate", 1_000, *weighed(web=3, reports=1))
    db.asks(3_000, web=2, reports=2)
    answer = db.limiters["reports"].try_acquire()
    while isinstance(answer, Permit) or "part" not in str(answer):
        db.asks(1, web=1)
        answer = db.limiters["reports"].try_acquire()
    wait_ns = answer.retry_at_ns - db.clock.boot_ns()

    assert "full" == answer.why
    assert "db is full for reports: " in str(answer)
    assert " Its part is 250 of 1,000 requests a second for now: weight 1 of 4. Try again in about " in str(answer)
    assert 0 < wait_ns <= 8 * MS
    db.clock.advance(wait_ns)
    assert db.limiters["reports"].try_acquire()


def test_a_refusal_by_the_limit_speaks_of_no_part() -> None:
    db = Db("concurrency", 10, *weighed(web=1, reports=1))
    db.asks(1, web=10)

    assert "part" not in str(db.limiters["reports"].try_acquire())


def test_weights_that_mean_nothing_are_errors() -> None:
    with pytest.raises(ValueError, match="a weight is 1 or more"):
        ShareSpec("web", weight=0)
    with pytest.raises(OverflowError):
        ShareSpec("web", weight=-1)
    with pytest.raises(ValueError, match="weights need a meter without keys"):
        MeterSpec("db", "rate", per_ns=SECOND, ceiling_micro=MICRO, keys_max=4, shares=weighed(web=1))


@pytest.mark.parametrize("name", [name for name in SETTINGS if name.startswith("rate")])
def test_random_arrivals_are_shared_within_two_percent_of_the_ideal(name: str) -> None:
    """Each second from the third on after each change; at least 99 % of the limit is used."""
    assert [] == faults(SETTINGS[name], played(SETTINGS[name], 7))


def test_random_holders_of_slots_are_shared_within_two_percent_of_the_ideal() -> None:
    setting = SETTINGS["concurrency, a quiet one beside two loud ones"]
    assert [] == faults(setting, played(setting, 7))


def test_without_weights_the_same_arrivals_are_served_as_they_come() -> None:
    """Else the tests above would show nothing."""
    setting = SETTINGS["rate, twice the limit, 1 to 3"]
    assert [] != faults(setting, played(setting, 7, weighed=False))
