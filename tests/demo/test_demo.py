"""The demo itself, in processes of its own: unattended to its end, stopped, killed and taken up again, turned away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.demo.quick import quick_contracts

ROOT = Path(__file__).parents[2]

AT_MOST_S = 60
"""A demo that has not ended by then hangs."""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    (tmp_path / "contracts").mkdir()
    return quick_contracts(tmp_path / "contracts")


@pytest.fixture
def start(contracts: Path) -> Iterator[Start]:
    """Starts demos; whatever the test does, none is left running."""
    started: list[subprocess.Popen[str]] = []

    def one(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "examples.shop", "--contracts", contracts, *arguments]
        demo = subprocess.Popen(
            [str(word) for word in command],
            cwd=ROOT,
            env=os.environ | {"COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(demo)
        return demo

    yield one
    for demo in started:
        demo.kill()
        demo.wait()


def line_with(demo: subprocess.Popen[str], words: str) -> str:
    """Waits for a line that holds these words; fails with all that was said where the demo ends without one."""
    assert demo.stdout is not None
    said: list[str] = []
    for line in demo.stdout:
        said.append(line)
        if words in line:
            return line
    raise AssertionError(f"never said {words!r}:\n{''.join(said)}")


def ended(demo: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = demo.communicate(timeout=AT_MOST_S)
    return demo.returncode, said


def test_the_unattended_demo_ends_as_promised(start: Start, tmp_path: Path):
    """15 s with quick contracts: every stage is entered, every contract refuses somebody, no limit is exceeded."""
    result = tmp_path / "result.json"

    code, said = ended(start("--auto", "--seconds", 15, "--seed", 3, "--result", result))

    assert 0 == code, said
    counted = json.loads(result.read_text())
    assert (True, 0, 3, 1) == tuple(counted[name] for name in ("as_promised", "certain_violations", "seed", "lives"))
    for one in counted["contracts"].values():
        assert one["stages"] == one["stages_entered"]
        assert one["admitted"] > 0 < one["refused"]
    assert "headway approve orders-db --stage replica --as dba" in said
    assert "is killed while it holds" in said
    assert "what the killed worker held is free after" in said


def test_a_demo_too_short_for_its_ramp_says_what_is_missing(start: Start):
    """Nothing is called a success that was not seen."""
    code, said = ended(start("--auto", "--seconds", 2))

    assert 1 == code
    assert "tenant-exports never entered stage generous." in said
    assert "0 certain violations" in said


def test_an_interrupt_ends_the_demo_cleanly(start: Start, tmp_path: Path):
    """Ctrl-C: the summary is still told, the marks are saved, and the next demo on the folder starts at once."""
    arguments = ["--data", tmp_path / "data", "--listen", "127.0.0.1:0"]
    demo = start(*arguments)
    line_with(demo, "shop-api: 40 requests a second in force")

    demo.send_signal(signal.SIGINT)
    code, said = ended(demo)

    assert 0 == code, said
    assert "the shop's own count" in said
    assert "Traceback" not in said
    line_with(start(*arguments), "in force")


def test_a_killed_demo_goes_on_where_it_was(start: Start, tmp_path: Path):
    """Killed after its first stage and started again: that stage still stands, and both lives are judged as one."""
    arguments = [
        "--auto",
        "--data",
        tmp_path / "data",
        "--grows",
        15,
        "--seed",
        4,
        "--result",
        tmp_path / "result.json",
    ]
    demo = start(*arguments, "--seconds", 60)
    line_with(demo, "shop-api: stage grown entered")
    demo.kill()
    demo.wait()

    again = start(*arguments, "--seconds", 3)
    line_with(again, "stage grown")
    code, said = ended(again)

    counted = json.loads((tmp_path / "result.json").read_text())
    assert code in (0, 1), said
    assert (2, 0) == (counted["lives"], counted["certain_violations"])


def test_two_demos_do_not_share_a_folder(start: Start, tmp_path: Path):
    """The second one is turned away with HW501; the first one goes on."""
    first = start("--data", tmp_path / "data", "--listen", "127.0.0.1:0")
    line_with(first, "in force")

    code, said = ended(start("--data", tmp_path / "data", "--listen", "127.0.0.1:0"))

    assert 2 == code
    assert "HW501" in said
    assert first.poll() is None


def test_contracts_that_cannot_be_read_are_told(start: Start, contracts: Path, tmp_path: Path):
    """A mistake in a contract ends the demo before it begins, with the file and line."""
    (contracts / "shop-api.yaml").write_text("contract: shop-api\n")

    code, said = ended(start("--data", tmp_path / "data"))

    assert 2 == code
    assert "error[HW" in said
    assert "shop-api.yaml" in said


@pytest.mark.parametrize(
    "arguments", [["--seconds", "0"], ["--seconds", "nan"], ["--seconds", "1e9"], ["--seed", "x"], ["--unknown"]]
)
def test_a_command_line_that_makes_no_sense_is_refused(start: Start, arguments: list[str]):
    """With a usage text, before anything is opened."""
    code, said = ended(start(*arguments))

    assert 2 == code
    assert "usage:" in said
