"""The verbs: each says what it will do, asks, does it, and prints what undoes it.

A verb is shown first by the server's own preview, for the version that was read; what is then done names that version,
so a contract that changed in between is not touched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from headway.cli import options
from headway.cli.exits import Exit, complain, exit_of, told
from headway.cli.remote import Remote, connect, in_path, token_in
from headway.cli.show import say, say_json
from headway.errors import HeadwayError
from headway.server.problems import ServerError

PREVIEW_REASON = "preview"


@dataclass(frozen=True)
class Wish:
    """What is asked of one contract."""

    contract: str
    verb: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@told
def approve(
    name: options.Name,
    stage: Annotated[str | None, typer.Option("--stage", help="The stage; else the next one.", metavar="STAGE")] = None,
    group: Annotated[
        str | None, typer.Option("--as", help="The group; else the one that is asked for.", metavar="GROUP")
    ] = None,
    server: options.Server = None,
    token_file: options.TokenFile = None,
    yes: options.Yes = False,
    reason: options.Reason = None,
    json: options.AsJson = False,
) -> None:
    vet_consent(yes, reason)
    with connect(server, token_file, kind="approver") as remote:
        row = remote.get(f"/v1/contracts/{in_path(name)}")
        body = {
            "stage": stage or _next_stage(row),
            "group": group or _asked_group(row),
            "terms": row["terms_digest"],
            "expect": row["digest"],
        }
        carry_out(remote, [Wish(name, "approve", body)], yes=yes, reason=reason, json=json)


@told
def override(
    name: options.Name,
    value: Annotated[
        list[str],
        typer.Argument(metavar="VALUE", help="The limit: 40, 10k, or requests=100 tokens=5k.", show_default=False),
    ],
    until: Annotated[
        str, typer.Option("--until", help="2h, or an instant with its zone.", metavar="TIME", show_default=False)
    ],
    second: options.Second = None,
    server: options.Server = None,
    token_file: options.TokenFile = None,
    yes: options.Yes = False,
    reason: options.Reason = None,
    json: options.AsJson = False,
) -> None:
    vet_consent(yes, reason)
    headers = _agreed_by(second)
    with connect(server, token_file) as remote:
        row = remote.get(f"/v1/contracts/{in_path(name)}")
        body = {"value": _value_of(value), "until": until, "expect": row["digest"]}
        carry_out(remote, [Wish(name, "override", body, headers)], yes=yes, reason=reason, json=json)


def verb_command(verb: str) -> Callable[..., None]:
    """The command of a verb that takes a reason alone, on the contracts named or chosen."""

    @told
    def command(
        names: options.Names = None,
        all: options.All = False,
        label: options.Labels = None,
        spending: options.Spending = None,
        server: options.Server = None,
        token_file: options.TokenFile = None,
        yes: options.Yes = False,
        reason: options.Reason = None,
        json: options.AsJson = False,
    ) -> None:
        vet_consent(yes, reason)
        with connect(server, token_file) as remote:
            rows = _rows(remote, names, all=all, labels=label, spending=spending)
            wishes = [Wish(row["contract"], verb, {"expect": row["digest"]}) for row in rows]
            carry_out(remote, wishes, yes=yes, reason=reason, json=json)

    return command


@told
def resume(
    names: options.Names = None,
    all: options.All = False,
    label: options.Labels = None,
    spending: options.Spending = None,
    second: options.Second = None,
    server: options.Server = None,
    token_file: options.TokenFile = None,
    yes: options.Yes = False,
    reason: options.Reason = None,
    json: options.AsJson = False,
) -> None:
    vet_consent(yes, reason)
    headers = _agreed_by(second)
    with connect(server, token_file) as remote:
        rows = _rows(remote, names, all=all, labels=label, spending=spending)
        wishes = [Wish(row["contract"], "resume", {"expect": row["digest"]}, headers) for row in rows]
        carry_out(remote, wishes, yes=yes, reason=reason, json=json)


RUNS = frozenset({"running", "completed"})
"""States in which a contract still moves; a verb on many leaves the others out."""


def _rows(
    remote: Remote, names: Sequence[str] | None, *, all: bool, labels: Sequence[str] | None, spending: str | None
) -> list[dict[str, Any]]:
    """The contracts that are named, or chosen: one of both. HW433 where it is neither, or nothing fits."""
    if bool(names) == bool(all or labels or spending):
        raise ServerError("HW433", "name contracts, or choose them by --all, --label or --spending; one of both")
    if names:
        return [remote.get(f"/v1/contracts/{in_path(name)}") for name in dict.fromkeys(names)]
    rows = [row for row in chosen(remote, labels=labels or (), spending=spending) if row["status"] in RUNS]
    if not rows:
        raise ServerError("HW433", "no contract is chosen", because="Nothing that still runs fits what was given.")
    return rows


def chosen(remote: Remote, *, labels: Sequence[str], spending: str | None) -> list[dict[str, Any]]:
    """The rows of all contracts that fit, page by page."""
    rows: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = remote.get("/v1/contracts", label=list(labels) or None, spending=spending, after=after)
        rows += page["contracts"]
        after = page["next"]
    return rows


def carry_out(remote: Remote, wishes: Sequence[Wish], *, yes: bool, reason: str | None, json: bool) -> None:
    """Previews every wish, asks once, does them one by one. One that fails, or that its preview refuses, does not keep the
    others from a try; where none is left, nobody is asked.
    """
    worst = Exit.OK
    possible: list[Wish] = []
    for wish in wishes:
        try:
            preview = _post(remote, wish, reason or PREVIEW_REASON, dry_run=True)
        except HeadwayError as error:
            complain(error)
            worst = max(worst, exit_of(error))
            continue
        possible.append(wish)
        if not (json and yes):
            for line in preview_lines(preview):
                say(line) if not json else print(line, file=sys.stderr)
    if not possible:
        raise typer.Exit(worst)
    told_reason = reason if yes else ask(len(possible), reason)
    outcomes: list[Any] = []
    for wish in possible:
        try:
            outcome = _post(remote, wish, told_reason or "", dry_run=False)
        except HeadwayError as error:
            complain(error)
            worst = max(worst, exit_of(error))
            continue
        outcomes.append(outcome)
        if not json:
            say_done(outcome)
    if json:
        say_json(outcomes)
    if worst is not Exit.OK:
        raise typer.Exit(worst)


def say_done(outcome: Mapping[str, Any]) -> None:
    """What was done, and what undoes it where something does."""
    say(f"done: {outcome['said']}", colour="green")
    if outcome.get("undo"):
        say(f"  undo: {outcome['undo']}")


def vet_consent(yes: bool, reason: str | None) -> None:
    """HW432 unless somebody can be asked or has said yes with a reason."""
    if yes and not (reason or "").strip():
        raise ServerError("HW432", "--yes wants --reason", because="Every change is recorded with who and why.")
    if not yes and not can_ask():
        raise ServerError("HW432", "nobody can be asked, and --yes was not given")


def can_ask() -> bool:
    """Whether a person sits at the other end of stdin."""
    return sys.stdin.isatty()


def ask(wishes: int, reason: str | None) -> str:
    """Asks on the terminal for a yes and, where it was not given, a reason. Exit 1 for a no."""
    if not typer.confirm("Go on?" if wishes == 1 else f"Go on with all {wishes}?", err=True):
        raise typer.Exit(Exit.REFUSED)
    given = (reason or "").strip()
    while not given:
        given = str(typer.prompt("Reason", err=True)).strip()
    return given


def preview_lines(preview: Mapping[str, Any]) -> list[str]:
    """What a verb would do, in words."""
    lines = [f"will do: {preview['said']}"]
    for entry in preview["entries"]:
        own = entry["reason"] == PREVIEW_REASON
        lines.append(f"  {entry['kind']}" if own else f"  {entry['kind']}: {entry['reason']}")
    if preview["affected"]:
        lines.append(f"  affected: {', '.join(preview['affected'])}")
    return lines


def _post(remote: Remote, wish: Wish, reason: str, *, dry_run: bool) -> Any:
    path = f"/v1/contracts/{in_path(wish.contract)}/{wish.verb}"
    query = {"dry_run": 1} if dry_run else {}
    return remote.post(path, {**wish.body, "reason": reason}, headers=wish.headers, **query)


def _agreed_by(second: Path | None) -> Mapping[str, str]:
    """The header that names a second person."""
    return {} if second is None else {"headway-second": token_in(second)}


def _next_stage(row: Mapping[str, Any]) -> str:
    if row["next_stage"] is None:
        raise ServerError("HW433", f"`{row['contract']}` is in its last stage; there is nothing to approve")
    return str(row["next_stage"])


def _asked_group(row: Mapping[str, Any]) -> str:
    """The one group whose approval the next stage asks for."""
    groups = row["approval_groups"]
    if len(groups) != 1:
        because = f"The next stage asks: {', '.join(groups)}." if groups else "The next stage asks for no approval."
        raise ServerError("HW433", "say for which group with --as", because=because)
    return str(groups[0])


def _value_of(words: Sequence[str]) -> str | dict[str, str]:
    if len(words) == 1 and "=" not in words[0]:
        return words[0]
    pairs = [word.partition("=") for word in words]
    if any(not equals or not name for name, equals, _ in pairs) or len({name for name, _, _ in pairs}) < len(pairs):
        raise ServerError("HW433", "the value is neither one number nor DIMENSION=NUMBER for each dimension")
    return {name: value for name, _, value in pairs}
