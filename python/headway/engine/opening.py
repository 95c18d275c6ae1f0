"""Which ledger an engine is opened over: the file in its data folder, or a database that others can reach."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from headway._core import Meters
from headway.engine.folder import LEDGER, Folder
from headway.engine.mandate import Mandate
from headway.errors import DataFolder
from headway.ledger import Database, Ledger

NAME_MOST = 200
"""Characters of a machine's name."""


def open_ledger(
    folder: Folder, store: Database | None, meters: Meters, *, standby: bool, say: Callable[[str], None]
) -> tuple[Ledger, Mandate | None]:
    """Opens the ledger; of a database's it takes the mandate, and renews it from then on.

    Args:
        folder: Locked: whoever has it is alone with the file in it.
        store: The database; None for the folder's own file.
        meters: They decide while the mandate lasts.
        standby: Whether to wait while another server has it.
        say: Told for whom this waits.

    Raises:
        Busy: Another server has the mandate, and this is no standby.
        DataFolder: There is a ledger in the folder beside the store: what it counted would be forgotten.
        LedgerStopped: The ledger is damaged, read-only, full, failing, or cannot be reached.
    """
    if store is None:
        return Ledger.open(folder.ledger), None
    if os.path.lexists(folder.ledger):
        raise DataFolder(
            "the data folder holds a ledger of its own",
            because=f"`{LEDGER}` lies in it, and the store is {store.where}",
            mend="name another folder with --data; what was counted here does not count there",
            where=str(folder.path),
        )
    ledger = Ledger.shared(store)
    try:
        holder = f"process {os.getpid()} on {socket.gethostname()[:NAME_MOST]}"
        mandate = Mandate(ledger, meters, meters.clock, holder)
        mandate.acquire(standby=standby, say=say)
    except BaseException:
        ledger.close()
        raise
    mandate.start()
    return ledger, mandate
