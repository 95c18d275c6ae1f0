"""Who calls, and what they may do: bearer tokens, known by their SHA-256 alone.

A token is compared in constant time with every credential there is, so neither its text nor its place in the list can
be guessed from how long an answer takes. The token itself is never kept, printed or logged; the two that are made on
loopback are shown once and stand in files only their owner can read.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from headway.server.problems import ServerError

Role = Literal["viewer", "operator", "approver", "gate"]

TOKEN_MOST = 512
"""Characters of a token; a longer one is not known, whatever it says."""

_SHA256 = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})\Z")


@dataclass(frozen=True, slots=True)
class Credential:
    """A token by its hash. `groups` None: every group. `single_user`: one person holds more than one such token."""

    name: str
    sha256: bytes
    roles: frozenset[Role]
    groups: frozenset[str] | None = frozenset()
    single_user: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from, once its token is known."""

    name: str
    roles: frozenset[Role]
    groups: frozenset[str] | None
    single_user: bool

    @property
    def actor(self) -> str:
        """How the ledger names them."""
        return f"token:{self.name}"

    def has_group(self, group: str) -> bool:
        """Whether they may approve for a group."""
        return self.groups is None or group in self.groups


class TokenEntry(Protocol):
    """A token of a `server:` document."""

    @property
    def name(self) -> str: ...
    @property
    def hash(self) -> str: ...
    @property
    def roles(self) -> tuple[Role, ...]: ...
    @property
    def groups(self) -> tuple[str, ...]: ...


class Access:
    """The credentials of one server. Frozen: a changed `server:` document wants a restart."""

    def __init__(self, credentials: Iterable[Credential]) -> None:
        self._credentials = tuple(credentials)

    def __len__(self) -> int:
        return len(self._credentials)

    def hashed(self) -> list[tuple[str, bytes, list[str]]]:
        """(name, SHA-256, roles) of every credential, for the data plane's threads, which compare for themselves."""
        return [(one.name, one.sha256, sorted(one.roles)) for one in self._credentials]

    def caller_of(self, token: str) -> Caller | None:
        """Who a token belongs to, or None. Always looks at every credential."""
        told = sha256_of(token[:TOKEN_MOST])
        found: Credential | None = None
        for credential in self._credentials:
            if hmac.compare_digest(told, credential.sha256):
                found = credential
        if found is None or len(token) > TOKEN_MOST:
            return None
        return Caller(found.name, found.roles, found.groups, found.single_user)

    def caller_of_header(self, authorization: str | None) -> Caller | None:
        """Who an `Authorization` header speaks for; None for none, another scheme, or an unknown token."""
        scheme, _, token = (authorization or "").partition(" ")
        return self.caller_of(token.strip()) if scheme.lower() == "bearer" else None


@dataclass(frozen=True, slots=True)
class LocalTokens:
    """The two tokens of a loopback server: where they stand, and whether this call made them."""

    access: Access
    local: Path
    approver: Path
    made: bool


def access_of(tokens: Sequence[TokenEntry]) -> Access:
    """The credentials of a `server:` document.

    Raises:
        ServerError: HW444 for a hash that is no SHA-256.
    """
    return Access(
        Credential(token.name, _digest_of(token.name, token.hash), frozenset(token.roles), frozenset(token.groups))
        for token in tokens
    )


def local_tokens(folder: Path) -> LocalTokens:
    """Takes up the two loopback tokens of a server's folder, or makes them: mode 0600 in `tokens/`, mode 0700.

    `local` views and operates, `approver` approves for every group. One person holds both, so what they do is recorded
    as single-user.

    Raises:
        ServerError: HW442 for a file that others can read, that belongs to somebody else, or that holds no token.
    """
    home = folder / "tokens"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    local, local_made = _take_up(home / "local")
    approver, approver_made = _take_up(home / "approver")
    access = Access(
        (
            Credential("local", sha256_of(local), frozenset({"viewer", "operator"}), single_user=True),
            Credential("approver", sha256_of(approver), frozenset({"viewer", "approver"}), None, single_user=True),
        )
    )
    return LocalTokens(access, home / "local", home / "approver", local_made or approver_made)


def sha256_of(token: str) -> bytes:
    """The digest a token is known by."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _digest_of(name: str, text: str) -> bytes:
    match = _SHA256.match(text)
    if match is None:
        raise ServerError("HW444", f"the hash of token `{name}` is not a SHA-256")
    return bytes.fromhex(match[1])


def _take_up(path: Path) -> tuple[str, bool]:
    """A token file's token, and whether it was made just now."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return read_token(path), False
    token = f"hw_{secrets.token_urlsafe(32)}"
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    return token, True


def read_token(path: Path) -> str:
    """The token in a file of ours.

    Raises:
        ServerError: HW442 for a file that others can read, that belongs to somebody else, is a link, or holds no token.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise ServerError("HW442", f"the token file {path} cannot be read: {error.strerror}") from error
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.geteuid():
            raise ServerError("HW442", f"the token file {path} can be read by others")
        token = file.read(TOKEN_MOST + 2).decode("ascii", "replace").strip()
    if not token or len(token) > TOKEN_MOST or not token.isprintable() or " " in token or "\ufffd" in token:
        raise ServerError("HW442", f"the token file {path} does not hold a token")
    return token
