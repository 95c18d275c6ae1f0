"""Files and what runs: the ledger is the truth, a file that differs is shown, a new one is applied when it is watched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.contract.faults import Unreadable
from headway.contract.read import read_paths
from headway.engine.engine import Engine
from tests.engine.test_engine import API


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "contracts"
    folder.mkdir()
    file = folder / "api.yaml"
    file.write_text(API, encoding="utf-8")
    return file


def write(file: Path, text: str, tick: int) -> None:
    """Writes a file with a time of its own: no test waits for the next tick of a file system."""
    file.write_text(text, encoding="utf-8")
    os.utime(file, ns=(tick * 10**9, tick * 10**9))


def test_a_file_that_changed_is_drift_and_changes_nothing(file: Path):
    """Applied once; later the file says 50, and 100 goes on until somebody applies it."""
    engine = Engine.open(file.parent)
    assert [] == engine.drift()

    write(file, API.replace("limit: 100", "limit: 50"), 1)
    (drift,) = engine.drift()

    assert ("api", "changed", str(file)) == (drift.contract, drift.kind, drift.where)
    assert drift.running != drift.file
    assert [drift.said] == [one["said"] for one in engine.explain("api")["drift"]]
    assert 100_000_000 == engine.contract("api").curve.level_micro("", engine.now_ms())
    engine.close()

    again = Engine.open(file.parent)
    assert ["changed"] == [one.kind for one in again.drift()]
    again.close()


def test_a_new_file_is_drift_until_it_is_applied(file: Path):
    """Without `watch` a second contract waits; with it, it is applied at the next turn."""
    engine = Engine.open(file.parent)
    write(file.parent / "second.yaml", API.replace("contract: api", "contract: second"), 1)
    assert [("second", "new")] == [(one.contract, one.kind) for one in engine.drift()]
    assert ["api"] == engine.names()
    engine.close()


@pytest.fixture
def watched(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine that watches, without its loop: the test looks at the files when it wants to."""
    monkeypatch.setattr(Engine, "_run", lambda engine: None)
    engine = Engine.open(file.parent, watch=True)
    engine._files.read()
    yield engine
    engine.close()


def test_a_watched_folder_applies_what_is_new_and_logs_what_changed(
    watched: Engine, file: Path, caplog: pytest.LogCaptureFixture
):
    """A new contract runs; a changed one does not, and is logged."""
    write(file.parent / "second.yaml", API.replace("contract: api", "contract: second"), 1)
    write(file, API.replace("limit: 100", "limit: 50"), 1)

    watched._apply_newcomers()

    assert ["api", "second"] == watched.names()
    assert "differs from version 1" in caplog.text
    assert 100_000_000 == watched.contract("api").curve.level_micro("", watched.now_ms())


def test_a_watched_file_that_is_wrong_is_logged_and_what_runs_goes_on(
    watched: Engine, file: Path, caplog: pytest.LogCaptureFixture
):
    """A typing error in the editor stops nobody. What is wrong is said once, where it is and how to mend it, and not as
    drift again.
    """
    write(file, "contract: [", 1)
    (wrong,) = read_paths([file]).findings

    watched._apply_newcomers()

    assert "what runs goes on" in caplog.text
    assert (1, 1) == (caplog.text.count(wrong.problem), len(caplog.records))
    assert "unreadable" in [one.kind for one in watched.drift()]
    assert watched.limiter("api").try_acquire()


def test_a_wrong_file_refuses_a_first_start_and_no_later_one(file: Path):
    """While the ledger is empty there is nothing to run; once there is, a broken file must not keep it from running."""
    file.write_text("contract: [", encoding="utf-8")
    with pytest.raises(Unreadable):
        Engine.open(file.parent)

    file.write_text(API, encoding="utf-8")
    Engine.open(file.parent).close()

    write(file, "contract: [", 1)
    engine = Engine.open(file.parent)
    assert ["api"] == engine.names()
    assert "unreadable" in [one.kind for one in engine.drift()]
    engine.close()


def test_a_contract_in_no_file_goes_on(file: Path):
    """Nothing ends by absence."""
    Engine.open(file.parent).close()
    file.unlink()

    engine = Engine.open(file.parent)
    assert ["api"] == engine.names()
    assert [] == [one for one in engine.drift() if one.contract == "api"]
    engine.close()
