"""Each trigger: when it passes, when it does not, and that nothing else makes it pass."""

from headway.contract.model import Calendar
from headway.ramp.conditions import NOTHING_KNOWN, conditions_of
from headway.ramp.observations import Use
from tests.ramp.ramps import DAY, FIRST, HOUR, MINUTE, SECOND, T0, Ramp, contract, instant, second, upstream


def test_a_stage_is_entered_at_its_date_and_not_a_millisecond_before() -> None:
    """The date is one hour ahead: at 59:59.999 nothing, at 1:00:00 the step from 100 to 200."""
    ramp = Ramp(contract(FIRST, second(not_before=instant(HOUR))))

    assert "one" == ramp.at(HOUR - 1).stage
    assert T0 + HOUR == ramp.last.wake_at_ms
    assert "two" == ramp.at(HOUR).stage
    assert 200 == ramp.level()


def test_several_dates_are_all_waited_for() -> None:
    """A list is all of it: the later of two dates counts."""
    ramp = Ramp(contract(FIRST, second(not_before=[instant(HOUR), instant(2 * HOUR)])))

    assert "one" == ramp.at(HOUR).stage
    assert "two" == ramp.at(2 * HOUR).stage


def test_soak_counts_time_strictly_above_its_share() -> None:
    """At exactly 60 % nothing is earned; a hair above, every minute is."""
    ramp = Ramp(contract(FIRST, second(soak={"for": "10m", "above": "60%"})))

    assert "one" == ramp.soak(0, 20 * MINUTE, 0.60).stage
    assert "one" == ramp.soak(20 * MINUTE, 29 * MINUTE, 0.600001).stage
    assert "two" == ramp.soak(29 * MINUTE, 30 * MINUTE, 0.600001).stage


def test_less_use_pauses_a_soak_and_does_not_restart_it() -> None:
    """Five minutes under load, an hour without, five more under load: ten."""
    ramp = Ramp(contract(FIRST, second(soak={"for": "10m", "above": "60%"})))

    ramp.soak(0, 5 * MINUTE, 0.9).soak(5 * MINUTE, HOUR, 0.1)
    assert "one" == ramp.soak(HOUR, HOUR + 4 * MINUTE, 0.9).stage
    assert "two" == ramp.soak(HOUR + 4 * MINUTE, HOUR + 5 * MINUTE, 0.9).stage


def test_a_gap_without_readings_earns_nothing() -> None:
    """The engine slept an hour between two readings: only what was read counts, and a reading without a value is none."""
    ramp = Ramp(contract(FIRST, second(soak={"for": "10m", "above": "60%"})))

    ramp.soak(0, 5 * MINUTE, 0.9).soak(HOUR, HOUR + MINUTE, 0.9)
    ramp.at(2 * HOUR, Use(T0 + 2 * HOUR, T0 + HOUR + MINUTE, None))
    assert "one" == ramp.stage
    assert 6 * MINUTE == sum(ramp.state.soaked_ms) + sum(ramp.state.pending_ms)


def test_one_span_of_use_is_not_counted_twice() -> None:
    """The same five minutes, told three times, are five minutes, also after a restart."""
    ramp = Ramp(contract(FIRST, second(soak={"for": "10m", "above": "60%"})))
    five = Use(T0 + 5 * MINUTE, T0, 900_000)

    ramp.at(5 * MINUTE, five, five).restart().at(6 * MINUTE, five)

    assert 5 * MINUTE == sum(ramp.state.soaked_ms) + sum(ramp.state.pending_ms)


def test_a_crash_loses_at_most_a_twentieth_of_a_soak() -> None:
    """Of 100 minutes, a grain is 5; 14 minutes were earned, 10 of them written."""
    ramp = Ramp(contract(FIRST, second(soak={"for": "100m", "above": "60%"})))

    ramp.soak(0, 14 * MINUTE, 0.9).restart().at(14 * MINUTE)

    assert (10 * MINUTE,) == ramp.state.soaked_ms


def test_a_short_soak_is_written_at_most_once_a_second() -> None:
    """Two seconds of soak, read each 100 ms: a twentieth would be an entry a reading; the grain is a second."""
    ramp = Ramp(contract(FIRST, second(soak={"for": "2s", "above": "0%"})))

    ramp.soak(0, 1_900, 0.9, every_ms=100)

    assert 1 == [entry.kind for entry in ramp.entries].count("soaked")


def test_use_before_the_stage_and_use_after_now_earn_nothing() -> None:
    """A reading that began before the contract, or claims the future, counts only for what lies between."""
    ramp = Ramp(contract(FIRST, second(soak={"for": "10m", "above": "0%"})))

    ramp.at(MINUTE, Use(T0 + HOUR, T0 - HOUR, 900_000))

    assert (MINUTE,) == ramp.state.soaked_ms


def test_two_soaks_are_earned_apart() -> None:
    """At 70 % only the lower of two soaks is earned."""
    ramp = Ramp(contract(FIRST, second(soak=[{"for": "4m", "above": "60%"}, {"for": "2m", "above": "80%"}])))

    ramp.soak(0, 4 * MINUTE, 0.7)
    assert (4 * MINUTE, 0) == ramp.state.soaked_ms
    assert "two" == ramp.soak(4 * MINUTE, 6 * MINUTE, 0.9).stage


def test_soak_is_asked_for_with_a_hundredth_of_its_time_within_bounds() -> None:
    """100 s are read each second, a day each 15 s, a second each 250 ms; none once it is earned."""
    for span, every_ms in (("100s", 1_000), ("1d", 15_000), ("1s", 250)):
        ramp = Ramp(contract(FIRST, second(soak={"for": span, "above": "50%"}, event="ready")))

        needs = ramp.at(1).last.needs

        assert [("use", every_ms)] == [(need.what, need.every_ms) for need in needs]
    ramp.soak(1, SECOND + 1, 0.9)
    assert () == ramp.last.needs


def test_an_event_is_latched_since_the_contract_was_applied() -> None:
    """It came a day before the date: it still counts then, and after a restart."""
    ramp = Ramp(contract(FIRST, second(event="ready", not_before=instant(DAY))))

    ramp.event(HOUR).restart()

    assert "two" == ramp.at(DAY).stage


def test_an_event_of_another_source_is_seen_and_not_counted() -> None:
    """`source: ci` hears only ci; the other one is remembered with the reason, once."""
    ramp = Ramp(contract(FIRST, second(event={"type": "ready", "source": "ci"})))

    ramp.event(1, source="laptop").event(2, source="laptop", id="2")

    assert "one" == ramp.stage
    assert ["event ready from laptop"] == [seen.what for seen in ramp.state.not_counted]
    assert "two" == ramp.event(3, source="ci").stage


def test_an_event_after_its_last_instant_does_not_count() -> None:
    """`not_after` is an hour ahead; a second later is too late."""
    ramp = Ramp(contract(FIRST, second(event={"type": "ready", "not_after": instant(HOUR)})))

    assert "one" == ramp.event(HOUR + SECOND).stage
    assert ["event ready from ci"] == [seen.what for seen in ramp.state.not_counted]


def test_an_event_that_nobody_asks_for_leaves_no_trace() -> None:
    """Engines may tell every contract of every event; only what looks like a trigger is worth an entry."""
    ramp = Ramp(contract(FIRST, second(event="ready")))
    before = ramp.at(1).state

    assert before is ramp.event(2, type="other").state


def test_the_same_event_twice_is_one_entry() -> None:
    """Senders retry: the second copy changes nothing, not even the object."""
    ramp = Ramp(contract(FIRST, second(event="ready", not_before=instant(DAY))))
    before = ramp.event(1).state

    assert before is ramp.event(2).state
    assert before is ramp.event(3, id="another").state


def test_again_asks_for_an_event_since_the_stage_before_was_entered() -> None:
    """Stage three wants `ready` anew: the one that opened stage two does not open three, a later one does."""
    three = {"stage": "three", "limit": "300", "when": {"event": {"type": "ready", "again": True}}}
    ramp = Ramp(contract(FIRST, second(event="ready"), three))

    assert "two" == ramp.event(MINUTE).stage
    assert "two" == ramp.at(HOUR).stage
    assert "two" == ramp.event(HOUR, id="1").stage
    assert "three" == ramp.event(2 * HOUR, id="2").stage


def test_an_event_that_is_asked_for_anew_does_not_count_before_its_stage_is_next() -> None:
    """While stage one is present, three's `again` event is seen and not counted."""
    three = {"stage": "three", "limit": "300", "when": {"event": {"type": "go", "again": True}}}
    ramp = Ramp(contract(FIRST, second(event="ready"), three))

    ramp.event(MINUTE, type="go")

    assert ["event go from ci"] == [seen.what for seen in ramp.state.not_counted]
    assert "two" == ramp.event(HOUR).at(HOUR + 1).stage


def test_requires_by_name_wants_the_upstream_arrived_there_or_past_it() -> None:
    """`big` is met when big has arrived, or from huge on; not while climbing to big, nor from small."""
    for standing, met in (
        (upstream("small"), False),
        (upstream("big", arrived=False), False),
        (upstream("big"), True),
        (upstream("huge", arrived=False), True),
        (upstream("big", pressed=True), False),
        (upstream("huge", pressed=True), False),
        (upstream("huge", over=True), False),
        (None, False),
    ):
        ramp = Ramp(contract(FIRST, second(requires={"cluster": "big"})))

        assert met == (ramp.stands(standing).at(1).stage == "two"), standing


def test_requires_by_level_wants_a_level_that_stays() -> None:
    """80 are required: 79 are too few, 80 enough, whatever the stage is called."""
    for level, met in ((79, False), (80, True), (81, True)):
        ramp = Ramp(contract(FIRST, second(requires={"cluster": "80"})))

        assert met == (ramp.stands(upstream("small", level=level)).at(1).stage == "two")


def test_any_is_met_by_one_whole_alternative() -> None:
    """Either the date, or the event and the soak: half of one alternative and half of the other are nothing."""
    either = [{"not_before": instant(DAY)}, {"event": "ready", "soak": {"for": "2m", "above": "0%"}}]
    ramp = Ramp(contract(FIRST, second(any=either)))

    assert "one" == ramp.event(1).stage
    assert T0 + DAY == ramp.last.wake_at_ms
    assert "one" == ramp.soak(MINUTE, 2 * MINUTE, 0.5).stage
    assert "two" == ramp.soak(2 * MINUTE, 3 * MINUTE, 0.5).stage
    assert "two" == Ramp(contract(FIRST, second(any=either))).at(DAY).stage


def test_a_metric_never_passes_in_this_version() -> None:
    """What cannot be measured yet raises nothing, and says so."""
    ramp = Ramp(contract(FIRST, second(metric={"query": "lag", "below": "500ms"})))

    assert "one" == ramp.at(10 * DAY).stage
    metric = conditions_of(ramp.contract, ramp.state, 1, ramp.now_ms, NOTHING_KNOWN.standings)[0]
    assert (False, "lag, which this version does not measure") == (metric.met, metric.waits_for)


def test_raises_wait_for_their_calendar_and_cuts_do_not() -> None:
    """T0 is a Thursday, 20:26 UTC: work hours open on Friday at nine. A stage that lowers is entered at night."""
    hours = {"work": Calendar.model_validate({"calendar": "work", "open": ["Mon-Fri 09:00-17:00"]})}
    friday_nine = 12 * HOUR + 33 * MINUTE + 20 * SECOND

    ramp = Ramp(contract(FIRST, second(not_before=instant(HOUR)), raise_in="work"), calendars=hours)
    assert "one" == ramp.at(HOUR).stage
    assert T0 + friday_nine == ramp.last.wake_at_ms
    assert "one" == ramp.at(friday_nine - 1).stage
    assert "two" == ramp.at(friday_nine).stage

    lower = Ramp(contract(FIRST, second(limit="50", not_before=instant(HOUR)), raise_in="work"), calendars=hours)
    assert "two" == lower.at(HOUR).stage


def test_an_unknown_calendar_lets_nothing_rise() -> None:
    """Expansion needs certainty: a calendar that went missing is never open."""
    ramp = Ramp(contract(FIRST, second(not_before=instant(HOUR)), raise_in="work"))

    assert "one" == ramp.at(DAY).stage
