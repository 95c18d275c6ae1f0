"""What leads somewhere: the address to listen on, a source's url, a link for people."""

from __future__ import annotations

import re

from headway.contract.mistake import Mistake, shown

__all__ = ["address_of", "link_of", "url_of"]

_ADDRESS = re.compile(r"(?:\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9.-]{1,253}):([0-9]{1,5})", re.ASCII)
_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(?:/[\x21-\x7e]*)?", re.ASCII)
_LINK = re.compile(r"https?://[^\s/?#\\<>\"]+(?:[/?#][^\s\\<>\"]*)?")
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
