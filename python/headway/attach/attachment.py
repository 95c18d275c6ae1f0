"""What is to be attached: one contract, one workload, behind one front."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

DATA_PLANE = "127.0.0.1:7701"
"""Where `headway serve` answers fronts unless told."""


class NotAttachable(ValueError):
    """This front cannot enforce this contract. The text says why, and what can."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A contract behind a front.

    `data_plane`: HOST:PORT. `keyed`: it has a limit for each key, so the front has to name one. `domain` and `descriptor`
    are those of its binding to Envoy, empty where there is none; the value `each` stands for the key. `post_paid`: what a request
    was is charged when it is over. `bucket`: where it is divided among proxies, instead of a descriptor. `attributes`: what the
    matches of its workloads look at, where no workload was named.
    """

    contract: str
    measure: str
    keyed: bool = False
    workload: str = "other"
    data_plane: str = DATA_PLANE
    domain: str = ""
    descriptor: Mapping[str, str] = field(default_factory=dict)
    post_paid: bool = False
    bucket: Mapping[str, str] = field(default_factory=dict)
    attributes: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """Of the data plane; an IPv6 address without its brackets."""
        return self.data_plane.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.data_plane.rpartition(":")[2])

    def check_path(self, key: str, dialect: str | None = None) -> str:
        """The path that a front asks; `key` in the front's own words for whatever tells callers apart."""
        # All that can be said is said, and a parameter may stand there once: so a client whose name a front puts into the
        # address unescaped cannot add its own.
        told = {"workload": self.workload, "units": "1", **({} if dialect is None else {"dialect": dialect})}
        query = urlencode(told) + (f"&key={key}" if self.keyed else "")
        return f"/check/{quote(self.contract)}?{query}"

    def asked_by_check(self) -> None:
        """Raises NotAttachable where no answer to a check can enforce it."""
        if self.bucket:
            raise NotAttachable(
                f"{self.contract} is divided among Envoys, each of which spends its part alone; attach envoy, or bind it "
                "without `rlqs`"
            )
        if self.attributes:
            raise NotAttachable(
                f"{self.contract} tells its workloads apart by what is said of whoever asks ({', '.join(self.attributes)}), and "
                "the printed address names one: say which with --workload, and where your front can say more, write "
                "attr.NAME=TEXT in its place"
            )
        if self.measure == "concurrency":
            raise NotAttachable(
                f"{self.contract} bounds what is in flight, and no front tells a check when a request has ended; "
                "enforce it in the application (the ASGI or WSGI middleware), or bound a rate here"
            )

    def needs_no_key(self, front: str) -> None:
        """Raises NotAttachable where a front cannot name a key in the address that it asks."""
        if self.keyed:
            raise NotAttachable(
                f"{self.contract} has a limit for each key, and {front} asks one fixed address for everybody; "
                "put nginx, Caddy, HAProxy or Envoy in front, or bound all keys together here"
            )
