"""Which role a route wants, said where the route is declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from headway.server.access import Caller, Role
from headway.server.doorway import CALLER
from headway.server.problems import ServerError

# Only for the description of the API: the doorway has authenticated the caller before any route is reached.
_described = HTTPBearer(auto_error=False, description="A token; on loopback `tokens/local` or `tokens/approver`.")


_Described = Annotated[HTTPAuthorizationCredentials | None, Security(_described)]


def _wanting(*roles: Role) -> Callable[..., Caller]:
    def caller_with_role(request: Request, _: _Described) -> Caller:
        caller: Caller = request.scope[CALLER]
        if caller.roles.isdisjoint(roles):
            wanted = " or ".join(roles)
            raise ServerError(
                "HW403",
                f"`{caller.name}` has not the role {wanted}",
                because=f"This call wants {wanted}; the token has {', '.join(sorted(caller.roles)) or 'no role'}.",
                extra={"role": wanted},
            )
        return caller

    return caller_with_role


Viewer = Annotated[Caller, Depends(_wanting("viewer"))]
Operator = Annotated[Caller, Depends(_wanting("operator"))]
Approver = Annotated[Caller, Depends(_wanting("approver"))]


def require_group(caller: Caller, group: str) -> None:
    """HW403 unless the caller may approve for the group."""
    if not caller.has_group(group):
        held = ", ".join(sorted(caller.groups or ())) or "none"
        raise ServerError(
            "HW403",
            f"`{caller.name}` may not approve for {group}",
            because=f"An approval counts for a group; the token's groups are: {held}.",
            extra={"group": group},
        )
