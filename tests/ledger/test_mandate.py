"""Who has the mandate alone writes; who takes it waits for the write under way; texts of any length are keys."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from headway.errors import Fenced, LedgerFailing
from headway.ledger import Database, Event, Ledger, Move
from tests.ledger.ramps import Growth, applied, contract_of

LONG = ["k" * 4_096, "é" * 2_000, "nul\x00in it", "\x01named", "", "k" * 4_095 + "j"]


def test_the_mandate_is_taken_as_it_was_seen_and_not_otherwise(ledger: Ledger):
    """Whoever saw an older renewal, or an earlier run, is too late."""
    seen = ledger.held()
    assert (0, 0, 0) == (seen.epoch, seen.renewals, seen.term_ms)

    assert ledger.take(seen, "one", 5_000)
    ledger.begin("boot", 1_000, 1_000)
    as_taken = ledger.held()
    ledger.renew()

    assert not ledger.take(seen, "two", 5_000)
    assert not ledger.take(as_taken, "two", 5_000)
    assert (1, 1, 5_000, "one") == (
        ledger.held().epoch,
        ledger.held().renewals,
        ledger.held().term_ms,
        ledger.held().holder,
    )


def test_a_clean_stop_lets_the_mandate_go(ledger: Ledger):
    """The next one need not wait: there is no term to wait out."""
    ledger.take(ledger.held(), "one", 5_000)
    ledger.begin("boot", 1_000, 1_000)

    ledger.finish(2_000, 2_000, None)

    assert 0 == ledger.held().term_ms
    with pytest.raises(Fenced):
        ledger.renew()


def test_a_run_has_the_number_of_its_mandate(ledger: Ledger):
    """Epochs only grow, over runs with and without `take`."""
    assert 1 == ledger.begin("boot", 1_000, 1_000).run.id
    assert 2 == ledger.begin("boot", 2_000, 2_000).run.id
    ledger.take(ledger.held(), "three", 5_000)
    assert 3 == ledger.begin("boot", 3_000, 3_000).run.id
    assert 3 == ledger.held().epoch


@pytest.mark.parametrize("has_begun", [False, True])
def test_who_was_frozen_after_it_took_the_mandate_begins_no_run(tmp_path: Path, has_begun: bool):
    """Another one took it meanwhile, and may have begun: it keeps it, and nothing of the late one is written."""
    late, serving = Ledger.open(tmp_path / "ledger.db"), Ledger.open(tmp_path / "ledger.db")
    late.take(late.held(), "late", 5_000)
    serving.take(serving.held(), "serving", 5_000)
    if has_begun:
        serving.begin("boot", 1_000, 1_000)

    with pytest.raises(Fenced, match="may not write") as raised:
        late.begin("boot", 2_000, 2_000)

    assert "run 2 (serving) took it over" == raised.value.because
    serving.renew()
    assert (2, "serving") == (serving.held().epoch, serving.held().holder)
    late.close()
    serving.close()


def test_a_mandate_that_was_taken_is_of_one_run(ledger: Ledger):
    """Beginning again takes nothing by itself: neither while the run goes on nor after its clean stop."""
    ledger.take(ledger.held(), "one", 5_000)
    ledger.begin("boot", 1_000, 1_000)

    with pytest.raises(ValueError, match="run 1 has begun already"):
        ledger.begin("boot", 2_000, 2_000)
    ledger.finish(3_000, 3_000, None)
    with pytest.raises(Fenced) as raised:
        ledger.begin("boot", 4_000, 4_000)

    assert "it did not take the mandate" == raised.value.because
    assert 1 == ledger.held().epoch


def test_keys_and_events_of_any_length_and_letters_are_kept(ledger: Ledger):
    """4,096 characters, a NUL, two that differ in the last letter: each counts for itself, and comes back as it was."""
    ledger.begin("boot", 1_000, 1_000)
    ledger.commit(Move(targets={("calls", ""): 10, ("calls", LONG[0]): 100}))
    draws = [Growth(1, "quota_draw", "calls", key, 7, 5) for key in LONG]
    bookings = [Growth(1, "booking", "jobs", f"other\nff\n{key}", 3, 0) for key in LONG]

    assert bytes([1] * 12) == ledger.draw(draws + bookings)
    assert bytes([1, 0, 0, 0, 0, 0]) == ledger.draw(draws)
    ledger.commit(Move(events=tuple(Event(key, key, 5) for key in LONG)))

    begun = ledger.begin("boot", 2_000, 2_000)
    assert {("calls", key, 5, 14 if key == LONG[0] else 7) for key in LONG} == set(begun.drawn)
    assert {("jobs", "other", "ff", key, 3) for key in LONG} == set(begun.at_gates.booked)
    assert [5] * 6 == [ledger.seen_ms(key, key) for key in LONG]
    assert ledger.seen_ms(LONG[0], LONG[5]) is None


def test_texts_that_nothing_names_any_more_go(ledger: Ledger):
    """A window closes, and with the last draw of a long key its text."""
    ledger.begin("boot", 1_000, 1_000)
    ledger.commit(Move(targets={("calls", ""): 10}))
    ledger.draw([Growth(1, "quota_draw", "calls", key, 7, 5) for key in LONG])

    ledger.commit(Move(closed={"calls": 6}))
    ledger.begin("boot", 2_000, 2_000)

    with ledger._store.read() as connection:
        assert 0 == connection.exec_driver_sql("SELECT count(*) FROM long_text").scalar()


def test_two_who_take_the_mandate_at_once_are_one_who_has_it(database: Database):
    """Both saw the same: one is too late."""
    one, two = Ledger.shared(database), Ledger.shared(database)
    seen = one.held()
    taken: list[bool] = []
    threads = [threading.Thread(target=lambda at=at: taken.append(at.take(seen, "x", 5_000))) for at in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [False, True] == sorted(taken)
    one.close()
    two.close()


def test_whoever_takes_the_mandate_waits_for_the_write_under_way(database: Database):
    """A write that found its mandate is committed before the next one has it; renewals go on beside it. Afterwards the first
    one is fenced.
    """
    one, two = Ledger.shared(database), Ledger.shared(database)
    one.take(one.held(), "one", 5_000)
    one.begin("boot", 1_000, 1_000)
    with one._store.write() as connection:
        one._vet_mandate(connection)
        one.renew()
        seen = two.held()
        with pytest.raises(LedgerFailing):
            two.take(seen, "two", 5_000)

    assert two.take(seen, "two", 5_000)
    two.begin("boot", 2_000, 2_000)
    for write in (lambda: one.beat(3_000, 3_000), one.renew, lambda: one.commit(applied(contract_of(), 3_000)[0])):
        with pytest.raises(Fenced) as raised:
            write()
        assert "run 2 (two) took it over" == raised.value.because
    assert 0 == two.count()
    one.close()
    two.close()
