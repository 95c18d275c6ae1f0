"""What a contract waits for, looked at now: the ramp's own answers, with what stands around it."""

from __future__ import annotations

from dataclasses import replace

from headway.engine.board import Board, Place
from headway.engine.suspicion import ClockStatus
from headway.ramp.conditions import Surroundings
from headway.ramp.entering import prospect
from headway.ramp.joint import no_room, still_spent_by
from headway.ramp.machine import step
from headway.ramp.standing import standing_of
from headway.ramp.waits import Awaited, awaited, raises_when


def surroundings(board: Board, name: str, now_ms: int, clock: ClockStatus) -> Surroundings:
    """The world beside one contract: where those that it requires stand, and whether the clock is trusted."""
    standings = {
        required: standing_of(board.contracts[required], board.states[required], now_ms)
        for required in board.links.requires[name]
        if required in board.states
    }
    suspect = clock.reason if clock.suspect else None
    return Surroundings(standings, suspect, spent_by=still_spent_by(board.states, board.links, name))


def waits(board: Board, place: Place, now_ms: int, clock: ClockStatus) -> tuple[Awaited, ...]:
    """Every stage that is still to come, condition by condition."""
    contract, state, name = place.contract, place.state, place.contract.name
    around = surroundings(board, name, now_ms, clock)
    ahead = prospect(contract, state, now_ms, around, board.calendars)
    if ahead is not None and ahead.open:
        # All holds, and yet it did not enter: an upstream may have no room for it.
        tried = step(contract, state, now_ms, [], calendars=board.calendars)
        full = no_room(board.contracts, board.states, board.links, name, tried.state, now_ms)
        around = replace(around, full=full)
    return awaited(contract, state, now_ms, around, board.calendars)


def words(board: Board, name: str, now_ms: int, clock: ClockStatus) -> str:
    """What would raise a contract's limit, as a refusal says it."""
    contract, state = board.contracts[name], board.states[name]
    around = surroundings(board, name, now_ms, clock)
    return raises_when(contract, state, prospect(contract, state, now_ms, around, board.calendars))
