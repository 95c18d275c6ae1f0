"""What somebody meets who has just installed it: help that is true, names that are guessed, a terminal of their own."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from headway.cli import show
from headway.cli.exits import Exit
from headway.cli.helps import HELPS
from headway.contract.codes import CODES as OF_DOCUMENTS
from headway.server.codes import CODES as OF_RUNNING

Run = Callable[..., Result]


def test_both_spellings_of_the_version_say_the_same(headway: Run):
    """`--version` is what one tries first; it is no command and wants none."""
    flag = headway("--version")

    assert Exit.OK == flag.exit_code
    assert headway("version").stdout == flag.stdout


def test_every_code_that_a_help_names_can_be_explained():
    """An example that is typed as it stands must work."""
    named = {code for text in HELPS.values() for code in re.findall(r"HW\d+", text)}

    assert named
    assert set() == named - set(OF_DOCUMENTS) - set(OF_RUNNING)


def test_json_is_spelled_alike_on_every_command(headway: Run):
    """`check --json` is `check --format json`; beside another format it contradicts itself."""
    assert (
        headway("check", "faulty.yaml", "--format", "json").stdout == headway("check", "faulty.yaml", "--json").stdout
    )
    assert Exit.OK == headway("check", "sound.yaml", "--json", "--format", "json").exit_code

    torn = headway("check", "sound.yaml", "--json", "--format", "sarif")

    assert (Exit.UNUSABLE, "") == (torn.exit_code, torn.stdout)
    assert "error[HW433]" in torn.stderr


@pytest.mark.parametrize("code", ["HW30", "hw999", "HW9999"])
def test_what_looks_like_a_code_is_one_and_no_contracts_name(headway: Run, code: str):
    """No contract has capitals: a digit too few must not ask a server for a contract of that name."""
    result = headway("explain", code)

    assert Exit.UNUSABLE == result.exit_code
    assert f"there is no code {code.upper()}" in result.stderr
    assert re.search("Did you mean HW|three digits", result.stderr)


def test_an_empty_target_is_not_this_folder(headway: Run):
    """`explain "$NAME"` where NAME is unset: not a story of everything that lies here."""
    result = headway("explain", "")

    assert (Exit.UNUSABLE, "") == (result.exit_code, result.stdout)
    assert "error[HW433]" in result.stderr


SPENDER = """contract: shop
owner: team-shop
constraint: {measure: rate, unit: request, per: 1s}
workloads: {other: {}}
upstream: [{contract: workers, spends: 0.05}]
ramp:
  - {stage: open, limit: 40}
  - {stage: grown, limit: 80, when: {requires: {workers: replica}, approval: dba}}
raise_in: work-hours
"""


def test_one_file_of_several_is_explained_without_the_others(headway: Run, tmp_path: Path):
    """Its upstream and its calendar stand in other files; `check` of it alone says so, its story does not need them."""
    (tmp_path / "shop.yaml").write_text(SPENDER)

    explained = headway("explain", str(tmp_path / "shop.yaml"))

    assert (Exit.OK, "") == (explained.exit_code, explained.stderr)
    assert "workers: 0.05 for each unit of this" in explained.stdout
    assert Exit.REFUSED == headway("check", str(tmp_path)).exit_code


def test_a_fault_of_the_file_itself_is_still_told_after_its_story(headway: Run, tmp_path: Path):
    """The names of other files are left out, nothing else is."""
    (tmp_path / "shop.yaml").write_text(SPENDER.replace("approval: dba", "approval: [dba, dba]"))

    explained = headway("explain", str(tmp_path / "shop.yaml"))

    assert Exit.REFUSED == explained.exit_code
    assert ["HW252"] == re.findall(r"error\[(HW\d+)\]", explained.stderr)


@pytest.mark.parametrize(
    "args",
    [
        ("check", "nowhere.yaml"),
        ("explain", "nowhere.yaml"),
        ("apply", "nowhere.yaml", "--yes", "--reason", "x"),
        ("serve", "nowhere.yaml"),
    ],
)
def test_a_file_that_cannot_be_read_ends_every_command_with_two(
    headway: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, args: tuple[str, ...]
):
    """It is unusable input, as `docs/commands.md` says, whoever wanted to read it."""
    monkeypatch.chdir(tmp_path)

    result = headway(*args)

    assert Exit.UNUSABLE == result.exit_code
    assert "HW105" in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("terminal", "environment", "colour"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": ""}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, environment: dict[str, str], colour: bool
):
    """NO_COLOR, set to anything but nothing, and terminals without colour are heard; a pipe gets none either."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(show, "on_terminal", lambda: terminal)

    assert colour == show.coloured()


def test_the_rule_beside_a_finding_is_straight_on_a_line_of_any_number(headway: Run, tmp_path: Path):
    """Line 7 and line 1,007 alike: the bars stand under each other."""
    fault = "contract: api\nowner: team-web\nwrong: 1\n"
    for lines in (0, 1_000):
        (tmp_path / f"{lines}.yaml").write_text("# a line\n" * lines + fault)

        shown = headway("check", str(tmp_path / f"{lines}.yaml")).stdout.splitlines()

        finding = shown[2 : shown.index("")]
        assert 1 == len({re.search(r"[|=]", line).start() for line in finding})  # type: ignore[union-attr]


def test_completion_offers_commands_options_and_words(headway: Run):
    """What a shell asks for and what it is answered; nothing is run."""
    for words, word, offered in [
        ("headway ch", 1, "check"),
        ("headway check --f", 2, "--format"),
        ("headway check --format sa", 3, "sarif"),
        ("headway ledger v", 2, "verify"),
    ]:
        answer = headway(env={"_HEADWAY_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(word)})

        assert [offered] == answer.stdout.split()


def test_the_json_of_what_cannot_be_read_is_json(headway: Run):
    """A script reads why as it reads everything else."""
    findings = json.loads(headway("check", "nowhere.yaml", "--json").stdout)["findings"]

    assert ["HW105"] == [found["code"] for found in findings]
