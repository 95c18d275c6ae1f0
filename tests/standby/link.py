"""A way to PostgreSQL that can be cut: a socket in a folder of its own, which leads to the server's."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path

from tests.postgres import PORT

PIECE = 65_536
"""Bytes passed on at once."""


class Link:
    """In a thread of its own, from construction until `close`."""

    def __init__(self, folder: Path, cluster: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._socket = cluster / f".s.PGSQL.{PORT}"
        self._is_cut = False
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="link", daemon=True)
        self._thread.start()
        started.wait(10)

    def cut(self) -> None:
        """Nothing passes from now on, on no connection: what was open stays so, and falls silent."""
        self._is_cut = True

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        path = self.folder / self._socket.name
        server = self._loop.run_until_complete(asyncio.start_unix_server(self._serve, path))
        started.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(self._socket)
        await asyncio.gather(self._pass(reader, up_writer), self._pass(up_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(PIECE):
                if self._is_cut:
                    return
                writer.write(piece)
                await writer.drain()
            if not self._is_cut:
                writer.close()
