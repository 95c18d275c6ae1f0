"""Which version of each contract was in force by when: seen by the shop as Headway tells its listeners of changes."""

from __future__ import annotations

import threading

from examples.shop.count import Count
from headway import Headway


class Publications:
    """Writes into the count, in a thread of its own, as soon as a change is told; that is after it is in force.

    `close` before the count is closed.
    """

    def __init__(self, hw: Headway, count: Count) -> None:
        self._hw = hw
        self._count = count
        self._changes = hw.engine.subscribe()
        for name in hw.engine.names():
            self._note(name)
        self._thread = threading.Thread(target=self._run, name="shop-publications", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread and waits for that."""
        self._changes.close()
        self._thread.join()

    def _run(self) -> None:
        for change in self._changes:
            if change.contract:
                self._note(change.contract)

    def _note(self, name: str) -> None:
        self._count.published(name, self._hw.engine.contract(name).curve.version)
