"""What is said of whoever asks: by a program outright, or by a request of some framework.

A contract's `match` asks for attributes by name; these read them. What a request does not say, or says in no text, counts
as not said, and so does what nobody asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard
from urllib.parse import urlsplit

HEADER = "header."
"""Before the name of a header, in lower case."""

Attributes = Mapping[str, str | None]
"""Values by attribute; None: not said."""


def pairs_of(attributes: Attributes) -> list[tuple[str, str]]:
    """What is said, as the core takes it. Applications say it, so it may be anything: what is no text is not said."""
    return [(name, value) for name, value in attributes.items() if _is_text(name) and _is_text(value)]


def host_of(authority: str | None) -> str | None:
    """A host without its port, in lower case; None where there is none."""
    try:
        return urlsplit(f"//{authority}").hostname if authority else None
    except ValueError:
        return None


def of_scope(scope: Mapping[str, Any], name: str) -> str | None:
    """An attribute of an ASGI scope: `method`, `path`, `host` or `header.NAME`."""
    if name.startswith(HEADER):
        return _joined(scope["headers"], name[len(HEADER) :].encode("latin-1", "replace"))
    if name == "host":
        return host_of(_joined(scope["headers"], b"host"))
    said = scope.get(name) if name in ("method", "path") else None
    return said if isinstance(said, str) else None


def of_environ(environ: Mapping[str, Any], name: str) -> str | None:
    """The same of a WSGI environ. What a client writes with `_` in a header's name a server may take for `-`."""
    if name.startswith(HEADER):
        variable = name[len(HEADER) :].replace("-", "_").upper()
        plain = variable in ("CONTENT_TYPE", "CONTENT_LENGTH")
        said = environ.get(variable if plain else f"HTTP_{variable}")
    elif name == "host":
        return host_of(environ.get("HTTP_HOST") or environ.get("SERVER_NAME"))
    elif name == "path":
        raw = str(environ.get("SCRIPT_NAME", "")) + str(environ.get("PATH_INFO", ""))
        return raw.encode("latin-1", "replace").decode("utf-8", "replace")
    else:
        said = environ.get("REQUEST_METHOD") if name == "method" else None
    return said if isinstance(said, str) else None


def _joined(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    """A header's value; several of one name are one list, as HTTP has it."""
    values = [value for name, value in headers if name.lower() == wanted]
    return b", ".join(values).decode("latin-1") if values else None


def _is_text(value: object) -> TypeGuard[str]:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
