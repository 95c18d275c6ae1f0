"""`headway.open`: engine, keeper and gate in the user's own process, over one data folder.

The engine moves the contracts in a thread of its own; decisions are the compiled core's and take no lock of it. One
data folder has one engine: a second process, or a forked child, gets HW501.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from headway._core import Limiter
from headway.enforce.attributes import Attributes, pairs_of
from headway.enforce.http import Tell
from headway.engine.engine import Engine
from headway.engine.specs import workloads_of
from headway.errors import UnknownWorkload

if TYPE_CHECKING:
    from headway.server import Serving

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def open(path: Paths | None, *, data: str | os.PathLike[str] | None = None, listen: str | None = None) -> Headway:
    """Opens contracts: takes them up where the ledger left them, enforces them in this process, moves them along.

    Args:
        path: A contract file, a folder of them, or several of either. Applied once, when the ledger is empty; later a
            file that differs is *drift*, which is shown and changes nothing. None: what the ledger already holds.
        data: The data folder, with the ledger (made 0700 where absent). Without it `.headway` beside the first path,
            or in the working directory where there is no path.
        listen: `HOST:PORT`, usually "127.0.0.1:7700": serves the API, for `headway explain` and `headway approve`, in
            a thread of this process, and prints where it listens and where the tokens lie. Without it no socket is
            opened.

    Returns:
        A `Headway`; use it as a context manager or `close()` it, so that the marks are saved and a restart goes on
        where this one ended. After a crash rates start empty instead, so that no burst is handed out twice.

    Raises:
        headway.contract.faults.Unreadable: The documents are not valid, or use what cannot run yet; every fault is
            listed with its line and a mend.
        headway.HeadwayError: HW501, another process, or the parent of this forked one, has the data folder open;
            HW502 to HW505, the ledger is damaged, read-only, full or failing; HW522, the folder cannot be used.
        ValueError: `listen` is not HOST:PORT.
        OSError: The address is taken.

    Units:
        Times are seconds (`timeout=2.5`); amounts are whole units of the contract (`units=3`).

    Example:
        >>> import headway
        >>> with headway.open("contracts/") as hw:          # doctest: +SKIP
        ...     api = hw.limiter("api")
        ...     answer = api.try_acquire()
        ...     if not answer:
        ...         print(answer, answer.retry_after_s)     # api is full: 100 of 100 requests a second. ...
    """
    engine = Engine.open(_paths(path), data=None if data is None else Path(data))
    try:
        serving = None if listen is None else _serve(engine, listen)
    except BaseException:
        engine.close()
        raise
    return Headway(engine, serving)


class Headway:
    """Contracts that are open in this process. Thread-safe; a context manager that closes at the end."""

    def __init__(self, engine: Engine, serving: Serving | None = None) -> None:
        self._engine = engine
        self._serving = serving
        self._closing = threading.Lock()

    @property
    def engine(self) -> Engine:
        """The engine behind it: for servers, tests and whoever moves contracts from Python."""
        return self._engine

    @property
    def address(self) -> str | None:
        """The URL of the API, with the port that was really bound; None without `listen`."""
        return None if self._serving is None else self._serving.url

    def limiter(self, contract: str, workload: str | None = None, *, attributes: Attributes | None = None) -> Limiter:
        """A contract's limit as one workload meets it; the same object for the same names, made to be kept.

        Args:
            contract: Its name.
            workload: One of its `workloads`; None: `other`, or the only one there is. A name that is not declared is
                an error, also where there is an `other`: mistyped in a program, it would be metered as somebody else.
            attributes: In place of a name, what is said of whoever asks: `{"user": "checkout_7"}`. The first workload
                whose `match` takes it is meant, else `other`. What no match looks at says nothing.

        Raises:
            headway.HeadwayError: HW404 or HW406, no such contract or workload, with the nearest names; HW521 after
                `close`; HW501 in a forked child.
            TypeError: `workload` and `attributes`.
        """
        if attributes is not None:
            if workload is not None:
                raise TypeError("`workload` names it: leave `attributes` out")
            matches = self._engine.matches(contract)
            workload = None if matches is None else matches.workload_of(pairs_of(attributes))
            return self._engine.limiter(contract, workload)
        if workload is not None and workload not in (declared := self.workloads(contract)):
            raise UnknownWorkload.of(workload, declared, where=contract)
        return self._engine.limiter(contract, workload)

    def workloads(self, contract: str) -> tuple[str, ...]:
        """The names of a contract's workloads, as declared; `other` alone where it declares none. HW404 as `limiter`."""
        return workloads_of(self._engine.contract(contract).contract)

    def attributes(self, contract: str) -> tuple[str, ...]:
        """The attributes that the matches of a contract's workloads look at; none where there are no matches. HW404 as
        `limiter`.
        """
        matches = self._engine.matches(contract)
        return () if matches is None else tuple(matches.attributes)

    def explain(self, name: str) -> dict[str, Any]:
        """Why a contract's limit is what it is, since when and by whom, and what the next stage waits for.

        Args:
            name: A contract's name, or a refusal's `ref` ("hw:7f3a").

        Raises:
            headway.HeadwayError: HW404 or HW407, nothing of that name is known.
        """
        return self._engine.explain_ref(name) if name.startswith("hw:") else self._engine.explain(name)

    def tell(self, contract: str) -> Tell | None:
        """How much a contract lets refusals say; None where it leaves that to where it is met."""
        return self._engine.contract(contract).contract.enforce.tell

    def close(self) -> None:
        """Stops serving and moving, refuses what still asks as `closed`, and saves the marks. A second time does nothing."""
        with self._closing:
            serving, self._serving = self._serving, None
            if serving is not None:
                serving.stop()
            self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<headway.Headway over {str(self._engine.data)!r}>"


def _serve(engine: Engine, listen: str) -> Serving:
    # The server, with all it needs, is loaded by those who listen and nobody else.
    from headway.server import serve_in_thread

    return serve_in_thread(engine, listen)


def _paths(path: Paths | None) -> Path | list[Path] | None:
    if path is None or isinstance(path, (str, os.PathLike)):
        return None if path is None else Path(path)
    return [Path(one) for one in path]
