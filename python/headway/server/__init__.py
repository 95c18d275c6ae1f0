"""The API: one application, served by `headway serve` and by `headway.open(listen=…)`.

`app` builds it, `doorway` guards it, `routes/` answers, `run` serves it. Nothing here decides anything about a
contract: requests become observations, the engine decides.

Names are loaded when asked for, so that a command that only wants to know a code does not load the framework.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headway.server.access import Access, access_of, local_tokens
    from headway.server.app import create_app
    from headway.server.problems import ServerError
    from headway.server.run import Serving, Tls, serve, serve_in_thread

__all__ = [
    "Access",
    "ServerError",
    "Serving",
    "Tls",
    "access_of",
    "create_app",
    "local_tokens",
    "serve",
    "serve_in_thread",
]

_HOME = {
    "Access": "access",
    "access_of": "access",
    "local_tokens": "access",
    "create_app": "app",
    "ServerError": "problems",
    "Serving": "run",
    "Tls": "run",
    "serve": "run",
    "serve_in_thread": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
