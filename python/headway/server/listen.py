"""Where a server may listen, and on what terms: loopback freely, anywhere else only with tokens and TLS.

Pure: addresses in, a decision or an error out.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from headway.server.problems import ServerError

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Address:
    """A host (a name, or an address without brackets) and a port; port 0 takes any free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def url(self, *, tls: bool = False) -> str:
        """How to call it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if tls else 'http'}://{host}:{self.port}"


def address_of(text: str) -> Address:
    """Reads `HOST:PORT`; an IPv6 address stands in brackets.

    Raises:
        ServerError: HW443 where it is neither, or the port is above 65535.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ServerError("HW443", f"`{text}` is not HOST:PORT", mend="Put an IPv6 address in brackets: `[::1]:7700`.")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ServerError("HW443", f"`{text}` is not HOST:PORT")
    return Address(host.lower(), int(port))


def vet_address(address: Address, *, tokens: int, tls: bool, insecure_no_tls: bool) -> None:
    """Refuses an address beyond this machine without tokens, or without TLS unless that was told.

    Raises:
        ServerError: HW440 or HW441.
    """
    if address.loopback:
        return
    if tokens == 0:
        raise ServerError("HW440", f"refuses to listen on {address.host} without tokens")
    if not tls and not insecure_no_tls:
        raise ServerError("HW441", f"refuses to listen on {address.host} without TLS")


def host_of(header: str) -> str:
    """The host in a `Host` header or an origin's authority, lower-case, without port and brackets.

    Empty, which no server is called, where something else than a port follows it.
    """
    text = header.strip().lower()
    host, _, port = text[1:].partition("]") if text.startswith("[") else text.partition(":")
    port = port.removeprefix(":")
    return host if not port or (port.isascii() and port.isdigit()) else ""
