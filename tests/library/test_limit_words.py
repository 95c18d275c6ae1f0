"""`headway.limit` in words: what they mean, and what is said to those who mistype."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway
from headway import _core
from headway.enforce.limit import AMOUNT_MAX, PERIOD_MAX_S, Limit, NotALimit, limiter_of, read

SECOND_NS = 1_000_000_000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("100/minute", Limit("rate", 100, 60)),
        ("5/s", Limit("rate", 5, 1)),
        ("20/10s", Limit("rate", 20, 10)),
        ("1000/day", Limit("rate", 1000, 86_400)),
        ("1.5k / 10 Seconds", Limit("rate", 1500, 10)),
        ("2M/h", Limit("rate", 2_000_000, 3600)),
        ("1/31d", Limit("rate", 1, PERIOD_MAX_S)),
        ("10 concurrent", Limit("concurrency", 10, 0)),
        ("  10concurrent ", Limit("concurrency", 10, 0)),
        ("1000000000/s", Limit("rate", AMOUNT_MAX, 1)),
    ],
)
def test_words_mean_what_people_mean_by_them(words: str, said: Limit) -> None:
    """Amount, period and measure, in the spellings that people bring from elsewhere."""
    assert said == read(words)


@pytest.mark.parametrize(
    ("words", "because"),
    [
        ("", "not an amount"),
        ("100", "not an amount"),
        ("100 per minute", "not an amount"),
        ("-5/s", "not an amount"),
        ("10,000/s", "not an amount"),
        ("1e400/s", "not an amount"),
        ("nan/s", "not an amount"),
        ("500m/s", "not an amount"),
        ("٣/s", "not an amount"),
        ("5/s\n7/s", "not an amount"),
        ("5/s" + " " * 1_000_000, "not an amount"),
        ("0/s", "an amount is 1"),
        ("1000000001/s", "an amount is 1"),
        ("999999999999M/s", "an amount is 1"),
        ("0.5/s", "whole units"),
        ("1.0005k/s", "whole units"),
        ("5/month", "no unit of time"),
        ("5/fortnight", "no unit of time"),
        ("5/0s", "1 second to 31 days"),
        ("5/32d", "1 second to 31 days"),
        ("0 concurrent", "an amount is 1"),
        ("10000001 concurrent", "1 to 10,000,000"),
    ],
)
def test_what_is_no_limit_is_said_with_its_mend(words: str, because: str) -> None:
    """Every mistake is HW530, says what is wrong with these words, and shows right ones; long words are cut short."""
    with pytest.raises(NotALimit) as caught:
        read(words)

    assert "HW530" == caught.value.code
    assert because in caught.value.because
    assert '"100/minute"' in caught.value.mend
    assert len(caught.value.problem) < 80


def test_a_mistake_survives_pickling() -> None:
    """Errors cross processes with all their fields."""
    with pytest.raises(NotALimit) as caught:
        headway.limit("many/s")

    copy = pickle.loads(pickle.dumps(caught.value))

    assert (NotALimit, "HW530", caught.value.mend) == (type(copy), copy.code, copy.mend)


@given(st.text(max_size=200))
def test_any_text_is_a_limit_or_a_coded_error(words: str) -> None:
    """Nothing but NotALimit is ever raised, whatever is typed."""
    try:
        said = read(words)
    except NotALimit:
        return
    assert 1 <= said.amount <= AMOUNT_MAX


@given(st.integers(1, 10_000), st.integers(1, 600))
def test_a_limit_admits_one_burst_and_then_its_pace(amount: int, per_s: int) -> None:
    """`amount/per` lets `amount` through at once, refuses the next, and lets one more through a pace later."""
    clock = _core.Clock.manual()
    limiter = limiter_of(read(f"{amount}/{per_s}s"), _core.Meters(clock), name="api")

    admitted = sum(bool(limiter.try_acquire()) for _ in range(amount + 1))
    refusal = limiter.try_acquire()
    assert isinstance(refusal, headway.Refusal)
    assert isinstance(refusal.retry_at_ns, int)
    clock.advance(refusal.retry_at_ns - clock.boot_ns())

    assert amount == admitted
    assert limiter.try_acquire()
    assert not limiter.try_acquire()
    assert refusal.retry_at_ns <= -(-per_s * SECOND_NS // amount)


@pytest.mark.parametrize("words", ["1/s", "1000M/s", "1/31d", "1000M/31d", "1 concurrent", "10M concurrent"])
@pytest.mark.parametrize("keys", [None, 1, 100_000_000])
def test_every_limit_that_can_be_said_can_be_had(words: str, keys: int | None) -> None:
    """The ends of each range are limits that decide, with and without keys."""
    assert headway.limit(words, keys=keys).try_acquire(1, None if keys is None else "ana")


def test_a_concurrency_in_words_holds_slots() -> None:
    """Of three that ask for `2 concurrent`, the third waits for one of the first two to leave."""
    limiter = headway.limit("2 concurrent")
    first, second = limiter.try_acquire(), limiter.try_acquire()
    assert isinstance(first, headway.Permit)
    assert second

    third = limiter.try_acquire()
    first.release()

    assert not third
    assert limiter.try_acquire()


def test_keys_each_have_the_limit_and_are_bounded() -> None:
    """With `keys=2` each of two keys has a limit of its own; a third live one is refused as `too_many_keys`."""
    limiter = headway.limit("1/31d", keys=2)

    answers = [limiter.try_acquire(1, key) for key in ("ana", "ben", "ana", "cleo")]

    assert [True, True, False, False] == [bool(answer) for answer in answers]
    last = answers[-1]
    assert isinstance(last, headway.Refusal)
    assert "too_many_keys" == last.why


@pytest.mark.parametrize("keys", [0, -1, 100_000_001])
def test_keys_outside_their_bounds_are_refused(keys: int) -> None:
    """A bound on keys is 1 to 100 million."""
    with pytest.raises(ValueError, match="keys must be"):
        headway.limit("5/s", keys=keys)


@pytest.mark.parametrize("wait", [-0.1, float("nan"), float("inf"), 86_401])
def test_a_wait_outside_its_bounds_is_refused(wait: float) -> None:
    """A wait is 0 to a day; NaN is no wait."""
    with pytest.raises(ValueError, match="wait must be"):
        headway.limit("5/s", wait=wait)


def test_the_words_name_the_limit_in_its_refusals() -> None:
    """Without a name the words stand in the sentence; with one, the name."""
    unnamed, named = headway.limit("1/31d"), headway.limit("1/31d", name="mails")

    for limiter in (unnamed, named):
        limiter.try_acquire()

    assert "1/31d" in str(unnamed.try_acquire())
    assert str(named.try_acquire()).startswith("mails is full")
