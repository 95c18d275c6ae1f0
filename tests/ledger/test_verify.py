"""Whoever changes the record is found out: which record, and what is wrong with it."""

from __future__ import annotations

import pytest

from headway.errors import LedgerBroken
from headway.ledger import Ledger, tables
from headway.ledger.chain import canonical_json, link
from headway.ramp.entries import Entry
from tests.ledger.ramps import filled

TAMPERED = {
    "a reason": ("UPDATE entry SET reason = 'nothing' WHERE seq = 3", 3, "was changed"),
    "an actor": ("UPDATE entry SET actor = 'bob' WHERE seq = 1", 1, "was changed"),
    "a body": ("""UPDATE entry SET body = replace(body, '200000000', '900000000') WHERE seq = 3""", 3, "was changed"),
    "an instant": ("UPDATE entry SET at_ms = at_ms + 1 WHERE seq = 5", 5, "was changed"),
    "an instant before the last": ("UPDATE entry SET at_ms = 5 WHERE seq = 4", 4, "is older"),
    "a kind": ("UPDATE entry SET kind = 'resumed' WHERE seq = 5", 5, "was changed"),
    "a hash": (
        "UPDATE entry SET hash = 'f' || substr(hash, 2) WHERE seq = 2 AND substr(hash, 1, 1) <> 'f'",
        2,
        "was changed",
    ),
    "a text that is no JSON": ("UPDATE entry SET body = '{' WHERE seq = 2", 2, "cannot be read"),
    "a record taken out": ("DELETE FROM entry WHERE seq = 2", 2, "is missing"),
    "the first record taken out": ("DELETE FROM entry WHERE seq = 1", 1, "is missing"),
    "the end cut off": ("DELETE FROM entry WHERE seq = 5", 4, "the ledger says 5"),
    "a state": (
        """UPDATE contract SET state = replace(state, '"stage":1', '"stage":2')""",
        5,
        "not what its records lead to",
    ),
    "a state taken out": ("DELETE FROM contract", 5, "not what its records lead to"),
    "a document": ("UPDATE contract_version SET document = replace(document, '300', '900')", 1, "not the document"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_record_that_was_changed_is_named(ledger: Ledger, what: str):
    """One stroke of the pen anywhere, and verify says the first record that is wrong; a start refuses."""
    statement, seq, words = TAMPERED[what]
    filled(ledger)
    with ledger._store.write() as connection:
        connection.exec_driver_sql(statement)

    verdict = ledger.verify()

    assert (False, seq) == (verdict.ok, verdict.bad_seq), verdict.problem
    assert words in verdict.problem
    with pytest.raises(LedgerBroken) as raised:
        ledger.load()
    assert "HW502" == raised.value.code


def test_a_forged_record_does_not_fold(ledger: Ledger):
    """Somebody appends a record with a right hash that does not follow from those before: the fold finds it."""
    filled(ledger)
    last = ledger.tail(1)[0]
    forged = Entry("entered", "api", 99_000, "mallory", "because", {}, {"stage": 7})
    hash = link(last.hash, 6, forged, 1, last.digest)
    row = (
        6,
        99_000,
        "api",
        "entered",
        "mallory",
        "because",
        "{}",
        canonical_json(dict(forged.body)),
        1,
        last.digest,
        hash,
    )
    with ledger._store.write() as connection:
        connection.execute(tables.entry.insert().values(row))
        connection.execute(tables.head.update().values(seq=6, at_ms=99_000, hash=hash))

    verdict = ledger.verify()

    assert (False, 6) == (verdict.ok, verdict.bad_seq)
    assert "does not follow" in verdict.problem


def test_canonical_json_has_one_spelling_and_no_nan():
    """Keys sorted, no spaces; a NaN is no JSON value, and would compare with nothing."""
    assert '{"a":[1,2],"b":"é"}' == canonical_json({"b": "é", "a": [1, 2]})
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": float("nan")})
