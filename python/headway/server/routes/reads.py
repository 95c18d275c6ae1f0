"""What a viewer may ask: contracts, their course, why, and what differs. All of it from snapshots; nothing waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query

from headway.server.answers import page_of, row_of
from headway.server.plain import plain
from headway.server.problems import ServerError
from headway.server.rights import Viewer
from headway.server.routes.described import READ_ERRORS, ROW, answers

if TYPE_CHECKING:
    from headway.engine.engine import Engine, Running

Name = Annotated[str, Path(min_length=1, max_length=200, description="A contract's name.")]

PAGE_MOST = 1000
"""Rows of one page of contracts; `next` names where the next page begins."""


def reads(engine: Engine) -> APIRouter:
    """The read-only routes over one engine."""
    router = APIRouter(tags=["read"])

    @router.get("/v1/contracts", responses=answers({"contracts": [ROW], "next": None}, *READ_ERRORS))
    def contracts(
        _: Viewer,
        label: Annotated[list[str], Query(max_length=16, description="`NAME=VALUE`; all of several.")] = [],  # noqa: B006
        owner: Annotated[str | None, Query(max_length=200)] = None,
        spending: Annotated[str | None, Query(max_length=200, description="Only what spends this contract.")] = None,
        after: Annotated[str, Query(max_length=200, description="`next` of the page before.")] = "",
        most: Annotated[int, Query(ge=1, le=PAGE_MOST)] = PAGE_MOST,
    ) -> dict[str, Any]:
        """Lists contracts by name, with the limit in force and where each stands."""
        labels = [_label_of(text) for text in label]
        if spending is not None:
            engine.contract(spending)
        chosen = [
            running
            for running in engine.all()
            if running.contract.name > after and _fits(running, labels=labels, owner=owner, spending=spending)
        ]
        chosen.sort(key=lambda running: running.contract.name)
        page = chosen[:most]
        return {
            "contracts": [row_of(running) for running in page],
            "next": page[-1].contract.name if len(chosen) > most else None,
        }

    @router.get(
        "/v1/contracts/{name}",
        responses=answers({**ROW, "document": {"contract": "orders-db"}, "conditions": []}, *READ_ERRORS),
    )
    def contract(name: Name, _: Viewer) -> dict[str, Any]:
        """One contract: its row, its document in canonical form, the conditions of its next stage."""
        return page_of(engine.contract(name))

    @router.get(
        "/v1/contracts/{name}/timeline", responses=answers({"past": [], "ahead": [], "marks": []}, *READ_ERRORS)
    )
    def timeline(
        name: Name,
        _: Viewer,
        from_ms: Annotated[int | None, Query(alias="from", ge=0, le=2**53, description="UTC milliseconds.")] = None,
        to_ms: Annotated[int | None, Query(alias="to", ge=0, le=2**53, description="UTC milliseconds.")] = None,
        most: Annotated[int, Query(ge=1, le=5000)] = 500,
    ) -> Any:
        """The limit's course: what was in force and why, and what is decided or expected ahead."""
        if from_ms is not None and to_ms is not None and from_ms > to_ms:
            raise ServerError("HW422", "`from` is after `to`")
        return plain(engine.timeline(name, from_ms=from_ms, to_ms=to_ms, most=most))

    @router.get("/v1/contracts/{name}/explain", responses=answers({"contract": "orders-db", "why": "…"}, *READ_ERRORS))
    def explain(name: Name, _: Viewer) -> Any:
        """Why this number, since when and by whom; what the next stage waits for, condition by condition."""
        return plain(engine.explain(name))

    @router.get("/v1/explain/{ref}", responses=answers({"ref": "hw:7f3a", "contract": "orders-db"}, *READ_ERRORS))
    def explain_ref(ref: Annotated[str, Path(min_length=1, max_length=64)], _: Viewer) -> Any:
        """The story of one refusal, by the reference it carried."""
        return plain(engine.explain_ref(ref))

    @router.get("/v1/drift", responses=answers({"drift": []}, *READ_ERRORS))
    def drift(_: Viewer) -> Any:
        """Files that differ from what was applied."""
        return {"drift": plain(engine.drift())}

    @router.get("/v1/clock", responses=answers({"suspect": False, "reason": "", "since_ms": None}, *READ_ERRORS))
    def clock(_: Viewer) -> Any:
        """Whether the clock is suspected, and raises therefore wait."""
        return plain(engine.clock_status())

    return router


def _label_of(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ServerError("HW422", f"the label `{text[:80]}` is not NAME=VALUE")
    return name, value


def _fits(running: Running, *, labels: list[tuple[str, str]], owner: str | None, spending: str | None) -> bool:
    contract = running.contract
    return (
        all(name in contract.labels and str(contract.labels[name]) == value for name, value in labels)
        and owner in (None, contract.owner)
        and (spending is None or any(spend.contract == spending for spend in contract.upstream))
    )
