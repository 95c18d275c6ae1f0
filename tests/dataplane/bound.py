"""Limits that descriptors meet, and the descriptors that meet them."""

from __future__ import annotations

from typing import Any

from headway._core import Limiter
from tests.core.making import MICRO
from tests.dataplane.conftest import House
from tests.dataplane.envoy import descriptor


def teams(house: House) -> Limiter:
    """5 a second for every team, under `{team: each}`."""
    house.rate("api", 5, keys_max=100)
    limiter = house.limiter("api", keyed=True)
    house.bind(limiter, {"team": None})
    return limiter


def one(team: str = "search", hits: int | None = None, *, back: bool = False) -> bytes:
    """The descriptor of a team."""
    return descriptor({"team": team}, hits, back=back)


def plain(house: House, name: str, level: int, **route: Any) -> Limiter:
    """A rate bound to `{contract: NAME}`."""
    house.rate(name, level)
    limiter = house.limiter(name, settle_max_micro=50 * MICRO)
    house.bind(limiter, {"contract": name}, **route)
    return limiter


def told(name: str, hits: int | None = None, *, back: bool = False) -> bytes:
    return descriptor({"contract": name}, hits, back=back)
