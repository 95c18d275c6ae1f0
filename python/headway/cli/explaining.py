"""`explain`: a file, a running contract, one refusal, or a code; for people, as JSON, as Markdown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from headway.cli import options
from headway.cli.exits import LINKS, told
from headway.cli.remote import connect, in_path
from headway.cli.show import on_terminal, say, say_json
from headway.contract.faults import Unreadable
from headway.server.problems import ServerError

_CODE = re.compile(r"HW[0-9]+\Z|hw[0-9]{3}\Z")
"""A code, of any length where it is in capitals, which no contract's name has."""


@told
def explain(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A file, a contract's name, hw:REF, or HWxxx.", show_default=False)
    ],
    server: options.Server = None,
    token_file: options.TokenFile = None,
    json: options.AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    if json and markdown:
        raise ServerError("HW433", "--json and --markdown exclude each other")
    if not target:
        raise ServerError("HW433", "the target is empty")
    form = "json" if json else "markdown" if markdown else "text"
    if _CODE.match(target):
        _explain_code(target.upper(), form)
    elif target.startswith("hw:"):
        _explain_ref(target, server, token_file, form)
    elif Path(target).exists() or "/" in target or target.endswith((".yaml", ".yml", ".json")):
        _explain_file(Path(target), form)
    else:
        _explain_running(target, server, token_file, form)


def _explain_code(code: str, form: str) -> None:
    from headway.contract.codes import CODES as OF_DOCUMENTS
    from headway.server.codes import CODES as OF_RUNNING

    page: dict[str, str]
    if code in OF_DOCUMENTS:
        known = OF_DOCUMENTS[code]
        page = {"title": known.title, "because": known.why, "mend": known.mend, "example": known.example}
    elif code in OF_RUNNING:
        running = OF_RUNNING[code]
        page = {"title": running.title, "because": running.because, "mend": running.mend}
    else:
        from difflib import get_close_matches

        near = get_close_matches(code, [*OF_DOCUMENTS, *OF_RUNNING], n=3)
        mend = (
            f"Did you mean {', '.join(near)}?" if near else "A code is HW and three digits, as it stands in an error."
        )
        raise ServerError("HW433", f"there is no code {code}", mend=mend)
    if form == "json":
        say_json({"code": code, **page})
        return
    say(f"# {code}: {page['title']}" if form == "markdown" else f"{code}: {page['title']}", bold=True)
    say(f"\n{page['because']}")
    if "example" in page:
        example = page["example"].splitlines()
        say("\nFor example:\n")
        fence = form == "markdown"
        for line in ["```yaml", *example, "```"] if fence else [f"    {line}" for line in example]:
            say(line)
    say(f"\nTo mend it: {page['mend']}")


def _explain_file(path: Path, form: str) -> None:
    from headway.contract.read import read_paths
    from headway.contract.story import explain_contract

    reading = read_paths([path])
    # One file of several names contracts that stand in others: `check` of all of them tells which are nowhere.
    faults = [found for found in reading.findings if found.code not in LINKS]
    if not reading.contracts:
        if faults:
            raise Unreadable(faults)
        raise ServerError("HW433", f"{path} holds no contract")
    stories = [explain_contract(contract) for contract in reading.contracts.values()]
    if form == "json":
        say_json([story.as_json() for story in stories])
    else:
        say("\n\n".join(story.as_markdown() if form == "markdown" else story.as_text() for story in stories))
    if any(found.severity == "error" for found in faults):
        raise Unreadable(faults)


def _explain_running(name: str, server: str | None, token_file: Path | None, form: str) -> None:
    from headway.cli.story import contract_lines, markdown_of

    with connect(server, token_file) as remote:
        story = remote.get(f"/v1/contracts/{in_path(name)}/explain")
        if form == "json":
            say_json(story)
            return
        page = remote.get(f"/v1/contracts/{in_path(name)}")
    _say(contract_lines(story, page["ramp"], pictures=on_terminal() and form == "text"), form, markdown_of)


def _explain_ref(ref: str, server: str | None, token_file: Path | None, form: str) -> None:
    from headway.cli.story import markdown_of, refusal_lines

    with connect(server, token_file) as remote:
        story = remote.get(f"/v1/explain/{in_path(ref)}")
    if form == "json":
        say_json(story)
        return
    _say(refusal_lines(story), form, markdown_of)


def _say(lines: list[Any], form: str, markdown_of: Any) -> None:
    if form == "markdown":
        say(markdown_of(lines))
        return
    for line in lines:
        say(line.text, colour=line.colour, bold=line.bold)
