"""`headway.testing`: real contracts over a clock that only the test moves."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

import headway
import headway.testing
from headway.contract.faults import Unreadable

MAILS = """
contract: mails
owner: team-mail
constraint: {measure: rate, unit: mail, per: 1m}
workloads: {newsletter: {}, other: {}}
ramp:
  - {stage: launch, limit: 5}
  - {stage: spring, limit: 50, when: {not_before: 2027-03-01T09:00 Europe/Berlin}}
"""

POOL = """
contract: pool
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp: [{stage: now, limit: 13}]
"""

DAILY = """
contract: daily
owner: team-web
constraint: {measure: quota, unit: export, per: day}
workloads: {other: {}}
each: {key: tenant, count: 10}
ramp: [{stage: now, limit: 3}]
"""

DAY_S = 86_400


def test_a_burst_is_spent_and_comes_back_as_time_is_moved() -> None:
    """Five mails a minute: five pass, the sixth does not; 12 seconds later one does, and a minute later five do."""
    with headway.testing.open(MAILS) as hw:
        mails = hw.limiter("mails")

        assert 5 == hw.fill(mails)
        assert not mails.try_acquire()
        hw.advance(12)
        assert 1 == hw.fill(mails)
        hw.advance(60)
        assert 5 == hw.fill(mails)


def test_a_stage_is_entered_when_its_instant_comes() -> None:
    """One millisecond before nine in Berlin on 1 March the limit is 5, then it is 50."""
    eve = datetime(2027, 3, 1, 7, 59, 59, tzinfo=UTC)
    with headway.testing.open(MAILS, at=eve) as hw:
        hw.advance(0.999)
        assert "launch" == hw.explain("mails")["stage"]["name"]

        hw.advance(0.001)

        assert "spring" == hw.explain("mails")["stage"]["name"]
        hw.advance(60)
        assert 50 == hw.fill(hw.limiter("mails"))


def test_a_long_advance_halts_at_every_instant_that_matters() -> None:
    """Moved by an hour across the instant, the stage is entered at nine sharp and not when the hour is over."""
    nine = datetime(2027, 3, 1, 8, 0, 0, tzinfo=UTC)
    with headway.testing.open(MAILS, at=nine - timedelta(minutes=30)) as hw:
        hw.advance(3600)

        assert round(nine.timestamp() * 1000) == hw.explain("mails")["stage"]["entered_ms"]
        assert nine + timedelta(minutes=30) == hw.now


def test_slots_are_held_until_they_are_drained() -> None:
    """`fill` holds all 13 slots; after `drain` all are free again."""
    with headway.testing.open(POOL) as hw:
        pool = hw.limiter("pool")

        assert 13 == hw.fill(pool)
        assert 0 == hw.fill(pool)
        hw.drain()
        assert 0 == pool.reading().dropped_unreleased
        assert 13 == hw.fill(pool)


def test_a_quota_is_drawn_and_opens_anew_at_midnight() -> None:
    """Three exports a day for each tenant: the durable draws are granted, and at midnight three more are there."""
    with headway.testing.open(DAILY, at=datetime(2027, 1, 1, 23, 0, tzinfo=UTC)) as hw:
        daily = hw.limiter("daily")

        assert (3, 3) == (hw.fill(daily, "ana"), hw.fill(daily, "ben"))
        hw.advance(3599)
        assert 0 == hw.fill(daily, "ana")
        hw.advance(1)
        assert 3 == hw.fill(daily, "ana")


def test_two_runs_are_the_same_to_the_nanosecond() -> None:
    """Nothing of the machine's time is in it: the same steps give the same refusals."""

    def run() -> list[object]:
        with headway.testing.open(MAILS) as hw:
            mails, said = hw.limiter("mails", "newsletter"), []
            for step in range(50):
                answer = mails.try_acquire()
                said.append(answer.retry_at_ns if isinstance(answer, headway.Refusal) else None)
                hw.advance(step % 7)
            return [*said, hw.now]

    assert run() == run()


def test_a_wait_ends_when_the_clock_is_moved() -> None:
    """A thread that waits for its turn is woken by `advance`, not by the machine's clock."""
    with headway.testing.open(MAILS) as hw:
        mails = hw.limiter("mails")
        hw.fill(mails)

        async def run() -> bool:
            task = asyncio.ensure_future(mails.acquire_async(timeout=30))
            await asyncio.sleep(0)
            hw.advance(12)
            return bool(await task)

        assert asyncio.run(run())


def test_a_contract_that_cannot_be_read_is_told_as_ever() -> None:
    """The faults of a text are those of a file, with line and mend."""
    with pytest.raises(Unreadable, match="HW"):
        headway.testing.open("contract: api\nowner: [")


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 366 * DAY_S + 1])
def test_a_clock_is_moved_within_bounds(seconds: float) -> None:
    """Backwards, not at all a number, or for more than a year: ValueError, and the clock stands where it stood."""
    with headway.testing.open(POOL) as hw:
        before = hw.now

        with pytest.raises(ValueError, match="seconds"):
            hw.advance(seconds)

        assert before == hw.now


@pytest.mark.parametrize("at", [datetime(2027, 1, 1), datetime(1969, 1, 1, tzinfo=UTC)])  # noqa: DTZ001
def test_an_instant_needs_a_zone(at: datetime) -> None:
    """A naive datetime means another instant on another machine: it is refused; so is one before 1970."""
    with pytest.raises(ValueError, match="zone"):
        headway.testing.open(POOL, at=at)


def test_what_is_only_observed_cannot_be_filled() -> None:
    """In `observe` everything is admitted: `fill` says so instead of going on for ever."""
    with headway.testing.open(POOL + "enforce: {mode: observe}\n") as hw, pytest.raises(ValueError, match="observe"):
        hw.fill(hw.limiter("pool"))


def test_after_the_end_everything_is_refused() -> None:
    """Closing twice is closing once; what was kept of it refuses as `closed`."""
    hw = headway.testing.open(MAILS)
    mails = hw.limiter("mails")
    hw.close()
    hw.close()

    answer = mails.try_acquire()

    assert isinstance(answer, headway.Refusal)
    assert "closed" == answer.why
