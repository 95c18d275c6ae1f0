"""What `--store` names: a folder with a ledger's file in it, or a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headway.server.problems import ServerError

if TYPE_CHECKING:
    from headway.ledger import Database


def named(store: str) -> Path | Database:
    """The folder of `sqlite:///DIR/ledger.db`, or the database of `postgresql://…`. HW433 where it is neither."""
    from headway.contract.addresses import store_of
    from headway.contract.mistake import Mistake
    from headway.engine.folder import LEDGER
    from headway.ledger import Database

    try:
        store_of(store)
        if store.startswith("postgresql:"):
            return Database.of(store)
    except Mistake as mistake:
        raise ServerError("HW433", f"--store: {mistake.problem}", mend=mistake.mend or "") from mistake
    path = Path(store.removeprefix("sqlite:///"))
    if path.name != LEDGER:
        raise ServerError("HW433", f"--store is not sqlite:///DIR/{LEDGER}")
    return path.parent
