"""What `import headway` brings: the decision, its names, and nothing that an application would have to pay for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import headway

ROOT = Path(__file__).parents[2]

HEAVY = {
    "pydantic",
    "sqlalchemy",
    "fastapi",
    "starlette",
    "uvicorn",
    "alembic",
    "yaml",
    "typer",
    "rich",
    "httpx",
    "asyncio",
}


def loaded_after(statements: str) -> set[str]:
    """The modules a fresh interpreter has loaded after some statements."""
    program = f"{statements}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    return set(json.loads(said.stdout.splitlines()[-1]))


def test_importing_loads_what_decides_and_nothing_else() -> None:
    """No documents, no database, no web framework: `headway`, `headway.enforce` and the core."""
    modules = loaded_after("import headway")

    assert set() == modules & HEAVY
    assert {"headway", "headway._core", "headway.enforce"} == {name for name in modules if name.startswith("headway")}


def test_a_limit_in_words_needs_no_more() -> None:
    """`headway.limit` decides without engine, documents or ledger, in threads at least without asyncio."""
    modules = loaded_after("import headway; assert headway.limit('5/s').try_acquire()")

    assert set() == modules & HEAVY


def test_the_middleware_needs_no_framework() -> None:
    """`headway.asgi` speaks ASGI itself."""
    modules = loaded_after("import headway.asgi")

    assert set() == modules & (HEAVY - {"asyncio"})


@pytest.mark.parametrize("name", headway.__all__)
def test_every_public_name_is_there_and_stays_the_same(name: str) -> None:
    """A lazy name resolves, and to one object."""
    assert getattr(headway, name) is getattr(headway, name)
    assert name in dir(headway)


def test_an_unknown_name_is_an_attribute_error() -> None:
    name = "confirm"

    with pytest.raises(AttributeError, match=name):
        _ = getattr(headway, name)


def test_help_on_open_shows_units_errors_and_an_example() -> None:
    """`help(headway.open)` answers in what units, what can go wrong, and how it is used."""
    text = subprocess.run(
        [sys.executable, "-c", "import headway; help(headway.open)"],
        check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip

    for word in ("Units:", "seconds", "Raises:", "HW501", "Example:", "with headway.open("):
        assert word in text


def test_a_typed_users_program_passes_the_strict_checker() -> None:
    """`examples/typed_user.py`, as a user writes it, has no finding under mypy --strict."""
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "examples/typed_user.py"],
        capture_output=True, text=True, cwd=ROOT, timeout=300,
    )  # fmt: skip

    assert (0, "") == (checked.returncode, "" if checked.returncode == 0 else checked.stdout)


def test_a_typed_users_program_runs() -> None:
    """The same program does what it says."""
    ran = subprocess.run(
        [sys.executable, "examples/typed_user.py"], capture_output=True, text=True, cwd=ROOT, timeout=60
    )

    assert (0, "") == (ran.returncode, ran.stderr)
    assert "full" in ran.stdout
