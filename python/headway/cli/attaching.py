"""`attach`: the configuration that puts a front before a contract, and whether a front that has it really refuses."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from headway.attach import FRONTS, UNTESTED, Attachment, NotAttachable
from headway.attach.attachment import DATA_PLANE
from headway.cli import options
from headway.cli.exits import told
from headway.cli.remote import connect, in_path
from headway.cli.show import say, say_json
from headway.server.problems import ServerError

WAIT_S = 10.0
"""Seconds a front may take to answer a test."""

REFUSED = 429

if TYPE_CHECKING:
    from headway.contract.model import Contract


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
    from json import dumps

    from headway.contract.canonical import from_canonical
    from headway.server.listen import address_of

    if front not in FRONTS:
        raise ServerError("HW433", f"{front!r} is no front; known are {', '.join(FRONTS)}")
    if front == "envoy" and workload is not None:
        raise ServerError("HW433", "Envoy asks by descriptor and names no workload: leave --workload out")
    address_of(data_plane)
    with connect(server, token_file) as remote:
        page = remote.get(f"/v1/contracts/{in_path(name)}")
    asked = attachment_of(from_canonical(dumps(page["document"])), workload, data_plane)
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


def attachment_of(contract: Contract, workload: str | None, data_plane: str) -> Attachment:
    """What is attached of a contract.

    Raises:
        ServerError: HW406 for a workload that the contract does not declare, or none where it has several and no `other`.
    """
    from headway.engine.specs import workload_of, workloads_of

    declared, asks = workloads_of(contract), workload_of(contract, workload)
    if asks not in declared:
        raise ServerError("HW406", f"{contract.name} has no workload {asks!r}; it has {', '.join(declared)}")
    measures = {constraint.measure for constraint in contract.constraint.values()}
    bound = next((bind.rls for bind in contract.enforce.bind if bind.rls is not None), None)
    divided = next((bind.rlqs for bind in contract.enforce.bind if bind.rlqs is not None), None)
    domain = next((one.domain for one in (divided, bound) if one is not None), "")
    return Attachment(
        contract=contract.name,
        measure="concurrency" if "concurrency" in measures else min(measures),
        keyed=contract.each is not None,
        workload=asks,
        data_plane=data_plane,
        domain=domain,
        descriptor={} if bound is None else bound.descriptor,
        post_paid=bound is not None and bound.post_paid,
        bucket={} if divided is None else divided.bucket,
        attributes=contract.attributes if workload is None else (),
    )
