"""What the demo says: moments, screen, commands to type."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from examples.shop.count import Said
from examples.shop.glance import COLUMNS, Glance, Pace, Waiting, in_words
from examples.shop.moments import moments
from examples.shop.person import Wanted, commands, wanted
from examples.shop.screen import bar, picture, screen, shell_lines

POOL = Glance(
    name="orders-db",
    unit="connections at once",
    limit=6,
    use=3,
    course=(6.0,) * COLUMNS,
    stage="launch",
    stages=(("launch", 6), ("replica", 16)),
    climbing=False,
    completed=False,
    upcoming="replica",
    waiting=(
        Waiting("event", "replica.promoted", False, "the event replica.promoted"),
        Waiting("approval", "approval by dba", False, "dba to approve"),
    ),
    admitted=10,
    refused={},
)


def test_the_first_look_says_what_is_in_force():
    """Within a second of a start there is a limit on screen."""
    assert ["orders-db: 6 connections at once in force, stage launch"] == moments([], [POOL])


def test_nothing_new_is_not_told():
    """Use goes up and down all the time; that is for the bar."""
    assert [] == moments([POOL], [replace(POOL, use=5, admitted=20)])


def test_the_first_refusal_of_each_workload_is_told_once():
    """Browsing is refused first; more of the same is no news."""
    refused = replace(POOL, refused={"browsing": 1})

    assert ["orders-db: the first refusal of browsing, at 6 connections at once"] == moments([POOL], [refused])
    assert [] == moments([refused], [replace(refused, refused={"browsing": 9})])


def test_a_stage_is_told_when_it_is_entered_and_when_it_has_arrived():
    """A step arrives at once, a climb later."""
    climbing = replace(POOL, stage="replica", climbing=True, upcoming="", waiting=())
    arrived = replace(climbing, climbing=False, limit=16)

    assert ["orders-db: stage replica entered, climbing from 6 to 16 connections at once"] == moments(
        [POOL], [climbing]
    )
    assert ["orders-db: stage replica arrived at 16 connections at once"] == moments([climbing], [arrived])
    assert ["orders-db: stage replica entered, a step from 6 to 16 connections at once"] == moments([POOL], [arrived])


def test_a_condition_that_comes_to_hold_is_told_with_what_is_left():
    """The event is seen; what is left is the approval."""
    seen = replace(POOL, waiting=(replace(POOL.waiting[0], met=True), POOL.waiting[1]))

    assert [
        "orders-db: for stage replica, now holds: replica.promoted",
        "orders-db: stage replica waits only for: dba to approve",
    ] == moments([POOL], [seen])


def test_a_soak_that_goes_on_is_told_once():
    """6 s more, 5 s more, 4 s more: that is for the screen."""
    six, five = (
        replace(POOL, waiting=(Waiting("soak", "6s with use above 40%", False, f"{left} more"),))
        for left in ("6s", "5s")
    )

    assert ["orders-db: stage replica waits only for: 6s more"] == moments([POOL], [six])
    assert [] == moments([six], [five])


def test_the_approval_is_asked_for_only_when_all_else_holds():
    """As Headway itself asks: before, a yes would be given on what is not there yet."""
    assert Wanted("replica", event=True, approval=False) == wanted("replica", [("event", False), ("approval", False)])
    assert Wanted("replica", event=False, approval=True) == wanted("replica", [("event", True), ("approval", False)])
    assert Wanted("", event=False, approval=False) == wanted("", [])


def test_the_command_is_shown_exactly_as_it_must_be_typed():
    """Usual places need no options; others are named."""
    usual = commands(Wanted("replica", event=False, approval=True), "http://127.0.0.1:7700", Path(".headway"))
    other = commands(Wanted("", event=True, approval=False), "http://127.0.0.1:7799", Path("/tmp/shop"))

    assert ["approve orders-db --stage replica --as dba"] == [command.partition(" ")[2] for command in usual]
    elsewhere = "--server http://127.0.0.1:7799 --token-file /tmp/shop/tokens/local"
    assert [f"event replica.promoted --source /shop/operations {elsewhere}"] == [
        command.partition(" ")[2] for command in other
    ]


def test_the_bar_is_full_at_the_limit_and_no_longer():
    """Debt and draining show as full, the numbers say how much."""
    assert bar(POOL).plain.startswith("█" * 15 + "·" * 15 + "  3 of 6 connections at once")
    assert bar(replace(POOL, use=9)).plain.startswith("█" * 30 + "  9 of 6")
    assert bar(replace(POOL, use=0)).plain.startswith("·" * 30)


def test_the_picture_rises_with_the_limit():
    """Half the way at the first stage, full at the last one."""
    halves = (8.0,) * (COLUMNS // 2) + (16.0,) * (COLUMNS // 2)

    assert "▄" * (COLUMNS // 2) + "█" * (COLUMNS // 2) == picture(replace(POOL, course=halves))


def test_the_screen_shows_limit_conditions_commands_and_sentences():
    """Everything the watcher needs is on one screen."""
    lookups = replace(POOL, name="visitor-lookups", stages=(("now", 10),), upcoming="", waiting=())
    console = Console(width=120)
    with console.capture() as shown:
        console.print(
            screen(
                [*[POOL] * 4, lookups, lookups],
                [Said(1, "orders-db", "checkout", "orders-db is full [hw:1]")],
                "12 s",
                ["approve it"],
            )
        )

    assert len(shown.get().splitlines()) <= 24
    for words in (
        "orders-db",
        "3 of 6 connections at once",
        "dba to approve",
        "approve it",
        "orders-db is full [hw:1]",
    ):
        assert words in shown.get()


def test_a_contract_of_one_stage_takes_one_line():
    """Use, limit and refusals beside its name: there is no ramp to show."""
    relay = replace(POOL, name="mail-relay", stages=(("now", 6),), upcoming="", waiting=())
    console = Console(width=120)
    with console.capture() as shown:
        console.print(screen([relay], [], "12 s", []))

    (line,) = [line for line in shown.get().splitlines() if "mail-relay" in line]
    assert "█████·····  3 of 6 connections at once; refused " in line
    assert "admitted)" in line
    assert "ramp" not in shown.get()


def test_a_command_can_be_pasted_from_any_width():
    """Cut at the edge of the screen it would be another command; continued with backslashes it is the same one."""
    (command,) = commands(Wanted("", event=True, approval=False), "http://127.0.0.1:7799", Path("/tmp/shop"))
    for width in (60, 80, 100, 300):
        lines = shell_lines(command, width)

        assert all(len(line) <= width for line in lines)
        assert shlex.split(command) == shlex.split("\n".join(lines).replace("\\\n", ""))
    assert ["  " + command] == shell_lines(command, 300)


def test_a_narrow_screen_cuts_no_name_and_no_command():
    """80 columns by 24 lines: sentences end in an ellipsis, names and commands do not."""
    (command,) = commands(Wanted("", event=True, approval=False), "http://127.0.0.1:7799", Path("/tmp/shop"))
    stages = tuple((f"a-stage-of-name-{number}", 6.0) for number in range(6))
    glances = [
        replace(POOL, name=name, upcoming="generous", stages=stages)
        for name in ("a-contract-of-name", "tenant-exports")
    ]
    console = Console(width=80)
    with console.capture() as shown:
        console.print(screen(glances, [Said(1, "orders-db", "checkout", "full " * 40)], "12 s " * 40, [command]))
    lines = shown.get().splitlines()

    assert all(len(line) <= 80 for line in lines)
    assert all(words in shown.get() for words in ("a-contract-of-name", "tenant-exports", "generous needs"))
    assert lines[0].endswith("…")
    assert lines[2].endswith("…")
    asked = lines.index("your turn, in a second terminal:") + 1
    typed = lines[asked : asked + len(shell_lines(command, 80))]
    assert shlex.split(command) == shlex.split("\n".join(typed).replace("\\\n", ""))


def test_a_pace_looks_back_one_second():
    """100 in the last second, whatever came before."""
    pace = Pace()
    looks = [pace.of(total, at_ns) for total, at_ns in [(0, 0), (500, 1_000_000_000), (600, 2_000_000_000)]]

    assert [0.0, 500.0, 100.0] == looks


def test_units_are_told_with_their_period():
    """As a person would say them."""
    assert "requests a second" == in_words("rate", "request", 1000)
    assert "lookups in 1.5 s" == in_words("rate", "lookup", 1500)
    assert "exports a day" == in_words("quota", "export", "day")
    assert "workers at once" == in_words("concurrency", "worker", None)
