"""The map of ARCHITECTURE.md, read from the imports themselves: an arrow that points back fails here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "python" / "headway"

MAY_IMPORT: dict[str, set[str]] = {
    "contract": set(),
    "proof": {"contract"},
    "ramp": {"contract", "proof"},
    "ledger": {"contract", "ramp", "errors"},
    "signals": {"contract", "ramp"},
    "engine": {"ledger", "signals", "ramp", "proof", "_core", "errors"},
    "plan": {"engine", "ledger", "ramp", "proof", "_core", "errors"},
    "rollout": {"ramp", "ledger", "errors"},
    "enforce": {"_core", "errors"},
    "errors": {"contract"},
    "attach": set(),
    "asgi": {"enforce"},
    "adapters": {"enforce"},
    "embedded": {"engine", "enforce", "server", "errors"},
    "testing": {"embedded", "engine", "enforce", "errors"},
    "server": {"engine", "plan", "rollout", "errors"},
    "cli": {
        "contract",
        "proof",
        "ramp",
        "ledger",
        "signals",
        "engine",
        "plan",
        "rollout",
        "server",
        "errors",
        "attach",
    },
}
"""Room -> rooms it may import; what lies behind an arrow may be imported too."""


def rooms_behind(room: str) -> set[str]:
    """Every room reachable from one, itself included."""
    seen: set[str] = set()
    ahead = [room]
    while ahead:
        here = ahead.pop()
        if here not in seen:
            seen.add(here)
            ahead.extend(MAY_IMPORT.get(here, ()))
    return seen


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and room of each import of Headway's own code in a file, lazy imports and type-checking ones included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{a.name}" for a in node.names] if node.module == "headway" else [node.module]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "headway" and len(parts) > 1:
                yield node.lineno, parts[1]


def sources() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_arrow_points_back(path: Path) -> None:
    """Each room imports only what the map allows it: `ramp` never learns of `engine`, `enforce` of nobody but `_core`."""
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    assert room in MAY_IMPORT, f"{room} is on no map: add it to ARCHITECTURE.md and here"

    allowed = rooms_behind(room)
    wrong = [f"{path.name}:{line} imports {name}" for line, name in imports_of(path) if name not in allowed]

    assert [] == wrong


def test_the_core_knows_neither_python_nor_sockets() -> None:
    """`headway-core` decides; it depends on no other crate of ours and on nothing that does I/O."""
    manifest = (SOURCE.parents[1] / "crates" / "headway-core" / "Cargo.toml").read_text()
    dependencies = manifest.split("[dependencies]", 1)[-1].split("[", 1)[0]

    assert [] == [line for line in dependencies.splitlines() if line.strip() and not line.strip().startswith("#")]
