"""`apply` and `event`: what goes to a server as it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli import options
from headway.cli.acting import ask, say_done, vet_consent
from headway.cli.exits import LINKS, told
from headway.cli.remote import connect
from headway.cli.show import say, say_json
from headway.contract.faults import Unreadable

if TYPE_CHECKING:
    from headway.contract.read import Reading

EVENT_SOURCE = "urn:headway:cli"


@told
def apply(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file or a folder.", show_default=False)],
    expect: Annotated[
        str | None, typer.Option("--expect", help="Only if this is the digest of what is applied.", metavar="DIGEST")
    ] = None,
    server: options.Server = None,
    token_file: options.TokenFile = None,
    yes: options.Yes = False,
    reason: options.Reason = None,
    json: options.AsJson = False,
) -> None:
    from headway.contract.read import read_paths

    vet_consent(yes, reason)
    reading = read_paths([path])
    if faults := [one for one in reading.findings if one.severity == "error" and one.code not in LINKS]:
        raise Unreadable(faults)
    for name, contract in reading.contracts.items():
        stages = " -> ".join(stage.name for stage in contract.ramp)
        print(f"apply {name} of {contract.owner}: {stages}", file=sys.stderr)
    told_reason = reason if yes else ask(len(reading.contracts), reason)
    with connect(server, token_file) as remote:
        headers = {"content-type": "application/yaml"}
        outcome = remote.post_bytes("/v1/apply", _text_of(reading), headers, reason=told_reason, expect=expect)
    if json:
        say_json(outcome)
        return
    say_done(outcome)


@told
def event(
    type: Annotated[str, typer.Argument(metavar="TYPE", help="The event's type.", show_default=False)],
    source: Annotated[str, typer.Option("--source", help="Where it comes from.", metavar="URI")] = EVENT_SOURCE,
    id: Annotated[
        str | None, typer.Option("--id", help="What tells it from others of its source; else a new one.", metavar="ID")
    ] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="What it is about.", metavar="TEXT")] = None,
    server: options.Server = None,
    token_file: options.TokenFile = None,
    json: options.AsJson = False,
) -> None:
    from json import dumps
    from uuid import uuid4

    attributes = {"specversion": "1.0", "type": type, "source": source, "id": id or str(uuid4())}
    attributes |= {"subject": subject} if subject is not None else {}
    with connect(server, token_file) as remote:
        headers = {"content-type": "application/cloudevents+json"}
        answer = remote.post_bytes("/v1/events", dumps(attributes).encode(), headers)
    if json:
        say_json(answer)
        return
    say(f"accepted: {type} {attributes['id']} from {source}")
    for outcome in answer["outcomes"]:
        say(f"  {outcome['said']}")
    if not answer["outcomes"]:
        say("  no contract waits for it")


def _text_of(reading: Reading) -> bytes:
    """The files that were read, as one stream of documents in the order in which they were."""
    files = {document.source.file: document.source.data for document in reading.documents}
    return b"\n---\n".join(files.values())
