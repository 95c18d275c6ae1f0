"""How a request becomes a demand: on which limiter, for how many units, and to whom it is charged.

What a web server, an RPC or a client calls a request differs; what is asked of it does not. The middleware and the
adapters are this, with the words of their framework around it.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Generic, NamedTuple, Protocol, TypeVar

from headway._core import Limiter
from headway.enforce.attributes import Attributes
from headway.enforce.http import Tell

Request = TypeVar("Request")

KEY_BYTES_MAX = 256
"""Bytes of a key in UTF-8. A longer one, or one that is no UTF-8, is charged under its SHA-256."""

NO_KEY = "-"
"""What requests are charged under for which `key` answers None: they share one key, and none goes unmetered."""

OTHER = "other"
"""The workload that takes the rest."""


class Contracts(Protocol):
    """Where limiters come from by contract and workload: `headway.open(...)` is one, `headway.connect(...)` another."""

    def limiter(
        self, contract: str, workload: str | None = None, *, attributes: Attributes | None = None
    ) -> Limiter: ...
    def workloads(self, contract: str) -> tuple[str, ...]: ...
    def attributes(self, contract: str) -> tuple[str, ...]: ...
    def tell(self, contract: str) -> Tell | None: ...


class Demand(NamedTuple):
    """What a limiter is asked for."""

    limiter: Limiter
    units: int
    key: str | None


class Asking(Generic[Request]):
    """What requests ask for.

    Args:
        limiter: A `Limiter`, or what `headway.open` or `headway.connect` returned, then with `contract`.
        contract: The contract's name; not with a `Limiter`.
        key: Whom a request is charged to; for contracts and limits that have keys.
        workload: Which workload asks: its name, or a function of the request; not with a `Limiter`. `other` where absent,
            and for what a function answers that is not declared: a request may say anything.
        attributes: What is said of a request beside what it says itself, for contracts whose workloads have a `match`; it
            stands over what the request says, and None says nothing. Not with `workload`, and not with a `Limiter`.
        units: How many units a request is for, or a function of it that says so; at least 1.
        exempt: Which requests are not metered: health checks, say.
        tell: How much an answer says; absent: as the contract's `enforce.tell` says, else `public`.
        read: An attribute that a request itself says, by name; None: it does not. The adapters have one each.

    Raises:
        TypeError: `contract`, `workload` or `attributes` beside a `Limiter`, `workload` beside `attributes`, or no `contract`
            beside `headway.open(...)`.
        ValueError: `key` for a limit that has none, or no `key` for one that has.
        headway.HeadwayError: HW404, there is no such contract; HW406, it has no workload of that name.
    """

    def __init__(
        self,
        limiter: Limiter | Contracts,
        contract: str | None = None,
        *,
        key: Callable[[Request], str | None] | None = None,
        workload: str | Callable[[Request], str | None] | None = None,
        attributes: Callable[[Request], Attributes | None] | None = None,
        units: int | Callable[[Request], int] = 1,
        exempt: Callable[[Request], bool] | None = None,
        tell: Tell | None = None,
        read: Callable[[Request, str], str | None] | None = None,
    ) -> None:
        self._limiter_of = _limiters(limiter, contract, workload, attributes, read, keyed=key is not None)
        self._key = key
        self._units = units
        self._exempt = exempt
        self.tell: Tell = tell or _declared(limiter, contract) or "public"

    def demand_of(self, request: Request) -> Demand | None:
        """What a request asks for; None where it is exempt.

        Raises:
            headway.HeadwayError: HW406, `workload` answers what is not declared and there is no `other`.
        """
        if self._exempt is not None and self._exempt(request):
            return None
        return Demand(
            self._limiter_of(request),
            self._units(request) if callable(self._units) else self._units,
            None if self._key is None else _bounded(self._key(request)),
        )


def _limiters(
    limiter: Limiter | Contracts,
    contract: str | None,
    workload: str | Callable[[Request], str | None] | None,
    attributes: Callable[[Request], Attributes | None] | None,
    read: Callable[[Request, str], str | None] | None,
    *,
    keyed: bool,
) -> Callable[[Request], Limiter]:
    if isinstance(limiter, Limiter):
        if contract is not None or workload is not None or attributes is not None:
            known = "a Limiter already knows its contract and workload"
            raise TypeError(f"{known}: leave `contract`, `workload` and `attributes` out")
        return _only(limiter, keyed)
    if contract is None:
        raise TypeError("name the contract, behind what `headway.open` returned: `hw, 'api'`")
    if workload is not None and attributes is not None:
        raise TypeError("`workload` says who asks: leave `attributes` out, or `workload` where a match is to say it")
    if callable(workload):
        return _by_workload(limiter, contract, workload, keyed)
    if workload is None and not (attributes is None and read is None):
        return _by_attributes(limiter, contract, attributes, read, keyed)
    return _only(limiter.limiter(contract, workload), keyed)


def _only(limiter: Limiter, keyed: bool) -> Callable[[object], Limiter]:
    _vet(limiter, keyed)
    return lambda _request: limiter


def _by_workload(
    source: Contracts, contract: str, ask: Callable[[Request], str | None], keyed: bool
) -> Callable[[Request], Limiter]:
    """One limiter for each declared workload, made once: what a request calls itself makes no new one."""
    declared = {name: source.limiter(contract, name) for name in source.workloads(contract)}
    for limiter in declared.values():
        _vet(limiter, keyed)

    def limiter_of(request: Request) -> Limiter:
        asked = ask(request)
        found = declared.get(asked or OTHER) or declared.get(OTHER)
        return source.limiter(contract, asked) if found is None else found

    return limiter_of


def _by_attributes(
    source: Contracts,
    contract: str,
    say: Callable[[Request], Attributes | None] | None,
    read: Callable[[Request, str], str | None] | None,
    keyed: bool,
) -> Callable[[Request], Limiter]:
    """The limiter of whom the contract's matches take a request for; what they look at may change while it runs."""
    rest = source.limiter(contract)
    _vet(rest, keyed)

    def limiter_of(request: Request) -> Limiter:
        asked = source.attributes(contract)
        if not asked:
            return rest
        said = {} if read is None else {name: read(request, name) for name in asked}
        beside = None if say is None else say(request)
        return source.limiter(contract, attributes=said if beside is None else {**said, **beside})

    return limiter_of


def _vet(limiter: Limiter, keyed: bool) -> None:
    # A limit with keys and no `key`, or the other way round, is told at start-up and not by the first request.
    limiter.probe(1, NO_KEY if keyed else None)


def _declared(limiter: Limiter | Contracts, contract: str | None) -> Tell | None:
    return None if isinstance(limiter, Limiter) or contract is None else limiter.tell(contract)


def _bounded(key: str | None) -> str:
    if key is None:
        return NO_KEY
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        size = KEY_BYTES_MAX + 1
    return key if size <= KEY_BYTES_MAX else "sha256:" + sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
