"""The demo: the shop, its traffic, Headway in the same process, two worker processes that ask it, and what is shown.

    python -m examples.shop                  the live screen, until Ctrl-C; asks you for an event and an approval
    python -m examples.shop --auto           gives both itself, 90 s, and judges: exit code 0 iff all went as promised

Killed at any instant and started again on the same folder it goes on: Headway from its ledger, the count from its file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from rich.console import Console, RenderableType
from rich.live import Live

import headway
from examples.shop import app, clock, outcome
from examples.shop.count import Count, lives_so_far
from examples.shop.glance import Glance, Glancer
from examples.shop.moments import moments
from examples.shop.person import DATA_USUAL, Person, commands, wanted
from examples.shop.published import Publications
from examples.shop.screen import screen
from examples.shop.traffic import Traffic, arrivals
from examples.shop.workers import Workers
from headway.asgi import App
from headway.contract.faults import Unreadable
from headway.server.access import local_tokens
from headway.server.dataplane import RoutedPlane
from headway.server.listen import Address

CONTRACTS = Path(__file__).parent / "contracts"

GROWS_S = 90.0
"""How long the traffic grows, and an unattended run lasts, where the command line does not say."""

LOOKS_PER_S = 4

WIDTH = 120
"""Columns of the summary where there is no terminal to ask."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says.

    Attributes:
        seconds: How long this life lasts; infinite: until Ctrl-C.
        grows_s: How long the traffic grows, and of what the event and the approval come at a share.
        data: None: a folder that is gone afterwards.
    """

    auto: bool
    seconds: float
    grows_s: float
    seed: int
    data: Path | None
    result: Path | None
    listen: str
    contracts: Path


def options_of(arguments: Sequence[str]) -> Options:
    """Reads the command line; SystemExit with a usage text where it cannot."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop", description="A web shop with Headway embedded.")
    parser.add_argument(
        "--auto", action="store_true", help="unattended: gives the event and the approval itself, and judges"
    )
    parser.add_argument("--seconds", type=_seconds, help="how long; 90 with --auto, else until Ctrl-C")
    parser.add_argument("--seed", type=int, default=1, help="of the traffic")
    parser.add_argument("--data", type=Path, help="data folder; .headway, with --auto one that is gone afterwards")
    parser.add_argument("--result", type=Path, help="write what was counted to this file, as JSON")
    parser.add_argument("--listen", help="where Headway listens; 127.0.0.1:7700, with --auto any free port")
    parser.add_argument("--contracts", type=Path, default=CONTRACTS, help="other contracts of the same names")
    parser.add_argument("--grows", type=_seconds, help="how long the traffic grows; as long as the run, else 90")
    said = parser.parse_args(arguments)
    return Options(
        auto=said.auto,
        seconds=said.seconds or (GROWS_S if said.auto else math.inf),
        grows_s=said.grows or said.seconds or GROWS_S,
        seed=said.seed,
        data=said.data or (None if said.auto else DATA_USUAL),
        result=said.result,
        listen=said.listen or ("127.0.0.1:0" if said.auto else "127.0.0.1:7700"),
        contracts=said.contracts,
    )


def main(arguments: Sequence[str]) -> int:
    """Runs the demo; returns its exit code: 0 as promised, 1 not, 2 it could not start."""
    options = options_of(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    with ExitStack() as stack:
        data = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headway-demo-")))
        try:
            hw = stack.enter_context(headway.open(options.contracts, data=data, listen=options.listen))
        except (headway.HeadwayError, Unreadable, OSError) as error:
            print(error, file=sys.stderr)
            return 2
        count = _counting(data / "shop", options.seed)
        with closing(Publications(hw, count)), closing(plane_for_workers(hw)) as plane:
            missing = asyncio.run(_live(hw, plane, count, data, options, console))
        count.close()
        found = outcome.of(hw, count.path, options.seed, judge_ramp=options.auto, missing=missing)
        console.print(outcome.table(found))
        console.print(outcome.in_words(found))
        if options.result is not None:
            options.result.parent.mkdir(parents=True, exist_ok=True)
            options.result.write_text(json.dumps(outcome.as_json(found), indent=2) + "\n")
    return 0 if found.as_promised else 1


def plane_for_workers(hw: headway.Headway) -> RoutedPlane:
    """Where the worker processes ask, with the tokens that the API has made."""
    return RoutedPlane(hw.engine, Address("127.0.0.1", 0), local_tokens(hw.engine.data).access)


def _counting(folder: Path, seed: int) -> Count:
    folder.mkdir(mode=0o700, exist_ok=True)
    # The stamps' clock starts with the machine, so each start of the machine has a count of its own.
    count = Count(folder / f"count-{clock.boot_id()}.jsonl", clock.boot_ns)
    count.begin(len(lives_so_far(count.path)) + 1, seed, clock.utc_ns())
    return count


async def _live(
    hw: headway.Headway, plane: RoutedPlane, count: Count, data: Path, options: Options, console: Console
) -> list[str]:
    """Shop, workers, traffic, person and screen in one loop, until the time is over or a signal says stop.

    Returns what should have been seen of the workers and was not, in words.
    """
    lives = lives_so_far(count.path)
    born_ns, life = lives[0][1], lives[-1][0]

    def now_s() -> float:
        return (clock.boot_ns() - born_ns) / 1e9

    from_s = now_s()
    until_s = from_s + options.seconds
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    shop = app.build(hw, data / "shop" / "shop.sqlite", count)
    server, listening, address = _serving(shop.app)
    person = Person(_address(hw), data / "tokens", options.grows_s, count) if options.auto else None
    url = f"http://{plane.address}"
    workers = Workers(url, data / "tokens" / "local", count, life, options.grows_s, lambda: plane.holders)
    async with httpx.AsyncClient(base_url=address, timeout=10.0) as client:
        traffic = Traffic(shop.app, client, now_s)
        coming = arrivals(options.seed * 1_000_003 + life, options.grows_s, until_s, from_s)
        running = [
            asyncio.create_task(server.serve([listening])),
            asyncio.create_task(traffic.run(coming)),
            asyncio.create_task(
                _look(Glancer(hw, count), count, traffic, person, workers, data, console, now_s, _address(hw))
            ),
            asyncio.create_task(_over(stop, options.seconds)),
        ]
        try:
            # Whatever ends first ends the demo: its time, a signal, or a task that failed, which is then told.
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        finally:
            server.should_exit = True
            for task in running[1:]:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            if person is not None:
                await person.close()
            workers.close()
            shop.pool.close()
    for task in done:
        task.result()
    return workers.missing()


async def _over(stop: asyncio.Event, seconds: float) -> None:
    """Returns when the time is over or a signal came."""
    try:
        await asyncio.wait_for(stop.wait(), seconds if math.isfinite(seconds) else None)
    except TimeoutError:
        return


async def _look(
    glancer: Glancer,
    count: Count,
    traffic: Traffic,
    person: Person | None,
    workers: Workers,
    data: Path,
    console: Console,
    now_s: Callable[[], float],
    api: str,
) -> None:
    """Looks a few times a second, and shows or tells what it sees."""
    before: list[Glance] = []
    with _showing(console) as show:
        while True:
            glances = glancer.take()
            at_s = now_s()
            said = moments(before, glances)
            before = glances
            if person is not None:
                given = await person.turn(at_s)
                said += [given] if given else []
            happened = workers.turn(at_s)
            said += [happened] if happened else []
            if show is None:
                for line in said:
                    console.print(f"{at_s:6.1f} s  {line}", highlight=False, soft_wrap=True)
            else:
                heading = _heading(at_s, traffic, glances)
                show(screen(glances, count.said, heading, [] if person else _asks(glances, api, data)))
            await asyncio.sleep(1 / LOOKS_PER_S)


@contextmanager
def _showing(console: Console) -> Iterator[Callable[[RenderableType], None] | None]:
    """How to show a screen; None where there is no terminal, and lines must do."""
    if not console.is_terminal:
        yield None
        return
    with Live(console=console, auto_refresh=False, screen=True) as live:
        yield lambda renderable: live.update(renderable, refresh=True)


def _asks(glances: Sequence[Glance], api: str, data: Path) -> list[str]:
    """What the one who watches could type now."""
    pool = next(glance for glance in glances if glance.name == app.POOL)
    return commands(wanted(pool.upcoming, ((one.kind, one.met) for one in pool.waiting)), api, data)


def _heading(at_s: float, traffic: Traffic, glances: Sequence[Glance]) -> str:
    answered = sum(traffic.answers.values())
    refused = sum(many for (_, status), many in traffic.answers.items() if status in (429, 503))
    climbing = [glance.name for glance in glances if glance.climbing]
    doing = f"{' and '.join(climbing)} climbing" if climbing else "traffic grows, limits hold"
    return f"{at_s:.0f} s: {doing}; {answered} requests answered, {refused} of them refused. Ctrl-C ends."


class _Server(uvicorn.Server):
    """uvicorn inside our loop, on a socket that is bound already: signals are ours."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _serving(shop: App) -> tuple[_Server, socket.socket, str]:
    """The shop over HTTP on a free port of the loopback, to be served; and its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    config = uvicorn.Config(shop, log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    return _Server(config), listening, f"http://127.0.0.1:{port}"


def _address(hw: headway.Headway) -> str:
    if hw.address is None:
        raise RuntimeError("the demo always listens")
    return hw.address


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError("from 1 to 86,400 seconds")
    return seconds
