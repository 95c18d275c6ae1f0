"""One data folder, one engine: a second one, in any process, is told so with a mend; forked children never are one."""

from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.engine.engine import Engine
from headway.engine.folder import Folder, beside
from headway.errors import Busy, DataFolder, LedgerBroken
from tests.engine.test_engine import API

ROOT = Path(__file__).parents[2]


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    """A folder with one contract file."""
    folder = tmp_path / "contracts"
    folder.mkdir()
    (folder / "api.yaml").write_text(API, encoding="utf-8")
    return folder


@pytest.fixture
def engine(contracts: Path) -> Iterator[Engine]:
    """A real engine: its own threads, the machine's clock, a folder on the disk."""
    one = Engine.open(contracts)
    yield one
    one.close()


def test_an_engine_runs_in_threads_of_its_own(engine: Engine, contracts: Path):
    """Opened, it enforces, moves, and answers; its data lie beside the contracts, for the user alone."""
    assert contracts.parent / ".headway" == engine.data
    assert 0o700 == stat.S_IMODE(engine.data.stat().st_mode)
    assert engine.limiter("api").try_acquire()

    from headway.ramp.observations import VerbCall

    outcome = engine.submit("api", VerbCall(0, "hold", "user:ana", "a look"))
    assert 1 == len(outcome.seqs)
    assert engine.ledger().verify().ok
    assert "a look" == engine.contract("api").state.held.reason  # type: ignore[union-attr]


def test_a_second_engine_on_a_folder_is_refused(engine: Engine, contracts: Path):
    """In the same process, too; the first goes on, and after its close the folder is free."""
    with pytest.raises(Busy) as raised:
        Engine.open(contracts)

    assert "HW501" == raised.value.code
    assert str(os.getpid()) in raised.value.because
    assert "headway serve" in raised.value.mend
    assert engine.limiter("api").try_acquire()

    engine.close()
    Engine.open(contracts).close()


OTHER = """
import sys
from pathlib import Path
from headway.engine.engine import Engine
from headway.errors import Busy
try:
    Engine.open(Path(sys.argv[1]))
except Busy as busy:
    print(busy.code, busy.because)
"""


@pytest.mark.usefixtures("engine")
def test_another_process_is_refused(contracts: Path):
    """The lock is the kernel's: it says which process has it."""
    run = subprocess.run(
        [sys.executable, "-c", OTHER, str(contracts)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'python'}"},
    )

    assert f"HW501 process {os.getpid()} has it open" == run.stdout.strip()


def in_child(engine: Engine, answers: multiprocessing.connection.Connection) -> None:
    """What a forked child gets from its copy of the engine."""
    said = []
    for ask in (
        lambda: engine.contract("api"),
        lambda: engine.limiter("api"),
        lambda: engine.explain("api"),
        lambda: engine.subscribe(),
        lambda: engine.ledger(),
        lambda: Engine.open(None, data=engine.data),
    ):
        try:
            ask()
        except Busy as busy:
            said.append(busy.code)
        else:
            said.append("answered")
    engine.close()
    answers.send(said)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_no_engine_and_the_parent_goes_on(engine: Engine, contracts: Path):
    """Every call of the child is HW501, also opening the same folder; the parent keeps its lock and its ledger."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=in_child, args=(engine, theirs))
    child.start()
    said = ours.recv()
    child.join()

    assert ["HW501"] * 6 == said
    assert 0 == child.exitcode
    assert engine.limiter("api").try_acquire()
    assert engine.ledger().verify().ok
    with pytest.raises(Busy):
        Engine.open(contracts)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_that_outlives_its_parents_engine_does_not_keep_the_folder(engine: Engine, contracts: Path):
    """The child let go of its copy of the lock: when the parent closes, the folder is free at once."""
    waiting, told = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=lambda: waiting.recv())
    child.start()

    engine.close()
    Engine.open(contracts).close()

    told.send("done")
    child.join()
    assert 0 == child.exitcode


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path):
    """A file lies where data should: it stays as it is."""
    (tmp_path / "data").write_text("mine", encoding="utf-8")

    with pytest.raises(DataFolder) as raised:
        Folder.locked(tmp_path / "data")

    assert "HW522" == raised.value.code
    assert "mine" == (tmp_path / "data").read_text(encoding="utf-8")


def test_a_lock_that_is_a_link_or_a_pipe_is_refused(tmp_path: Path):
    """Somebody laid a link to a file of value where the lock should be: it is not followed, and not written over."""
    for name in ("link", "pipe"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine").write_text("precious", encoding="utf-8")
    (tmp_path / "link" / "lock").symlink_to(tmp_path / "mine")
    os.mkfifo(tmp_path / "pipe" / "lock")

    for name in ("link", "pipe"):
        with pytest.raises(DataFolder):
            Folder.locked(tmp_path / name)
    assert "precious" == (tmp_path / "mine").read_text(encoding="utf-8")


def test_a_refused_start_lets_go_of_the_folder(contracts: Path):
    """A damaged ledger refuses the start; once it is mended nothing stands in the way."""
    data = contracts.parent / ".headway"
    Engine.open(contracts).close()
    whole = (data / "ledger.db").read_bytes()
    (data / "ledger.db").write_bytes(b"x" * len(whole))
    with pytest.raises(LedgerBroken):
        Engine.open(contracts)

    (data / "ledger.db").write_bytes(whole)
    Engine.open(contracts).close()


def test_data_lie_beside_the_first_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Beside a file or folder; never above the working directory."""
    monkeypatch.chdir(tmp_path)
    here = tmp_path / ".headway"

    assert here == beside([])
    assert here == beside([Path("contracts")])
    assert here == beside([Path("api.yaml")])
    assert here == beside([Path()])
    assert here == beside([tmp_path.parent])
    assert tmp_path / "a" / ".headway" == beside([tmp_path / "a" / "api.yaml", tmp_path / "b"])
