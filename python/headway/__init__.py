"""Headway: contracts that say how much there is, how much there will be, and what it is waiting for.

`import headway` loads what decides on demands and nothing else; the engine, its documents and its ledger are loaded by
the first call of `headway.open`, the server by `listen=`. The names below are the public ones.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from headway import enforce as enforce

if TYPE_CHECKING:
    from headway._core import NEVER, UNKNOWN, Forked, Limiter, Permit, Refusal, Refused
    from headway._core import __version__ as __version__
    from headway.embedded import Headway, open  # noqa: A004 - `headway.open` is the name people know
    from headway.enforce.connect import Connected, connect
    from headway.enforce.limit import limit
    from headway.enforce.recalling import on_recall
    from headway.errors import HeadwayError, Recalled

__all__ = [
    "NEVER",
    "UNKNOWN",
    "Connected",
    "Forked",
    "Headway",
    "HeadwayError",
    "Limiter",
    "Permit",
    "Recalled",
    "Refusal",
    "Refused",
    "__version__",
    "connect",
    "limit",
    "on_recall",
    "open",
]

_HOME = {
    "NEVER": "headway._core",
    "UNKNOWN": "headway._core",
    "Connected": "headway.enforce.connect",
    "Forked": "headway._core",
    "Headway": "headway.embedded",
    "HeadwayError": "headway.errors",
    "Limiter": "headway._core",
    "Permit": "headway._core",
    "Recalled": "headway.errors",
    "Refusal": "headway._core",
    "Refused": "headway._core",
    "__version__": "headway._core",
    "connect": "headway.enforce.connect",
    "limit": "headway.enforce.limit",
    "on_recall": "headway.enforce.recalling",
    "open": "headway.embedded",
}
"""Where each public name lives; looked up when it is first asked for (PEP 562), kept from then on."""


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'headway' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
