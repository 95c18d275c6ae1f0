"""What comes in and goes out as it happens: events, the stream, metrics, health."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from headway.server.events import event_of
from headway.server.metrics import Look, exposition
from headway.server.plain import plain
from headway.server.problems import ServerError
from headway.server.rights import Operator, Viewer
from headway.server.routes.described import READ_ERRORS, WRITE_ERRORS, answers
from headway.server.stream import GAP, KEEP_ALIVE, KEEP_ALIVE_MS, RETRY, Pacer, Resume, frame, resume_of

if TYPE_CHECKING:
    from headway.engine.engine import Engine
    from headway.engine.subscribe import Change, Subscription

STREAMS_MOST = 100
"""Live streams at once; one more is answered 503 with `Retry-After`."""

HEARD_MOST = 1000
"""Changes that wait for a client's turn of the loop; a client further behind is cut off and resumes by itself."""


class Streams:
    """The live streams of one server: their bound, and their end when the server stops.

    `run` names this run in the ids of the stream: the engine numbers changes anew with each process.
    """

    def __init__(self) -> None:
        self._most = STREAMS_MOST
        self._open: set[Subscription] = set()
        self._closed = False
        self.run = secrets.token_hex(4)
        self._lock = threading.Lock()

    def add(self, subscribe: Callable[[], Subscription]) -> Subscription:
        """Opens one more. ServerError HW429 at the bound, or while the server stops."""
        with self._lock:
            if self._closed or len(self._open) >= self._most:
                raise ServerError("HW429", f"{self._most} streams are open", headers={"retry-after": "5"})
            subscription = subscribe()
            self._open.add(subscription)
            return subscription

    def remove(self, subscription: Subscription) -> None:
        """Ends one; a second time does nothing."""
        with self._lock:
            self._open.discard(subscription)
        subscription.close()

    def close(self) -> None:
        """Ends all of them, so that the server can stop."""
        with self._lock:
            self._closed = True
            left = list(self._open)
        for subscription in left:
            self.remove(subscription)


def live(engine: Engine, streams: Streams, look: Look) -> APIRouter:
    """The routes for events, stream, metrics and health."""
    router = APIRouter()

    @router.post(
        "/v1/events",
        status_code=202,
        tags=["events"],
        responses=answers({"accepted": True, "outcomes": []}, *WRITE_ERRORS, status=202),
        openapi_extra={"requestBody": {"content": {"application/cloudevents+json": {"example": EVENT}}}},
    )
    async def events(request: Request, caller: Operator) -> Any:
        """Takes one CloudEvent 1.0, in binary or structured mode. 202 once it is durable; a repetition is 202 too, and
        counts once: `outcomes` says when it was counted.
        """
        raw = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        event = event_of(raw, await request.body(), at_ms=engine.now_ms(), actor=caller.actor)
        outcomes = await run_in_threadpool(engine.receive, event)
        return {"accepted": True, "outcomes": plain(outcomes)}

    @router.get(
        "/v1/stream",
        tags=["read"],
        response_class=StreamingResponse,
        responses=answers("id: 7\nevent: change\ndata: {…}\n\n", *READ_ERRORS, 503, media_type="text/event-stream"),
    )
    async def stream(
        _: Viewer,
        contract: Annotated[list[str], Query(max_length=100, description="Only these contracts.")] = [],  # noqa: B006
        last_event_id: Annotated[str | None, Header(max_length=64)] = None,
    ) -> Response:
        """Changes as server-sent events, at most four a second of one contract. `Last-Event-ID` resumes."""
        for name in contract:
            engine.contract(name)
        resume = resume_of(last_event_id, streams.run)
        subscription = streams.add(lambda: engine.subscribe(resume.after))
        frames = _frames(subscription, resume, frozenset(contract), streams.run)
        return ChangeStream(frames, lambda: streams.remove(subscription))

    @router.get("/metrics", tags=["health"], response_class=Response, responses=answers("headway_limit …", 401, 403))
    def metrics(_: Viewer) -> Response:
        """Metrics in Prometheus's text format."""
        return Response(exposition(engine, look), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.get("/healthz", tags=["health"], responses=answers({"alive": True}))
    async def healthz() -> Any:
        """The process answers. Asks for no token."""
        return {"alive": True}

    @router.get("/readyz", tags=["health"], responses=answers({"ready": True, "because": ""}, 503))
    def readyz() -> Response:
        """The engine decides and its ledger takes entries. Asks for no token, and names nothing."""
        because = engine.unready()
        return JSONResponse({"ready": not because, "because": because}, status_code=503 if because else 200)

    return router


EVENT = {
    "specversion": "1.0",
    "id": "4711",
    "source": "https://deploys.example/orders",
    "type": "replica.promoted",
    "time": "2026-12-01T09:00:00Z",
}


class ChangeStream(StreamingResponse):
    """A stream that gives its place back however it ends, also where it never began."""

    def __init__(self, frames: AsyncIterator[bytes], leave: Callable[[], None]) -> None:
        super().__init__(frames, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


async def _frames(subscription: Subscription, resume: Resume, names: frozenset[str], run: str) -> AsyncIterator[bytes]:
    """One client's stream: what the pacer lets through, and a sign of life in silence."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[Change | None] = asyncio.Queue(HEARD_MOST)
    threading.Thread(target=_listen, args=(subscription, loop, heard), name="headway-stream", daemon=True).start()
    pacer, last_id, alive_ms = Pacer(), resume.after, _ms(loop)
    yield RETRY + GAP if resume.lost else RETRY
    while True:
        now_ms = _ms(loop)
        for due in pacer.due(now_ms):
            alive_ms = now_ms
            yield frame(due, run)
        if now_ms - alive_ms >= KEEP_ALIVE_MS:
            alive_ms = now_ms
            yield KEEP_ALIVE
        silence_ms = alive_ms + KEEP_ALIVE_MS - now_ms
        pause_ms = pacer.wait_ms(now_ms)
        try:
            async with asyncio.timeout((silence_ms if pause_ms is None else min(pause_ms, silence_ms)) / 1000):
                change = await heard.get()
        except TimeoutError:
            continue
        if change is None:
            return
        if last_id is not None and change.id != last_id + 1:
            yield GAP
        last_id = change.id
        if not names or change.contract in names:
            pacer.hear(change)


def _listen(subscription: Subscription, loop: asyncio.AbstractEventLoop, heard: asyncio.Queue[Change | None]) -> None:
    """Carries changes from the engine's queue to the client's loop, until either ends."""

    def hand_over(change: Change | None) -> None:
        if heard.full():
            # The client is too slow for its own loop; it is cut off and resumes where it was.
            heard.get_nowait()
            change = None
        heard.put_nowait(change)

    try:
        for change in subscription:
            loop.call_soon_threadsafe(hand_over, change)
        loop.call_soon_threadsafe(hand_over, None)
    except RuntimeError:
        # The loop is closed: the server has stopped, and nobody is left to hear.
        subscription.close()


def _ms(loop: asyncio.AbstractEventLoop) -> int:
    return int(loop.time() * 1000)
