"""Being told that slots are asked back: what a contract under `recall: ask`, `idle` or `end` says to those who hold above a cut.

    limiter = hw.limiter("orders-db", "reports")
    stop = headway.on_recall(limiter, lambda units: print(f"{units} connections too many"))

A cut may come from the engine, from a planned fall of the curve, or from a server, and nothing in a limiter runs by itself.
So one thread looks at all limiters that are watched, twenty times a second: reading the number is a few loads.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Lock, Thread

from headway._core import Limiter

__all__ = ["on_recall"]

LOOK_S = 0.05
"""How often the thread looks."""

_log = logging.getLogger("headway")


@dataclass(eq=False)
class _Watched:
    limiter: Limiter
    callback: Callable[[int], object]
    told: int = 0


class Recalling:
    """Limiters that are watched, and who is told."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._watched: list[_Watched] = []
        self._thread: Thread | None = None
        self._pause = Event()

    def watch(self, limiter: Limiter, callback: Callable[[int], object]) -> Callable[[], None]:
        """See `on_recall`; does not look by itself."""
        one = _Watched(limiter, callback)
        with self._lock:
            self._watched.append(one)

        def stop() -> None:
            with self._lock:
                if one in self._watched:
                    self._watched.remove(one)

        return stop

    def look(self) -> None:
        """Tells whoever is asked for another number of units than before."""
        with self._lock:
            watched = list(self._watched)
        for one in watched:
            _tell(one)
            # Who has given back at once hears of that now: the same number may be asked again before the next look.
            _tell(one)

    def begin(self) -> None:
        """Looks from now on, in a thread, for as long as somebody is watched."""
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="headway-recall", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self.look()
            with self._lock:
                if not self._watched:
                    self._thread = None
                    return
            self._pause.wait(LOOK_S)


def _tell(one: _Watched) -> None:
    units = one.limiter.recalled
    if units == one.told:
        return
    one.told = units
    try:
        one.callback(units)
    except Exception:
        # Whoever else is asked must hear of it all the same.
        _log.exception("a callback of on_recall failed, for %r", one.limiter)


_recalling = Recalling()


def _forked() -> None:
    # The thread is the parent's, and so is what its limiters hold.
    global _recalling
    _recalling = Recalling()


os.register_at_fork(after_in_child=_forked)


def on_recall(limiter: Limiter, callback: Callable[[int], object]) -> Callable[[], None]:
    """Calls back when the units that are asked back of this process change, within a twentieth of a second.

    Args:
        limiter: Of a contract under `recall: ask`, `idle` or `end`; of any other nothing is ever asked back.
        callback: Called with `limiter.recalled`, 0 included once nothing is asked back any more; in a thread of its own,
            one call after the other, so it should be short. An asyncio loop takes it by `loop.call_soon_threadsafe`.
            What it raises is logged.

    Returns:
        What ends it. A forked child watches nothing: call `on_recall` there.
    """
    stop = _recalling.watch(limiter, callback)
    _recalling.begin()
    return stop
