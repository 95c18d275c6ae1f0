"""The data plane of a server: what fronts ask, answered by threads of the core, and kept in step with what runs.

A request never comes through Python. What comes through here is which contracts there are: their limiters, by workload,
and the descriptors of Envoy that meet them.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
from collections.abc import Iterator

from headway._core import CheckRoute, DataPlane, HoldRoute, Limiter, RlqsRoute, RlsRoute
from headway.contract.model import Contract
from headway.engine.engine import Engine
from headway.engine.floors import gates_of, parts_of
from headway.engine.specs import MS, PPM, workload_of, workloads_of
from headway.errors import LedgerStopped
from headway.ledger import AtGates
from headway.server.access import Access
from headway.server.gate_metrics import Division, PlaneReading
from headway.server.listen import Address
from headway.server.problems import ServerError

log = logging.getLogger("headway.server")

__all__ = ["ANSWERED", "RoutedPlane"]

ANSWERED = frozenset({"rls", "rlqs", "gates"})
"""Kinds of bindings that a data plane answers, and that it keeps limits for gates of other processes."""

NOTE_EVERY_S = 1.0
"""How often it is written down what gates admitted while they were cut off."""


DEADLINE_MS = 10
"""Within which Envoy is answered: its own time-out is 20 ms unless told. Later, nothing is charged, and it is a no."""


NOTHING = AtGates()


class RoutedPlane:
    """A data plane over an engine, from construction until `close`.

    Its routes follow the engine: a contract that is applied later is met from then on. Fronts meet rates and quotas alone, for
    they do not tell when a request has ended; gates meet every contract.
    """

    def __init__(
        self,
        engine: Engine,
        address: Address,
        access: Access,
        *,
        off_loopback: bool = False,
        tls: tuple[bytes, bytes] | None = None,
        deadline_ms: int = DEADLINE_MS,
    ) -> None:
        """Listens.

        Args:
            engine: Open; its owner closes it.
            address: Where; port 0 takes any free one.
            access: Who may ask.
            off_loopback: Something in front encrypts, and the person who runs this knows it.
            tls: Certificate chain and key, PEM.
            deadline_ms: Within which Envoy is answered.

        Raises:
            ServerError: HW443, the address is taken or is none.
        """
        self._engine = engine
        try:
            self._plane = DataPlane(
                engine.meters,
                _numeric(address),
                credentials=access.hashed(),
                off_loopback=off_loopback,
                tls=tls,
                deadline_ms=deadline_ms,
                epoch=engine.run,
            )
        except (OSError, ValueError) as error:
            raise ServerError("HW443", f"the data plane cannot listen on {address}: {error}") from error
        self._changes = engine.subscribe()
        self._route(engine.at_gates)
        self._thread = threading.Thread(target=self._follow, name="headway-routes", daemon=True)
        self._thread.start()
        self._closing = threading.Event()
        self._notes = threading.Thread(target=self._take_notes, name="headway-notes", daemon=True)
        self._notes.start()

    @property
    def address(self) -> str:
        """Where it listens: IP address and port."""
        return self._plane.address

    def divided(self) -> list[Division]:
        """(contract, streams, those that may let nothing through, assigned a second, booked a second) of every contract that
        is divided among proxies. Booked is what may still be in use, old assignments included."""
        return self._plane.divided()

    def reading(self) -> PlaneReading:
        """What is divided among proxies, and what gates do."""
        return PlaneReading(self.divided(), *self._plane.seen())

    @property
    def holders(self) -> int:
        """Gates that are known: connected, or silent and not yet given up."""
        return self._plane.holders

    def close(self) -> None:
        """Lets requests under way end, at most five seconds. A second time does nothing."""
        self._changes.close()
        self._thread.join()
        self._closing.set()
        self._notes.join()
        self._plane.close()

    def _take_notes(self) -> None:
        """Has the ledger keep what gates admitted while they were cut off; what it cannot take now it is told again."""
        untold: list[tuple[str, str, str, int]] = []
        is_last = False
        while not is_last:
            is_last = self._closing.wait(NOTE_EVERY_S)
            untold += self._plane.unguaranteed()
            try:
                while untold:
                    self._engine.note_unguaranteed(*untold[0])
                    del untold[0]
            except LedgerStopped as stopped:
                log.warning("what gates admitted while they were cut off is not written down yet: %s", stopped)

    def _follow(self) -> None:
        """Routes anew when a contract is applied, or a change was missed that may have been that."""
        seen: int | None = None
        for change in self._changes:
            if change.kind == "applied" or (seen is not None and change.id != seen + 1):
                self._route()
            seen = change.id

    def _route(self, left: AtGates = NOTHING) -> None:
        """The routes of what runs now, in the place of those there are.

        Args:
            left: What gates had when the run before this one ended; told once, with the first routes.
        """
        running = [one.contract for one in self._engine.all()]
        # What is divided is spent by those it is divided among, and nobody else may ask.
        all_met = [contract for contract in running if not _is_divided(contract)]
        met = [contract for contract in all_met if not _holds_slots(contract)]
        holds = [
            HoldRoute(
                contract.name,
                list(self._limiters(contract)),
                tell=contract.enforce.tell or "full",
                tell_http=contract.enforce.tell or "public",
                max_hold_ns=_max_hold_ms(contract) * MS,
                drain_within_ns=contract.enforce.drain_within_ms * MS,
                matches=self._engine.matches(contract.name),
                opens=contract.enforce.when_cut_off == "open",
                gates=gates_of(contract),
                parts=parts_of(contract),
            )
            for contract in all_met
        ]
        checks = [
            CheckRoute(
                contract.name,
                list(self._limiters(contract)),
                tell=contract.enforce.tell or "public",
                matches=self._engine.matches(contract.name),
            )
            for contract in met
        ]
        rls = [route for contract in met for route in self._rls(contract)]
        rows = [(name, workload, holder, key, -(-micro // PPM)) for name, workload, holder, key, micro in left.booked]
        rlqs = [route for contract in running for route in self._rlqs(contract)]
        self._plane.routes(checks, rls, holds, rows, rlqs, left.lent, left.ceilings)

    def _limiters(self, contract: Contract) -> Iterator[Limiter]:
        for workload in workloads_of(contract):
            yield self._engine.limiter(contract.name, workload)

    def _rls(self, contract: Contract) -> Iterator[RlsRoute]:
        matched = [name for name, workload in contract.workloads.items() if workload.match is not None]
        for bind in contract.enforce.bind:
            if bind.rls is not None:
                yield RlsRoute(
                    bind.rls.domain,
                    [(entry, None if value == "each" else value) for entry, value in bind.rls.descriptor.items()],
                    self._engine.limiter(contract.name),
                    tell=contract.enforce.tell or "public",
                    post_paid=bind.rls.post_paid,
                    refundable=bind.rls.refundable,
                    matches=self._engine.matches(contract.name),
                    matched=[self._engine.limiter(contract.name, name) for name in matched],
                )

    def _rlqs(self, contract: Contract) -> Iterator[RlqsRoute]:
        for bind in contract.enforce.bind:
            if bind.rlqs is not None:
                yield RlqsRoute(
                    bind.rlqs.domain,
                    dict(bind.rlqs.bucket),
                    self._engine.limiter(contract.name, workload_of(contract, None)),
                    within_ns=contract.enforce.drain_within_ms * MS,
                )


def _numeric(address: Address) -> str:
    """The address without names: what a socket of the core binds to. OSError where its host is not known."""
    found = ipaddress.ip_address(str(socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][4][0]))
    return f"{f'[{found}]' if found.version == 6 else found}:{address.port}"


def _holds_slots(contract: Contract) -> bool:
    return any(constraint.measure == "concurrency" for constraint in contract.constraint.values())


def _is_divided(contract: Contract) -> bool:
    return any(bind.rlqs is not None for bind in contract.enforce.bind)


def _max_hold_ms(contract: Contract) -> int:
    return max(constraint.max_hold_ms for constraint in contract.constraint.values())
