"""A network that misbehaves, between a gate and its keeper: late, cut, half open."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress

LATE_S = 0.02
"""The longest that a piece is late as a rule."""

CHANCES = {"stall": 0.002, "cut": 0.001, "half": 0.0005}
"""Of each piece: that it waits for seconds, that the connection ends, that one direction falls silent."""

STALL_S, SILENT_S = 3.0, 8.0


class Faulty:
    """A TCP proxy on a port of its own, in a thread of its own, until `close`."""

    def __init__(self, port: int, seed: int) -> None:
        self._upstream = port
        self._chance = random.Random(seed)
        self.faults = dict.fromkeys(CHANCES, 0)
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="faulty-network", daemon=True)
        self._thread.start()
        started.wait(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def lead_to(self, port: int) -> None:
        """Where connections lead that are made from now on."""
        self._upstream = port

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.close()
            return
        ways = [
            asyncio.ensure_future(self._pass(reader, up_writer)),
            asyncio.ensure_future(self._pass(up_reader, writer)),
        ]
        try:
            # Cancelled where the whole network ends.
            with suppress(asyncio.CancelledError):
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in ways:
                one.cancel()
            writer.close()
            up_writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(65_536):
                fault = self._fault()
                if fault == "cut":
                    return
                if fault == "half":
                    await asyncio.sleep(SILENT_S)
                    return
                await asyncio.sleep(STALL_S * self._chance.random() if fault else LATE_S * self._chance.random())
                writer.write(piece)
                await writer.drain()

    def _fault(self) -> str | None:
        drawn = self._chance.random()
        for name, chance in CHANCES.items():
            if drawn < chance:
                self.faults[name] += 1
                return name
            drawn -= chance
        return None
