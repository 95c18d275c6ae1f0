"""The ledger, page by page, and whether it still is what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from headway.server.answers import entry_of, replayed_of
from headway.server.plain import plain
from headway.server.rights import Viewer
from headway.server.routes.described import ENTRY, READ_ERRORS, answers

if TYPE_CHECKING:
    from headway.engine.engine import Engine

PAGE_MOST = 1000
Contract = Annotated[str | None, Query(max_length=200, description="Only entries of this contract.")]


def ledger_routes(engine: Engine) -> APIRouter:
    """The routes that read the ledger of one engine."""
    router = APIRouter(tags=["ledger"])

    @router.get("/v1/ledger", responses=answers({"entries": [ENTRY], "next": 43}, *READ_ERRORS, 503))
    def entries(
        _: Viewer,
        after: Annotated[int, Query(ge=0, le=2**53, description="Entries after this one, oldest first.")] = 0,
        most: Annotated[int, Query(ge=1, le=PAGE_MOST)] = 100,
        contract: Contract = None,
    ) -> dict[str, Any]:
        """Entries in order. `next` is the `after` of the next page; null at the end."""
        page = [entry_of(record) for record in engine.ledger().records(after, most, contract)]
        return {"entries": page, "next": page[-1]["seq"] if len(page) == most else None}

    @router.get("/v1/ledger/tail", responses=answers({"entries": [ENTRY]}, *READ_ERRORS, 503))
    def tail(
        _: Viewer, most: Annotated[int, Query(ge=1, le=PAGE_MOST)] = 20, contract: Contract = None
    ) -> dict[str, Any]:
        """The latest entries, oldest first."""
        return {"entries": [entry_of(record) for record in engine.ledger().tail(most, contract)]}

    @router.get(
        "/v1/ledger/verify",
        responses=answers({"ok": True, "records": 42, "bad_seq": None, "problem": ""}, *READ_ERRORS, 503),
    )
    def verify(_: Viewer) -> Any:
        """Checks the chain, its order, and that every state equals its replay."""
        return plain(engine.ledger().verify())

    @router.get(
        "/v1/ledger/replay",
        responses=answers({"orders-db": {"stage": 0, "stage_name": "single", "status": "running"}}, *READ_ERRORS, 503),
    )
    def replay(_: Viewer) -> Any:
        """Folds all entries: the states they lead to, by contract."""
        return replayed_of(engine.ledger().load())

    return router
