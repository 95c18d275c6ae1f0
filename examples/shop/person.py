"""What a person would give, given at set times by `AUTO=1`: one event and one approval, over the API with the tokens.

Nothing is remembered here. What is still to be given is read from what Headway says the next stage waits for, so a
restarted demo goes on where the killed one was, and gives nothing twice.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx

from examples.shop.app import POOL
from examples.shop.count import Count

EVENT = "replica.promoted"
GROUP = "dba"

EVENT_AT, APPROVAL_AT = 0.32, 0.48
"""When each is given, as a share of the run."""

SOURCE = "/shop/operations"

API_USUAL = "http://127.0.0.1:7700"
DATA_USUAL = Path(".headway")
"""Where the commands look when they are told nothing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the pool's next stage waits for from outside; `stage` is that stage, empty where there is none."""

    stage: str
    event: bool
    approval: bool


def wanted(stage: str, conditions: Iterable[tuple[str, bool]]) -> Wanted:
    """What is missing, from the kinds of the next stage's conditions and whether each is met.

    The approval is asked for only when all else holds.
    """
    missing = {kind for kind, met in conditions if not met}
    return Wanted(stage, event="event" in missing, approval=missing == {"approval"})


def commands(want: Wanted, api: str, data: Path) -> list[str]:
    """What to type for what is missing, exactly, from the folder the demo was started in."""
    typed: list[str] = []
    if want.event:
        typed.append(event_command() + _options(api, data, "local"))
    if want.approval:
        typed.append(approval_command(want.stage) + _options(api, data, "approver"))
    return [f"{_program()} {command}" for command in typed]


def event_command() -> str:
    """What an operator says when the replica is promoted."""
    return f"event {EVENT} --source {SOURCE}"


def approval_command(stage: str) -> str:
    """What the DBA says when all else holds."""
    return f"approve {POOL} --stage {stage} --as {GROUP}"


class Person:
    """Gives the event and the approval when they are due.

    Args:
        api: Headway's address.
        tokens: The folder with the two tokens of a loopback start, `local` and `approver`.
        seconds: How long the run is, for `EVENT_AT` and `APPROVAL_AT`.
        count: Where acknowledged acts are recorded.
    """

    def __init__(self, api: str, tokens: Path, seconds: float, count: Count) -> None:
        self._client = httpx.AsyncClient(base_url=api, timeout=20.0)
        self._local = _bearer(tokens / "local")
        self._approver = _bearer(tokens / "approver")
        self._event_at_s = EVENT_AT * seconds
        self._approval_at_s = APPROVAL_AT * seconds
        self._count = count

    async def turn(self, at_s: float) -> str | None:
        """Does what is due `at_s` seconds into the run; returns what was done, in words, or None.

        Raises httpx.HTTPStatusError where Headway refuses what a person may do.
        """
        if at_s < min(self._event_at_s, self._approval_at_s):
            return None
        answer = await self._client.get(f"/v1/contracts/{POOL}/explain", headers=self._local)
        upcoming = answer.raise_for_status().json()["next"]
        if not upcoming:
            return None
        want = wanted(upcoming["stage"], ((one["kind"], one["met"]) for one in upcoming["conditions"]))
        if want.event and at_s >= self._event_at_s:
            await self._promote()
            return f"an operator says: headway {event_command()}"
        if want.approval and at_s >= self._approval_at_s:
            await self._approve(want.stage)
            return f"the DBA says: headway {approval_command(want.stage)}"
        return None

    async def close(self) -> None:
        await self._client.aclose()

    async def _promote(self) -> None:
        # One id however often it is sent: an event counts once, by its source and id.
        event = {"ce-specversion": "1.0", "ce-type": EVENT, "ce-source": SOURCE, "ce-id": "demo-replica-1"}
        answer = await self._client.post("/v1/events", headers={**self._local, **event})
        answer.raise_for_status()
        self._count.acted("event", POOL, "")

    async def _approve(self, stage: str) -> None:
        said = {"stage": stage, "group": GROUP, "reason": "looked at the replica: lag 0 s"}
        answer = await self._client.post(f"/v1/contracts/{POOL}/approve", json=said, headers=self._approver)
        answer.raise_for_status()
        self._count.acted("approval", POOL, stage)


def _bearer(token: Path) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.read_text('ascii').strip()}"}


def _program() -> str:
    program = Path(sys.executable).with_name("headway")
    here = Path.cwd()
    return str(program.relative_to(here) if program.is_relative_to(here) else program)


def _options(api: str, data: Path, token: str) -> str:
    """What the command must be told beside its defaults: another server, another folder of tokens."""
    server = "" if api == API_USUAL else f" --server {api}"
    file = "" if data == DATA_USUAL else f" --token-file {os.fspath(data / 'tokens' / token)}"
    return server + file
