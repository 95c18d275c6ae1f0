"""What is read and checked and not acted on yet: running a document that uses it is refused, never silently less.

`headway check` takes such documents as valid; `serve`, `open` and `apply` ask here first. Each entry says which field,
where, and what works today.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from headway.contract.documents import Authored, Loc
from headway.contract.faults import Finding
from headway.contract.model import Contract, Rollout, Server, Team
from headway.contract.rules.conditions import triggers

__all__ = ["not_yet"]

_Use = tuple[Loc, str, str]
"""Where it stands, what it is, and what works today."""

_LATER = (
    "yet",
    "remove it; the Python library and its middleware enforce today, and `rls` and `rlqs` through `headway serve`",
)
_SERVED = ("here", "run it with `headway serve`, whose data plane answers Envoy")
_NEVER_CUT_OFF = (
    "remove it: one process is never cut off from itself; `headway serve` and those who connect to it may be"
)
_NO_GATES = "run it with `headway serve`, to which gates connect, or remove `gates`: nobody else could have their parts"
_BINDINGS = {"rls": _SERVED, "rlqs": _SERVED}
"""Where a binding is not acted on, and what works today."""

_CONDITIONS = "not_before, soak, event, approval and requires work today"


def not_yet(documents: Iterable[Authored], answered: Collection[str] = ()) -> list[Finding]:
    """The findings HW290 of everything that is not acted on here; empty where all of it may run.

    Args:
        documents: What would run.
        answered: What whoever runs them answers: bindings to `rls` and `rlqs`, and `gates`, where there is a data plane;
            and `postgresql` where the ledger is in such a store.
    """
    return [
        document.finding("HW290", f"{what} is read and checked, and not acted on {where}", loc, key=True, mend=today)
        for document in documents
        for loc, what, today, where in _uses(document, answered)
    ]


def _uses(document: Authored, answered: Collection[str]) -> Iterator[tuple[Loc, str, str, str]]:
    for loc, what, today in _later(document):
        yield loc, what, today, "yet"
    if isinstance(document.model, Contract) and not document.model.abstract:
        if document.model.enforce.when_cut_off is not None and "gates" not in answered:
            yield ("enforce", "when_cut_off"), "`when_cut_off`", _NEVER_CUT_OFF, "here"
        if document.model.enforce.gates is not None and "gates" not in answered:
            yield ("enforce", "gates"), "`gates`", _NO_GATES, "here"
        for index, bind in enumerate(document.model.enforce.bind):
            if bind.kind not in answered:
                here, today = _BINDINGS.get(bind.kind, _LATER)
                yield ("enforce", "bind", index, bind.kind), f"binding to `{bind.kind}`", today, here
    if isinstance(document.model, Server) and document.model.store is not None:
        kind = document.model.store.partition(":")[0]
        if kind != "sqlite" and kind not in answered:
            yield ("store",), "a store other than SQLite", "start `headway serve` with this document", "here"


def _later(document: Authored) -> Iterator[_Use]:
    model = document.model
    if isinstance(model, Contract) and not model.abstract:
        yield from _triggers(model)
        yield from _ramp(model)
    elif isinstance(model, Rollout):
        yield ("rollout",), "a rollout", "leave the document out; its contracts run without it"
    elif isinstance(model, Team):
        if model.tell:
            yield ("tell",), "`tell` of a team", "remove `tell`; members approve through the API and the command line"
        if model.escalate is not None:
            yield ("escalate",), "`escalate` of a team", "remove `escalate`"
    elif isinstance(model, Server):
        yield from _server(model)


def _triggers(contract: Contract) -> Iterator[_Use]:
    for loc, group in triggers(contract):
        if group.metric:
            yield (*loc, "metric"), "a metric as a trigger", f"use another condition: {_CONDITIONS}"


def _ramp(contract: Contract) -> Iterator[_Use]:
    for index, stage in enumerate(contract.ramp):
        if stage.was is not None:
            yield ("ramp", index, "was"), "`was` (renaming a stage in an amendment)", "remove `was`; first versions run"
    if contract.guards:
        yield ("guards",), "a guard", "remove `guards`; hold or step back by hand: `headway hold`, `headway step-back`"
    if contract.locked is not None:
        yield ("locked",), "`locked`", "remove `locked`; amendments are not applied yet either"
    if contract.trial_ms is not None:
        yield ("trial",), "`trial`", "remove `trial`; `enforce: {mode: observe}` decides and admits"


def _server(server: Server) -> Iterator[_Use]:
    if server.oidc is not None:
        yield ("oidc",), "sign-in by OIDC", "remove `oidc`; use `tokens`"
    if server.tls is not None:
        yield ("tls",), "TLS", "remove `tls`; listen on loopback, behind a proxy that speaks TLS"
    if server.signers:
        yield ("signers",), "`signers`", "remove `signers`; tokens and roles say who may apply"
