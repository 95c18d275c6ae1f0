"""What leads somewhere: the address to listen on, a source's url, a link for people, the store of a server."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, urlsplit

from headway.contract.mistake import Mistake, shown

__all__ = ["SECRET", "STORE_OPTIONS", "address_of", "link_of", "store_of", "url_of"]

_ADDRESS = re.compile(r"(?:\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9.-]{1,253}):([0-9]{1,5})", re.ASCII)
_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(?:/[\x21-\x7e]*)?", re.ASCII)
_LINK = re.compile(r"https?://[^\s/?#\\<>\"]+(?:[/?#][^\s\\<>\"]*)?")
SECRET = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]{0,127}|file:[^\x00-\x1f]{1,1024}", re.ASCII)
"""Where a secret stands, instead of the secret."""

STORE_OPTIONS = frozenset({"host", "password", "sslmode", "sslrootcert", "sslcert", "sslkey"})
"""What may stand behind the `?` of a PostgreSQL store; `host` there is a folder with its socket."""

_STORE = re.compile(r"(?:sqlite:///|postgresql://)[\x21-\x7e]{1,1024}", re.ASCII)
_USER = re.compile(r"[^/]*//[^/?#]*@")
"""A user, and perhaps a password, before the host."""


def address_of(text: str) -> str:
    """`HOST:PORT`, the port from 0 to 65535; anything else is a Mistake, HW166."""
    match = _ADDRESS.fullmatch(text)
    if match is not None and 0 <= int(match.group(1)) <= 65535:
        return str(text)
    raise Mistake("HW166", f"{shown(text)} is not HOST:PORT", "write something like 127.0.0.1:7700")


def url_of(text: str) -> str:
    """What we call ourselves: http or https, a host, no credentials; anything else is a Mistake, HW166."""
    if _USER.match(text):
        raise Mistake("HW166", "this url holds a user or a password", "move them to `token: env:NAME`")
    if _URL.fullmatch(text):
        return str(text)
    raise Mistake("HW166", f"{shown(text)} is not a url", "write something like https://prometheus.example:9090")


def link_of(text: str) -> str:
    """What a person may follow from a page: never `javascript:`, `data:` or a file of the reader's. Else HW166."""
    if _USER.match(text):
        raise Mistake("HW166", "this link holds a user or a password", "remove them: everybody reads the document")
    if _LINK.fullmatch(text) and text.isprintable():
        return str(text)
    raise Mistake("HW166", f"{shown(text)} is not a link", "write something like https://wiki.example/orders-db")


def store_of(text: str) -> str:
    """Where a ledger lies: `sqlite:///DIR/ledger.db`, or `postgresql://USER@HOST:PORT/DATABASE?password=env:NAME`.

    Mistakes: HW164, a password in the open; HW166, everything else that cannot be used.
    """
    if not _STORE.fullmatch(text):
        mend = "write sqlite:///DIR/ledger.db, or postgresql://USER@HOST/DATABASE"
        raise Mistake("HW166", "this is not the address of a store", mend)
    if text.startswith("postgresql:"):
        _vet_database(text)
    return str(text)


def _vet_database(text: str) -> None:
    """The words say nothing of what was written: a secret may stand anywhere in it."""
    try:
        url: SplitResult = urlsplit(text)
        port = url.port
        options = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    except ValueError:
        raise Mistake(
            "HW166", "this is not the address of a database", "write postgresql://USER@HOST/DATABASE"
        ) from None
    mend = "write `?password=env:NAME` or `?password=file:PATH` behind the database's name"
    if url.password is not None or any(name == "password" and not SECRET.fullmatch(value) for name, value in options):
        raise Mistake("HW164", "the store's password stands here in the open", mend)
    if port == 0 or not re.fullmatch("/[^/]+", url.path) or url.fragment:
        raise Mistake("HW166", "this names no database", "write postgresql://USER@HOST/DATABASE")
    names = [name for name, _ in options]
    if len(set(names)) < len(names) or not STORE_OPTIONS.issuperset(names):
        known = ", ".join(sorted(STORE_OPTIONS))
        raise Mistake(
            "HW166", "the store has an option that is not known, or one twice", f"of these, each once: {known}"
        )
    if ("host" in names) == bool(url.hostname):
        raise Mistake("HW166", "the store names no host, or two", "write one: HOST before the `/`, or `?host=/FOLDER`")
