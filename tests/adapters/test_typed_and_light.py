"""What an adapter costs to import, and that a typed program that uses all of them has no finding."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FRAMEWORKS = {"fastapi", "starlette", "grpc", "httpx", "sqlalchemy", "celery", "pydantic", "alembic", "opentelemetry"}
"""What no adapter loads but the one that it is for."""

NEEDS = {
    "wsgi": set[str](),
    "fastapi": {"fastapi", "starlette", "pydantic", "opentelemetry"},
    "grpc": {"grpc"},
    "httpx": {"httpx"},
    "sqlalchemy": {"sqlalchemy"},
    "celery": {"celery"},
    "opentelemetry": {"opentelemetry"},
}


@pytest.mark.parametrize("name", NEEDS)
def test_an_adapter_loads_its_own_framework_and_neither_another_nor_the_engine(name: str) -> None:
    """An application pays for what it uses."""
    program = f"import headway.adapters.{name}, sys, json; print(json.dumps(sorted(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    loaded = set(json.loads(said.stdout))

    assert NEEDS[name] == loaded & FRAMEWORKS
    assert not {"headway.engine", "headway.contract", "headway.ledger", "headway.server"} & loaded


def test_a_typed_program_with_every_adapter_passes_the_strict_checker_and_runs() -> None:
    """`examples/typed_adapters.py`, as a user writes it."""
    program = "examples/typed_adapters.py"
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", program],
        capture_output=True, text=True, cwd=ROOT, timeout=300,
    )  # fmt: skip
    ran = subprocess.run([sys.executable, program], capture_output=True, text=True, cwd=ROOT, timeout=60)

    assert (0, "") == (checked.returncode, "" if checked.returncode == 0 else checked.stdout)
    assert (0, ["[200, 429]", "200", "200", "200", "1 orders-db", "2", "True"]) == (
        ran.returncode,
        ran.stdout.splitlines(),
    )
