"""`attach`: the configuration that puts a front before a contract, and whether a front that has it really refuses."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headway.attach import FRONTS, UNTESTED, Attachment, NotAttachable
from headway.attach.attachment import DATA_PLANE
from headway.cli import options
from headway.cli.exits import told
from headway.cli.remote import connect
from headway.cli.show import say, say_json
from headway.server.problems import ServerError

WAIT_S = 10.0
"""Seconds a front may take to answer a test."""

REFUSED = 429

if TYPE_CHECKING:
    from collections.abc import Mapping


@told
def attach(
    front: Annotated[str, typer.Argument(metavar="FRONT", help=", ".join(FRONTS) + ".", show_default=False)],
    name: options.Name,
    workload: Annotated[
        str | None,
        typer.Option("--workload", help="Whose demands these are; else `other`, or the only one.", metavar="NAME"),
    ] = None,
    data_plane: Annotated[
        str, typer.Option("--data-plane", help="Where the front reaches the data plane.", metavar="HOST:PORT")
    ] = DATA_PLANE,
    test: Annotated[
        str | None,
        typer.Option("--test", help="Ask this front whether it really refuses; charges nothing.", metavar="URL"),
    ] = None,
    server: options.Server = None,
    token_file: options.TokenFile = None,
    json: options.AsJson = False,
) -> None:
    if front not in FRONTS:
        raise ServerError("HW433", f"{front!r} is no front; known are {', '.join(FRONTS)}")
    with connect(server, token_file) as remote:
        page = remote.get(f"/v1/contracts/{name}")
    asked = attachment_of(page["document"], workload, data_plane)
    try:
        text = FRONTS[front](asked)
    except NotAttachable as error:
        raise ServerError("HW451", str(error)) from error
    if test is not None:
        _try(front, name, test, json=json)
        return
    if json:
        say_json({"front": front, "contract": name, "configuration": text, "tested": front not in UNTESTED})
        return
    if front in UNTESTED:
        print(f"untested: no {front} was run with this", file=sys.stderr)
    say(text.rstrip())


def _try(front: str, name: str, url: str, *, json: bool) -> None:
    """Sends two requests through a front: a plain one, and one that the check refuses without charging it."""
    import httpx

    if front == "envoy":
        raise ServerError(
            "HW451",
            "Envoy hands descriptors on and no headers, so that a test request cannot be told from others",
            mend="Send more requests than the limit, and look for 429 with `x-envoy-ratelimited`.",
        )
    try:
        with httpx.Client(trust_env=False, timeout=WAIT_S) as client:
            plain = client.get(url)
            refused = client.get(url, headers={"headway-test": "refuse"})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServerError("HW430", f"no answer from {url}: {error}") from error
    refuses = refused.status_code == REFUSED
    said = {"front": front, "contract": name, "url": url, "plain": plain.status_code, "refused": refused.status_code}
    if json:
        say_json({**said, "refuses": refuses})
    elif refuses:
        say(f"{url} refuses: {refused.status_code} where {name} says no, {plain.status_code} else")
    if not refuses:
        raise ServerError(
            "HW452",
            f"{url} answered {refused.status_code} to a request that {name} refuses",
            mend=f"Take over what `headway attach {front} {name}` prints, reload the front, and look at its log.",
        )


def attachment_of(document: Mapping[str, Any], workload: str | None, data_plane: str) -> Attachment:
    """What is attached, from a contract's canonical document.

    Raises:
        ServerError: HW406 for a workload that the contract does not declare, or none where it has several and no `other`.
    """
    name, declared = document["contract"], document.get("workloads") or {"other": {}}
    if workload is None:
        workload = next(iter(declared)) if len(declared) == 1 else "other"
    if workload not in declared:
        raise ServerError("HW406", f"{name} has no workload {workload!r}; it has {', '.join(declared)}")
    constraint = document["constraint"]
    measures = {constraint["measure"]} if "measure" in constraint else {one["measure"] for one in constraint.values()}
    bound: Mapping[str, Any] = next(
        (one["rls"] for one in document.get("enforce", {}).get("bind", []) if "rls" in one), {}
    )
    return Attachment(
        contract=name,
        measure="concurrency" if "concurrency" in measures else min(measures),
        keyed="each" in document,
        workload=workload,
        data_plane=data_plane,
        domain=bound.get("domain", ""),
        descriptor=bound.get("descriptor", {}),
    )
