"""What every ledger keeps: entries in order, states that equal their fold, counts that survive."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headway.errors import Fenced
from headway.ledger import Event, Ledger, Move
from headway.ledger.ledger import EVENTS_KEPT_MS
from headway.ramp.entries import Entry
from tests.ledger.ramps import Growth, applied, contract_of, event, filled, moved


def draw(meter: str, key: str, by_micro: int, window: int = 5) -> Growth:
    """A quota's draw."""
    return Growth(1, "quota_draw", meter, key, by_micro, window)


def test_a_new_ledger_is_whole_and_empty(ledger: Ledger):
    """Nothing was recorded, and that is no fault: a first start must not be refused."""
    loaded = ledger.load()

    assert ledger.verify().ok
    assert (0, 0, {}) == (loaded.last_seq, loaded.last_ms, loaded.states)
    assert ledger.last_run() is None
    assert 0 == ledger.count()


def test_replaying_the_entries_gives_the_states_that_were_kept(ledger: Ledger):
    """Applied, an event, a stage entered, its climb arrived, held: five facts, one state, byte for byte."""
    state = filled(ledger)

    loaded = ledger.load()

    assert state == loaded.states["api"]
    assert state.as_json() == ledger.replay()["api"].as_json()
    assert contract_of() == loaded.contracts["api"]
    assert ledger.verify().ok
    assert ["applied", "event", "entered", "arrived", "held"] == [record.entry.kind for record in ledger.records()]
    # A hold with no climb under way leaves the limit as it was: it is not why the limit is what it is.
    assert (3, "entered") == (loaded.causes["api"][0], loaded.causes["api"][1].kind)


def test_places_in_the_chain_have_no_gaps_and_time_never_runs_back(ledger: Ledger):
    """Two contracts share one chain: 1 to 10 in order; an entry of an earlier instant is refused whole."""
    filled(ledger)
    other = contract_of("other")
    move, _ = applied(other, 30_000)

    assert (6,) == ledger.commit(move)
    with pytest.raises(ValueError, match="never runs back"):
        ledger.commit(replace(applied(contract_of("third"), 29_999)[0]))

    assert list(range(1, 7)) == [record.seq for record in ledger.records()]
    assert {"api", "other"} == set(ledger.load().states)


def test_a_move_that_fails_leaves_nothing_of_itself(ledger: Ledger):
    """A document that is there already breaks the transaction: its entry, its state and its event are not there either."""
    filled(ledger)
    move, _ = applied(contract_of(), 40_000)

    with pytest.raises(Exception, match=r"written"):
        ledger.commit(replace(move, events=(Event("ci", "x", 40_000),)))

    assert 5 == ledger.count()
    assert ledger.seen_ms("ci", "x") is None
    assert ledger.verify().ok


def test_an_entry_without_its_state_is_refused(ledger: Ledger):
    """A fact whose state is not kept with it would make the cache differ from the fold."""
    state = filled(ledger)
    move, _ = moved(contract_of(), state, 50_000, [event(50_000, "further", "2")])

    with pytest.raises(ValueError, match="without its state"):
        ledger.commit(replace(move, states={}))

    assert 5 == ledger.count()


def test_the_engines_own_notes_are_in_the_chain_and_in_no_fold(ledger: Ledger):
    """That the clock was suspect is recorded like everything else, and moves nobody."""
    state = filled(ledger)
    note = Entry("clock_suspected", "", 60_000, "headway", "wall time jumped ahead by 3.0 s")

    ledger.commit(Move(entries=(note,)))

    assert ledger.verify().ok
    assert state == ledger.load().states["api"]
    assert [note] == [record.entry for record in ledger.tail(1)]


def test_records_are_paged_and_filtered(ledger: Ledger):
    """Pages continue behind the last place that was seen; a contract's own records keep their places in the whole chain."""
    filled(ledger)
    ledger.commit(applied(contract_of("other"), 30_000)[0])

    assert [1, 2] == [record.seq for record in ledger.records(0, 2)]
    assert [3, 4] == [record.seq for record in ledger.records(2, 2)]
    assert [6] == [record.seq for record in ledger.records(0, 10, "other")]
    assert [5, 6] == [record.seq for record in ledger.tail(2)]
    assert [4, 5] == [record.seq for record in ledger.tail(2, "api")]
    assert [] == ledger.records(6)
    assert [] == ledger.records(0, -3)


def test_draws_are_granted_up_to_their_target_and_not_beyond(ledger: Ledger):
    """A target of 100: 60 and 40 are granted, whatever is asked in between is not; a key of its own target has four times it."""
    ledger.begin("boot", 1_000, 1_000)
    ledger.commit(Move(targets={("calls", ""): 100, ("calls", "acme"): 400}))

    answer = ledger.draw(
        [draw("calls", "a", 60), draw("calls", "a", 60), draw("calls", "a", 40), draw("calls", "acme", 400)]
    )

    assert bytes([1, 0, 1, 1]) == answer
    assert bytes([0]) == ledger.draw([draw("calls", "acme", 1)])
    assert bytes([1]) == ledger.draw([draw("calls", "a", 100, window=6)])


def test_a_meter_without_a_target_draws_nothing(ledger: Ledger):
    """What nobody decided has no room: contraction needs only suspicion."""
    ledger.begin("boot", 1_000, 1_000)

    assert bytes([0]) == ledger.draw([draw("nobody", "", 1)])


def test_a_cut_leaves_what_was_drawn_and_grants_no_more(ledger: Ledger):
    """100, 50 drawn, then 10: nothing more; back at 100 there are 50 again. Used is what is kept."""
    ledger.begin("boot", 1_000, 1_000)
    ledger.commit(Move(targets={("calls", ""): 100}))
    ledger.draw([draw("calls", "", 50)])

    ledger.commit(Move(targets={("calls", ""): 10}))
    assert bytes([0]) == ledger.draw([draw("calls", "", 1)])

    ledger.commit(Move(targets={("calls", ""): 100}))
    assert bytes([1, 0]) == ledger.draw([draw("calls", "", 50), draw("calls", "", 1)])


def test_what_is_given_back_can_be_drawn_again_and_never_goes_below_nothing(ledger: Ledger):
    """Give-backs are lazy and may be lost; more of them than was drawn mints nothing."""
    ledger.begin("boot", 1_000, 1_000)
    ledger.commit(Move(targets={("calls", ""): 100}))

    assert bytes([1, 1, 1]) == ledger.draw([draw("calls", "", 100), draw("calls", "", -30), draw("calls", "", 30)])
    assert bytes([1, 1, 0]) == ledger.draw([draw("calls", "", -500), draw("calls", "", 100), draw("calls", "", 1)])


def test_a_new_run_takes_over_draws_and_marks(ledger: Ledger):
    """After a crash everything drawn counts as used; a rate's mark only ever moves on."""
    ledger.begin("boot", 1_000, 1_000)
    ledger.commit(Move(targets={("calls", ""): 100}))
    ledger.draw(
        [draw("calls", "a", 60), Growth(1, "rate_mark", "slow", "", 900, 0), Growth(1, "rate_mark", "slow", "", 700, 0)]
    )

    begun = ledger.begin("boot", 2_000, 2_000)

    assert {("calls", "a", 5, 60), ("slow", "", 0, 900)} == set(begun.drawn)
    assert begun.before is not None
    assert begun.before.stopped_ms is None


def test_draws_of_windows_that_are_over_are_forgotten(ledger: Ledger):
    """The engine says which windows closed; what a month has not asked for goes at a start."""
    ledger.begin("boot", 1_000, 1_000)
    ledger.commit(Move(targets={("calls", ""): 100}))
    ledger.draw([draw("calls", "a", 1, window=5), draw("calls", "a", 2, window=9)])

    ledger.commit(Move(closed={"calls": 9}))
    assert (("calls", "a", 9, 2),) == ledger.begin("boot", 2_000, 2_000).drawn

    assert () == ledger.begin("boot", 90 * 86_400_000, 3_000).drawn


def test_saved_marks_are_taken_up_once(ledger: Ledger):
    """A crash after the start must not find the same marks again: it would hand out what was used since."""
    ledger.begin("boot", 1_000, 1_000)
    ledger.finish(5_000, 5_000, b"marks")

    first = ledger.begin("boot", 6_000, 6_000)
    second = ledger.begin("boot", 7_000, 7_000)

    assert b"marks" == first.marks
    assert first.before is not None
    assert 5_000 == first.before.stopped_ms
    assert second.marks is None


def test_only_the_latest_run_writes(ledger: Ledger):
    """The mandate goes to who began last; the one before is fenced, whatever it believes."""
    move, _ = applied(contract_of(), 1_000)
    with pytest.raises(Fenced):
        ledger.commit(move)

    ledger.begin("boot", 1_000, 1_000)
    with ledger._store.write() as connection:
        connection.exec_driver_sql("UPDATE mandate SET epoch = epoch + 1")

    with pytest.raises(Fenced):
        ledger.commit(move)
    with pytest.raises(Fenced):
        ledger.draw([draw("calls", "", 1)])
    with pytest.raises(Fenced):
        ledger.beat(2_000, 2_000)
    assert 0 == ledger.count()


def test_an_event_is_remembered_for_thirty_days(ledger: Ledger):
    """Once counted, it is known by source and id; after its time a later one pushes it out."""
    ledger.begin("boot", 1_000, 1_000)
    ledger.commit(Move(events=(Event("ci", "1", 1_000),)))

    assert 1_000 == ledger.seen_ms("ci", "1")
    assert ledger.seen_ms("cd", "1") is None

    ledger.commit(Move(events=(Event("ci", "2", 1_001 + EVENTS_KEPT_MS),)))
    assert ledger.seen_ms("ci", "1") is None
    assert 1_001 + EVENTS_KEPT_MS == ledger.seen_ms("ci", "2")


def test_more_events_than_are_remembered_push_out_the_oldest(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    """The bound holds over restarts: it is counted anew at each."""
    monkeypatch.setattr("headway.ledger.ledger.EVENTS_MOST", 3)
    ledger.begin("boot", 1_000, 1_000)
    for at_ms in range(1, 6):
        ledger.commit(Move(events=(Event("ci", str(at_ms), at_ms),)))
    ledger.begin("boot", 2_000, 2_000)
    ledger.commit(Move(events=(Event("ci", "6", 6),)))

    assert [None, None, None, 4, 5, 6] == [ledger.seen_ms("ci", str(at_ms)) for at_ms in range(1, 7)]
