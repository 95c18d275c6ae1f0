"""What a ramp says it waits for, in words, condition by condition, and the dates it names."""

import pytest

from headway.contract.model import Calendar
from headway.ramp.conditions import Surroundings, spell_micro, spell_ms, spell_share
from headway.ramp.observations import Use
from headway.ramp.waits import Awaited, awaited
from tests.ramp.ramps import DAY, FIRST, HOUR, MINUTE, SECOND, T0, Ramp, contract, instant, second, upstream

NOTHING = Surroundings({})


def waits(ramp: Ramp, surroundings: Surroundings = NOTHING) -> tuple[Awaited, ...]:
    return awaited(ramp.contract, ramp.state, ramp.now_ms, surroundings, ramp.calendars)


def test_it_says_what_is_waited_for_in_the_order_in_which_it_is_heard_of() -> None:
    """First the date, then the soak, then people."""
    when = {"approval": "dba", "soak": {"for": "3d", "above": "60%"}, "not_before": "2026-12-01T09:00 America/New_York"}
    ramp = Ramp(contract(FIRST, second(**when))).at(MINUTE)

    words = "the date 2026-12-01T09:00 America/New_York, then 3d more with use above 60%, then approval by dba"
    assert [words] == [one.waits_for for one in waits(ramp)]


def test_a_refusal_can_say_what_would_raise_the_limit() -> None:
    """The curve carries the words: while waiting, climbing, held on the floor, at the end, and when it is over."""
    agreed = contract(FIRST, second(climb="1h", event="ready"), enforce={"floor": "10"})
    ramp = Ramp(agreed)

    def words() -> str:
        assert ramp.last.curve is not None
        return ramp.last.curve.raises_when

    assert "two, after event ready" == words()
    ramp.event(1)
    assert "it is climbing to two" == words()
    ramp.at(2 * HOUR)
    assert "nothing: the last stage is reached" == words()
    ramp = Ramp(agreed).call(1, "step_back")
    assert "user:ann to resume: because" == words()
    ramp = Ramp(agreed).call(1, "abort")
    assert "a new version: the ramp is aborted" == words()
    ramp = Ramp(agreed).call(1, "hold")
    assert "two, after event ready, then user:ann to resume: because" == words()


def test_the_earliest_instant_counts_dates_soaks_climbs_and_takes_the_rest_as_given() -> None:
    """Stage two: the date in 2 h beats a soak of 1 h. Its climb takes 1 h; three then soaks from its entry on."""
    three = {"stage": "three", "limit": "300", "when": {"soak": {"for": "30m", "above": "0%"}, "approval": "dba"}}
    four = {"stage": "four", "limit": "400", "when": {"soak": {"for": "5h", "above": "0%"}, "event": "ready"}}
    ramp = Ramp(
        contract(
            FIRST, second(climb="1h", soak={"for": "1h", "above": "0%"}, not_before=instant(2 * HOUR)), three, four
        )
    )

    found = waits(ramp.at(MINUTE))

    assert [T0 + 2 * HOUR, T0 + 3 * HOUR, T0 + 8 * HOUR] == [one.earliest_ms for one in found]
    assert [T0 + 3 * HOUR, T0 + 3 * HOUR, T0 + 8 * HOUR] == [one.arrives_ms for one in found]


def test_earned_soak_and_a_leave_to_skip_it_shorten_the_wait() -> None:
    ramp = Ramp(contract(FIRST, second(soak={"for": "10m", "above": "0%"}, event="ready")))

    ramp.soak(0, 4 * MINUTE, 0.5)
    assert T0 + 10 * MINUTE == waits(ramp)[0].earliest_ms
    ramp.call(5 * MINUTE, "advance")
    assert T0 + 5 * MINUTE == waits(ramp)[0].earliest_ms


@pytest.mark.parametrize(
    ("soak", "earned_ms", "words"),
    [
        ("10m", 12_345, "9m 48s"),
        ("10m", 13_000, "9m 47s"),
        ("10m", 599_999, "1s"),
        ("3d", 1, "3d"),
        ("1500ms", 250, "1s 500ms"),
        ("1500ms", 600, "1s"),
        ("250ms", 100, "250ms"),
    ],
)
def test_what_is_left_of_a_soak_is_said_in_whole_seconds_and_known_exactly(
    soak: str, earned_ms: int, words: str
) -> None:
    """Never less than what is left, so nobody reads 0 s while it waits; never more than all of it. The evidence is exact."""
    ramp = Ramp(contract(FIRST, second(soak={"for": soak, "above": "60%"})))
    ramp.at(earned_ms, Use(T0 + earned_ms, T0, 900_000))

    (condition,) = waits(ramp)[0].conditions

    assert f"{words} more with use above 60%" == condition.waits_for
    assert earned_ms == condition.evidence["earned_ms"]


def test_a_calendar_moves_the_earliest_instant_of_a_raise() -> None:
    """T0 is a Thursday, 20:26 UTC; raises on Fridays from nine."""
    hours = {"work": Calendar.model_validate({"calendar": "work", "open": ["Fri 09:00-17:00"]})}
    ramp = Ramp(contract(FIRST, second(not_before=instant(HOUR)), raise_in="work"), calendars=hours).at(MINUTE)

    assert T0 + 12 * HOUR + 33 * MINUTE + 20 * SECOND == waits(ramp)[0].earliest_ms


def test_a_metric_has_no_earliest_instant_in_this_version_and_nothing_after_it_has() -> None:
    three = {"stage": "three", "limit": "300", "when": {"event": "ready"}}
    ramp = Ramp(contract(FIRST, second(metric={"query": "lag", "below": "1"}), three)).at(1)

    assert [None, None] == [one.earliest_ms for one in waits(ramp)]


def test_expected_is_unknown_where_it_waits_for_somebody_without_a_hint() -> None:
    for when, expected in (
        ({"event": "ready"}, None),
        ({"approval": "dba"}, None),
        ({"event": {"type": "ready", "expect": "2h"}}, T0 + 2 * HOUR + MINUTE),
        ({"event": {"type": "ready", "expect": instant(DAY)}}, T0 + DAY),
        ({"approval": {"by": "dba", "expect": "1d"}, "not_before": instant(HOUR)}, T0 + HOUR + DAY),
        ({"requires": {"cluster": "big"}}, None),
        ({"not_before": instant(HOUR)}, T0 + HOUR),
    ):
        ramp = Ramp(contract(FIRST, second(**when))).at(MINUTE)

        assert expected == waits(ramp)[0].expected_ms, when


def test_what_came_already_is_not_waited_for() -> None:
    """The event came, the approval was given, the upstream stands: only the date is left."""
    when = {"event": "ready", "approval": "dba", "requires": {"cluster": "big"}, "not_before": instant(HOUR)}
    ramp = Ramp(contract(FIRST, second(**when))).event(1).approve(2).at(3)

    found = waits(ramp, Surroundings({"cluster": upstream()}))[0]

    assert T0 + HOUR == found.expected_ms
    assert f"the date {instant(HOUR)}" == found.waits_for
    assert {"event": T0 + 1, "approval": T0 + 2} == {
        one.kind: one.since_ms for one in found.conditions if one.kind in ("event", "approval")
    }


def test_the_earliest_alternative_counts() -> None:
    """Either a date in a day, or the event and a soak of an hour."""
    either = [{"not_before": instant(DAY)}, {"event": "ready", "soak": {"for": "1h", "above": "0%"}}]
    ramp = Ramp(contract(FIRST, second(any=either))).at(MINUTE)

    found = waits(ramp)[0]

    assert (T0 + HOUR + MINUTE, T0 + DAY) == (found.earliest_ms, found.expected_ms)
    assert f"either the date {instant(DAY)}, or 1h more with use above 0% and event ready" == found.waits_for


def test_what_stands_in_the_way_of_every_entry_is_said_too() -> None:
    """Held, pressed, the clock, an upstream without room."""
    ramp = Ramp(contract(FIRST, second(event="ready"))).call(1, "hold")
    found = waits(ramp, Surroundings({}, "it jumped", "upstream cluster is full: it carries 100"))[0]

    assert ["held", "clock", "room", "event"] == [one.kind for one in found.conditions]
    assert found.expected_ms is None


def test_a_stopped_climb_needs_the_time_it_had_left() -> None:
    three = {"stage": "three", "limit": "300", "when": {"not_before": instant(HOUR)}}
    ramp = Ramp(contract(FIRST, second(climb="2h", not_before=instant(HOUR)), three)).at(HOUR).call(2 * HOUR, "hold")

    assert T0 + 10 * HOUR + HOUR == waits(ramp.at(10 * HOUR))[0].earliest_ms


def test_nothing_is_awaited_at_the_end_or_when_it_is_over() -> None:
    assert () == waits(Ramp(contract(FIRST)))
    assert () == waits(Ramp(contract(FIRST, second(event="ready"))).call(1, "abort"))


def test_spans_shares_and_levels_are_spelled_as_people_write_them() -> None:
    assert ["2d 4h", "1m 30s", "250ms", "1h", "0s"] == [spell_ms(ms) for ms in (187_200_000, 90_000, 250, HOUR, 0)]
    assert ["60%", "0.5%", "100%"] == [spell_share(ppm) for ppm in (600_000, 5_000, 1_000_000)]
    assert ["120", "1687.5", "0.000001"] == [spell_micro(micro) for micro in (120_000_000, 1_687_500_000, 1)]
