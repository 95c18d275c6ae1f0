"""One document a mistake in `tests/contracts/bad`, the exact message beside it: what an author sees, reviewed as code.

`HEADWAY_BLESS=1` (`make bless`) rewrites the messages.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headway.contract.codes import CODES
from headway.contract.codes.contracts import CONTRACTS
from headway.contract.codes.links import LINKS
from headway.contract.codes.text import READING
from headway.contract.codes.values import VALUES
from headway.contract.faults import as_text
from headway.contract.read import read_text

BAD = Path(__file__).parents[1] / "contracts" / "bad"
NAMES = sorted(path.stem for path in BAD.glob("*.yaml"))

ELSEWHERE = {
    "HW103": "test_reading: a file of 100 MiB",
    "HW104": "test_reading: a document over 1 MiB",
    "HW105": "test_reading: a path that does not exist",
    "HW290": "test_runnable: fields that come later",
}
"""Codes that no document of a few lines can show, and where they are shown."""


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_document_says_what_is_wrong_where_and_how_to_mend_it(name: str, bless: bool) -> None:
    """The whole message is compared; a change of words is a change of what people read."""
    expected = BAD / f"{name}.txt"

    reading = read_text((BAD / f"{name}.yaml").read_bytes(), f"{name}.yaml")
    said = as_text(reading.findings) + "\n"
    if bless:
        expected.write_text(said, encoding="utf-8")

    assert not reading.ok
    assert expected.read_text(encoding="utf-8") == said


def test_there_are_at_least_ninety_bad_documents_and_no_message_without_one() -> None:
    assert len(NAMES) >= 90
    assert NAMES == sorted(path.stem for path in BAD.glob("*.txt"))


def test_every_code_of_the_catalogue_is_shown_by_some_document() -> None:
    """A check with no bad document is a check that nobody has seen fail."""
    shown = {
        code for path in BAD.glob("*.txt") for code in re.findall(r"\[(HW\d+)\]", path.read_text(encoding="utf-8"))
    }

    assert set(CODES) == shown | set(ELSEWHERE)


def test_a_code_stands_in_one_family_and_the_list_is_in_order() -> None:
    """Merged from files; a code in two of them would lose one of its meanings without a word."""
    families = [READING, VALUES, CONTRACTS, LINKS]

    assert len(CODES) == sum(len(family) for family in families)
    assert list(CODES) == sorted(CODES)


def test_every_finding_has_a_place_and_every_code_says_how_to_mend_it() -> None:
    for name in NAMES:
        for found in read_text((BAD / f"{name}.yaml").read_bytes(), name).findings:
            assert found.where is not None and found.where.line >= 1 and found.where.column >= 1
            assert found.problem and found.because and found.mend
