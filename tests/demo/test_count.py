"""The shop's own count: written at once, read back whole, torn only where a kill may tear it."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.shop.count import LINE_BYTES, Count, Torn, lives_so_far, read_record


class Ticking:
    """A clock that moves by 10 ns a look."""

    def __init__(self) -> None:
        self.at_ns = 0

    def __call__(self) -> int:
        self.at_ns += 10
        return self.at_ns


def begun(path: Path, life: int = 1, seed: int = 7) -> Count:
    count = Count(path, Ticking())
    count.begin(life, seed, utc_ns=1_000)
    return count


def test_what_was_counted_is_read_back(tmp_path: Path):
    """Two admissions, one released, one refusal, one act of a person: all of it is there after a clean end."""
    count = begun(tmp_path / "count")
    first = count.admitted("orders-db", "checkout", None, 1, 20, 30)
    count.admitted("tenant-exports", "reporting", "acme", 2, 40, 50)
    count.write("freed", first, 60, 70)
    count.refused("orders-db", "browsing", None, 1, 80, 90, "full", "orders-db is full")
    count.acted("approval", "orders-db", "replica")
    count.limit(100, "orders-db", 6_000_000)
    count.clocks(1_100)
    count.published("orders-db", 3)
    count.close()

    record = read_record(tmp_path / "count")

    assert [("orders-db", None, 1, (60, 70)), ("tenant-exports", "acme", 2, None)] == [
        (one.contract, one.key, one.units, one.freed) for one in record.admissions
    ]
    assert {("orders-db", "browsing"): 1} == record.refusals
    assert [("approval", "orders-db", "replica")] == [(one.act, one.contract, one.stage) for one in record.acts]
    assert [("orders-db", 6_000_000)] == [(one.meter, one.limit_micro) for one in record.readings]
    assert ((30, 1_100), (10, 1_000)) == record.clocks
    assert {"orders-db": [(3, 40)]} == record.published
    assert [(1, 7, True)] == [(life.number, life.seed, life.clean) for life in record.lives]


def test_each_life_numbers_its_own_admissions(tmp_path: Path):
    """Admission 1 of the second life is not the one that the first life released."""
    first = begun(tmp_path / "count")
    first.write("freed", first.admitted("orders-db", "checkout", None, 1, 20, 30), 40, 50)
    second = begun(tmp_path / "count", life=2)
    second.admitted("orders-db", "checkout", None, 1, 60, 70)

    record = read_record(tmp_path / "count")

    assert [(1, (40, 50)), (2, None)] == [(one.life, one.freed) for one in record.admissions]
    assert [False, False] == [life.clean for life in record.lives]
    assert [1, 2] == [number for number, _ in lives_so_far(tmp_path / "count")]


def test_a_line_torn_by_a_kill_costs_that_line_alone(tmp_path: Path):
    """The first life dies in the middle of a write; the second one begins on a line of its own."""
    path = tmp_path / "count"
    begun(path).admitted("orders-db", "checkout", None, 1, 20, 30)
    with path.open("ab") as torn:
        torn.write(b'["admitted",2,"orders-db","che')
    begun(path, life=2).admitted("orders-db", "checkout", None, 1, 60, 70)

    assert [1, 2] == [one.life for one in read_record(path).admissions]


def test_a_line_torn_in_the_middle_of_a_life_is_an_error(tmp_path: Path):
    """No kill does that, so the file was damaged and cannot be judged by."""
    path = tmp_path / "count"
    count = begun(path)
    with path.open("ab") as torn:
        torn.write(b'["admitted",2,"orders-\n')
    count.admitted("orders-db", "checkout", None, 1, 60, 70)

    with pytest.raises(Torn, match="middle of a life"):
        read_record(path)


def test_a_record_of_an_unknown_kind_is_an_error(tmp_path: Path):
    """A count is never read by a version that understands only part of it."""
    count = begun(tmp_path / "count")
    count.write("guessed", 1)

    with pytest.raises(Torn, match="no known kind"):
        read_record(tmp_path / "count")


def test_a_record_longer_than_allowed_is_never_written(tmp_path: Path):
    """So each goes to the kernel in one piece."""
    count = begun(tmp_path / "count")

    with pytest.raises(ValueError, match="the longest allowed"):
        count.acted("approval", "orders-db", "x" * LINE_BYTES)

    assert () == read_record(tmp_path / "count").acts


def test_a_count_that_was_never_begun_holds_nothing(tmp_path: Path):
    """A demo killed in its start leaves no file, or an empty one."""
    assert [] == lives_so_far(tmp_path / "count")

    (tmp_path / "count").touch()

    assert () == read_record(tmp_path / "count").lives


def test_tallies_are_kept_by_contract_and_workload(tmp_path: Path):
    """The screen shows them without reading the file."""
    count = begun(tmp_path / "count")
    count.admitted("shop-api", "browsing", None, 1, 20, 30)
    count.refused("shop-api", "browsing", None, 1, 40, 50, "full", "shop-api is full")
    count.refused("shop-api", "browsing", None, 1, 60, 70, "never_fits", "shop-api never fits that")

    tally = count.tallies["shop-api", "browsing"]

    assert (1, 2, {"full": 1, "never_fits": 1}) == (tally.admitted, tally.refused, dict(tally.why))
    assert ["shop-api is full", "shop-api never fits that"] == [said.sentence for said in count.said]
