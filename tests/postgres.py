"""A PostgreSQL of the tests' own: in a folder, on a socket in it, as a user that is not root. Debian's packages are asked for."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import psycopg

from headway.ledger import Database, Ledger
from headway.ledger.tables import metadata

ROOT = Path(__file__).parents[1]
LEDGER = "ledger"
PORT = 5432
"""Names the socket; nothing listens on the network."""

SETTINGS = {"fsync": "off", "listen_addresses": "''", "max_connections": "60", "shared_buffers": "32MB"}
"""The tests kill processes, not machines: what a process wrote the kernel has."""


def programs() -> Path:
    """Where PostgreSQL's programs are; installs Debian's packages where it may."""
    if not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        subprocess.run([ROOT / "tools" / "debian.sh", "postgresql"], check=True)
    return sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))[-1]


class Cluster:
    """One server, from construction until `remove`."""

    def __init__(self, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        self.programs = programs()
        self.settings = {**SETTINGS, **settings}
        self.folder = Path(tempfile.mkdtemp(prefix="headway-pg-"))
        # As root the server runs as the user that Debian's package made: it refuses to be root.
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.user)
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.version = ""
        self._has_ledger = False

    def make(self) -> Cluster:
        """A new cluster, started."""
        self.run(
            "initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"
        )
        self.version = (self.data / "PG_VERSION").read_text().strip()
        self.start()
        return self

    def run(self, program: str, *arguments: object) -> None:
        """Runs one of PostgreSQL's programs to its end."""
        command = [str(self.programs / program), *map(str, arguments)]
        done = subprocess.run(command, user=self._as(), capture_output=True, text=True, cwd="/", timeout=60)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Returns once it answers."""
        options = " ".join(f"-c {name}={value}" for name, value in self.settings.items())
        log = self.folder / "log"
        self.run("pg_ctl", "-D", self.data, "-l", log, "-w", "-o", f"-k {self.folder} -p {PORT} {options}", "start")

    def stop(self) -> None:
        """As an operator would, at once."""
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    def kill(self) -> None:
        """`kill -9` of the server and of everything that it has started."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in (self.pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def revive(self) -> None:
        """Starts again after a kill."""
        # They name a process that nobody may have reaped yet, and that would pass for alive.
        for lock in (self.data / "postmaster.pid", self.folder / f".s.PGSQL.{PORT}.lock"):
            lock.unlink()
        self.start()

    def promote(self) -> None:
        """What a copy of it would be after a failover: the same data on another timeline."""
        self.follow_nobody()
        self.run("pg_ctl", "-D", self.data, "-w", "promote")

    def follow_nobody(self) -> None:
        """Starts again as a standby that hears of nothing."""
        self.run("pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop")
        signal_file = self.data / "standby.signal"
        signal_file.touch()
        signal_file.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(signal_file, self.user)
        self.start()

    @property
    def pid(self) -> int:
        """The server's own process."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def emptied(self) -> str:
        """The address of the one database with a ledger in it, which is empty again: what a test before left is over."""
        url = self.url(LEDGER)
        if not self._has_ledger:
            with self.connect() as connection:
                connection.execute(f"CREATE DATABASE {LEDGER}")
            Ledger.shared(Database.of(url)).close()
            self._has_ledger = True
        with self.connect(LEDGER) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'headway'"
            )
            connection.execute(f"TRUNCATE {', '.join(name for name in metadata.tables if name != 'mandate')}")
            connection.execute("UPDATE mandate SET epoch = 0, renewals = 0, term_ms = 0, holder = '', place = ''")
        return url

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A connection of the test's own, each statement for itself."""
        return psycopg.connect(
            host=str(self.folder), port=PORT, user="postgres", dbname=database, autocommit=True, connect_timeout=5
        )

    def url(self, database: str, folder: Path | None = None) -> str:
        """How Headway is told of a database in it; by a socket in another folder, if one is named."""
        return f"postgresql://postgres@:{PORT}/{database}?host={folder or self.folder}"

    def remove(self) -> None:
        """Nothing is left of it."""
        if (self.data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder)

    def _as(self) -> str | None:
        return self.user if os.geteuid() == 0 else None
