"""What the command's tests share: a place to run in, golden files, and a runner without a terminal."""

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner, Result

from headway.server import create_app
from tests.server.conftest import World, world

__all__ = ["World", "golden", "headway", "served", "world"]

HERE = Path(__file__).parent


@pytest.fixture
def golden(bless: bool) -> Callable[[str, str], None]:
    """Compares a text with `golden/NAME`, or writes it there when blessing."""

    def compare(name: str, text: str) -> None:
        path = HERE / "golden" / name
        if bless:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text

    return compare


@pytest.fixture
def headway(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs one command as a pipe would, among the sample documents, with nothing of the environment's own."""
    from headway.cli import app

    for name in ("HEADWAY_URL", "HEADWAY_TOKEN", "COLUMNS", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERMINAL_WIDTH", "100")
    monkeypatch.chdir(HERE / "documents")

    def run(*args: str, said: str | None = None, env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(app, list(args), input=said, env=env, prog_name="headway")

    return run


@pytest.fixture
def served(headway: Callable[..., Result], world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The same runner, with a server behind every address: an engine in memory, called without a socket.

    The token is in HEADWAY_TOKEN: `olaf` operates; a test that wants another one sets it.
    """
    app = create_app(world.engine, world.access)

    def client_of(_url: str, token: str) -> TestClient:
        return TestClient(app, base_url="http://127.0.0.1:7700", headers={"authorization": f"Bearer {token}"})

    monkeypatch.setattr("headway.cli.remote.client_of", client_of)
    monkeypatch.setenv("HEADWAY_TOKEN", "olaf")
    return headway
