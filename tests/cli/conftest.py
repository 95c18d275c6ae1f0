"""What the command's tests share: a place to run in, golden files, and a runner without a terminal."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

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

    def run(*args: str, said: str | None = None) -> Result:
        return CliRunner().invoke(app, list(args), input=said, prog_name="headway")

    return run
