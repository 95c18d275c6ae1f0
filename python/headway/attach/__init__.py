"""How the fronts people already run are attached to a contract: the configuration, as text to paste.

Each front is one file with one function of an `Attachment`. Nothing here opens a file or a socket, and no token is ever
printed: the text says from which file or variable the front takes it.
"""

from __future__ import annotations

from collections.abc import Callable

from headway.attach import apisix, caddy, envoy, haproxy, nginx, traefik
from headway.attach.attachment import Attachment, NotAttachable

__all__ = ["FRONTS", "UNTESTED", "Attachment", "NotAttachable"]

FRONTS: dict[str, Callable[[Attachment], str]] = {
    "envoy": envoy.configuration,
    "nginx": nginx.configuration,
    "caddy": caddy.configuration,
    "haproxy": haproxy.configuration,
    "traefik": traefik.configuration,
    "apisix": apisix.configuration,
}
"""Front -> its configuration."""

UNTESTED = frozenset({"traefik", "apisix"})
"""Fronts whose configuration no test of ours has run; their text says so."""
