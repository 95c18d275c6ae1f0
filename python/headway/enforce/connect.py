"""`headway.connect`: limits that a server keeps, for processes that do not.

One stream to the server's data plane carries every demand of the process and its answer; demands that wait queue at the
server. Nothing is dialled before the first limiter, a broken stream is dialled again, and a forked child has a stream of
its own.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from headway import _core
from headway._core import Gate, Limiter, Matches, PathReading
from headway.enforce.attributes import Attributes, pairs_of
from headway.enforce.http import Tell
from headway.errors import HeadwayError

__all__ = ["Connected", "connect"]

PORT = 7701
"""Where a server's data plane listens unless it is told."""

TOKEN_BYTES = 4_096
"""The most that is read of a token's file."""

os.register_at_fork(after_in_child=_core.forked)


def connect(
    url: str = "http://127.0.0.1:7701",
    *,
    token: str | None = None,
    token_file: str | os.PathLike[str] | None = None,
    ca_file: str | os.PathLike[str] | None = None,
) -> Connected:
    """Limits that the server behind a URL keeps. Returns at once: nothing is dialled before the first limiter.

    Args:
        url: The server's data plane, `https://HOST:PORT`, or `http://` on one machine; without a port 7701.
        token: One with the role gate or operator. Without it `token_file`, else `HEADWAY_TOKEN`.
        token_file: Where it stands; on the server's own machine `DATA/tokens/local`.
        ca_file: With https, the certificates (PEM) of who vouches for the server; without it those of this machine.

    Raises:
        ValueError: The URL is none, or there is no token.
        OSError: The file cannot be read.

    Example:
        >>> import headway
        >>> with headway.connect("http://127.0.0.1:7701", token="hw_...") as hw:          # doctest: +SKIP
        ...     with hw.limiter("orders-db", "checkout"):
        ...         ...
    """
    secure, address = _address(url)
    if ca_file is not None and not secure:
        raise ValueError(f"`ca_file` goes with https, and {url!r} is not encrypted")
    return Connected(Gate(address, _token(token, token_file), _trusted(ca_file) if secure else None))


class Connected:
    """A way to a server that keeps limits. Thread-safe; a context manager that closes at the end.

    While the server cannot be reached demands are refused as `cut_off`. What was admitted before stays admitted.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._limiters: dict[tuple[str, str | None], Limiter] = {}

    def limiter(self, contract: str, workload: str | None = None, *, attributes: Attributes | None = None) -> Limiter:
        """A contract's limit as one workload meets it; the same object for the same names, made to be kept.

        The first demand waits for what the server says of it, two seconds at most, and raises where there is no such
        contract or workload (`HeadwayError`, HW404 or HW406), or where the token is not let in (HW401, HW403).

        Args:
            contract: Its name.
            workload: One of its `workloads`; None: `other`, or the only one there is.
            attributes: In place of a name, what is said of whoever asks: `{"user": "checkout_7"}`. The first workload
                whose `match` takes it is meant, else `other`. The server says the matches once, and the first call waits
                for that, two seconds at most; while it has not, nothing is admitted, whoever asks.

        Raises:
            ValueError: An empty name, or one of more than 256 bytes.
            TypeError: `workload` and `attributes`.
            headway.HeadwayError: With `attributes`, as a first demand.
        """
        if attributes is not None:
            if workload is not None:
                raise TypeError("`workload` names it: leave `attributes` out")
            told = self._told(contract)
            workload = None if told is None else told[0].workload_of(pairs_of(attributes))
        names = contract, workload
        limiter = self._limiters.get(names)
        if limiter is None:
            limiter = self._limiters.setdefault(names, self._gate.limiter(contract, workload))
        return limiter

    def workloads(self, contract: str) -> tuple[str, ...]:
        """The names of a contract's workloads, sorted, as the server says them. It is waited for two seconds at most.

        Raises:
            headway.HeadwayError: As a first demand; HW532, the server has not said them and cannot be asked now.
        """
        told = self._told(contract)
        if told is None:
            raise HeadwayError(
                f"the workloads of {contract} are not known",
                code="HW532",
                because="its server says them, and could not be asked",
                mend="start it, or name the workload",
                where=contract,
            )
        return tuple(told[1])

    def attributes(self, contract: str) -> tuple[str, ...]:
        """The attributes that the matches of a contract's workloads look at; none while the server has not said them.

        Raises:
            headway.HeadwayError: As a first demand.
        """
        told = self._told(contract)
        return () if told is None else tuple(told[0].attributes)

    def tell(self, contract: str) -> Tell | None:
        """How much a contract lets refusals say over HTTP; None while the server has not said it.

        Raises:
            headway.HeadwayError: As a first demand.
        """
        told = self._told(contract)
        return None if told is None else "full" if told[2] else "public"

    def _told(self, contract: str) -> tuple[Matches, list[str], bool] | None:
        """What the server says of a contract; None where it has not, and cannot be asked now."""
        self.limiter(contract)
        return self._gate.told(contract)

    def readings(self) -> list[PathReading]:
        """What each limiter of this process has decided so far."""
        return self._gate.paths()

    def close(self) -> None:
        """Refuses what is asked later as `closed`. Where nothing is held the server hears that this process has left; slots
        that are still held stay booked until they are known to be free. A second time does nothing.
        """
        self._gate.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<headway.Connected, {len(self._limiters)} limiters>"


def _address(url: str) -> tuple[bool, str]:
    """Whether it is encrypted, and HOST:PORT."""
    parts = urlsplit(url)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.path not in ("", "/")
        or parts.query
        or parts.username
    ):
        raise ValueError(f"{url!r} is not http(s)://HOST:PORT of a server's data plane")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return parts.scheme == "https", f"{host}:{parts.port or PORT}"


def _trusted(ca_file: str | os.PathLike[str] | None) -> list[bytes]:
    # Loaded by those who encrypt, and nobody else.
    import ssl

    context = ssl.create_default_context(cafile=ca_file)
    return context.get_ca_certs(binary_form=True)


def _token(token: str | None, token_file: str | os.PathLike[str] | None) -> str:
    if token is not None and token_file is not None:
        raise ValueError("pass `token` or `token_file`, not both")
    if token_file is not None:
        with Path(token_file).open("rb") as file:
            token = file.read(TOKEN_BYTES).decode("ascii", "replace")
    token = (token if token is not None else os.environ.get("HEADWAY_TOKEN", "")).strip()
    if not token:
        raise ValueError("there is no token: pass `token` or `token_file`, or set HEADWAY_TOKEN")
    return token
