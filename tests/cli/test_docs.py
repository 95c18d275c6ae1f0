"""What is documented: every command, path, error code and metric. The index of codes is written by `make bless`."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from typer.main import get_command

import headway.enforce
from headway.cli.app import COMMANDS, LEDGER_COMMANDS, app
from headway.cli.exits import Exit
from headway.contract.codes import CODES as OF_DOCUMENTS
from headway.errors import HeadwayError
from headway.server.codes import CODES as OF_RUNNING

DOCS = Path(__file__).parents[2] / "docs"
SOURCE = Path(inspect.getfile(HeadwayError)).parent


def error_index() -> str:
    """The text of `docs/errors.md`: every code there is, with why and how to mend it."""
    lines = [
        "# Errors",
        "",
        "Every error has a stable code, says what, why, and how to mend it. `headway explain CODE` shows the same, with",
        "an example where the mistake is in a document. HW1xx: reading the text; HW2xx: what it means; HW3xx: safety over",
        "the whole ramp; HW4xx: between a caller and the server; HW5xx: while running.",
    ]
    pages = {code: (known.title, known.why, known.mend) for code, known in OF_DOCUMENTS.items()}
    pages |= {code: (known.title, known.because, known.mend) for code, known in OF_RUNNING.items()}
    for code in sorted(pages):
        title, because, mend = pages[code]
        lines += ["", f"## {code}: {title}", "", _sentence(because), "", f"To mend it: {mend}"]
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def test_the_index_of_errors_holds_every_code(bless: bool):
    """One page for the whole catalogue; `make bless` rewrites it when a code is added or its words improve."""
    if bless:
        (DOCS / "errors.md").write_text(error_index(), encoding="utf-8")

    assert error_index() == (DOCS / "errors.md").read_text(encoding="utf-8")


def test_no_code_means_two_things():
    """The catalogue of documents and the one of the running server share no code."""
    assert set() == set(OF_DOCUMENTS) & set(OF_RUNNING)


def test_every_code_in_the_source_is_in_a_catalogue():
    """Whatever is raised anywhere can be explained."""
    raised = {
        code for path in SOURCE.rglob("*.py") for code in re.findall(r'"(HW\d{3})"', path.read_text(encoding="utf-8"))
    }

    assert set() == raised - set(OF_DOCUMENTS) - set(OF_RUNNING)


def test_every_error_class_has_a_code_of_its_own_in_the_catalogue():
    """Also those of the library, which raise codes of their own."""
    for module in pkgutil.iter_modules(headway.enforce.__path__, "headway.enforce."):
        importlib.import_module(module.name)
    kinds = [HeadwayError]
    for kind in kinds:
        kinds += kind.__subclasses__()

    codes = {kind.default_code for kind in kinds}

    assert set() == codes - set(OF_RUNNING)


def test_every_command_that_is_named_anywhere_exists():
    """A mend that names one which does not sends people nowhere."""
    root = DOCS.parent
    files = [*SOURCE.rglob("*.py"), *root.glob("crates/*/src/**/*.rs"), *DOCS.rglob("*.md"), *root.glob("*.md")]
    named = {
        (command, path.name)
        for path in files
        for command in re.findall(r"`headway ([a-z][a-z-]*)", path.read_text(encoding="utf-8"))
    }

    assert {"explain", "apply"} <= {command for command, _ in named}
    assert [] == sorted((command, name) for command, name in named if command not in {*COMMANDS, "ledger"})


def test_every_reason_of_a_refusal_is_documented():
    """As many as the page of metrics says there are."""
    source = (DOCS.parent / "crates" / "headway-core" / "src" / "why.rs").read_text(encoding="utf-8")
    reasons = set(re.findall(r'Why::\w+ => "(\w+)"', source))
    row = re.search(r"^\| `why` \|.*$", (DOCS / "library.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert row is not None
    assert reasons == set(re.findall(r"`(\w+)`", row.group())) - {"why"}
    assert 11 == len(reasons)
    assert "one of the eleven of *Refusals*" in (DOCS / "metrics.md").read_text(encoding="utf-8")


def test_every_option_of_a_command_that_is_shown_exists():
    """In blocks of a shell: `$ headway serve contracts/ --listen …`, over several lines too."""
    shown = re.compile(
        r"^(?:\$ )?(?:\w+=\S+ )*headway (serve|check|apply|explain|attach|override|event) (.*)$", re.MULTILINE
    )
    seen = [
        (path.name, command, option)
        for path in [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]
        for command, rest in shown.findall(path.read_text(encoding="utf-8").replace("\\\n", " "))
        for option in re.findall(r"(?<=\s)--[a-z][a-z-]+", rest)
    ]
    known = {command: {name for one in options for name in one.opts} for command, options in _options().items()}

    assert ("connect.md", "serve", "--data-plane") in seen
    assert [] == [(page, command, option) for page, command, option in seen if option not in known[command]]


def _options() -> Mapping[str, Sequence[Any]]:
    return {name: command.params for name, command in get_command(app).commands.items()}  # type: ignore[attr-defined]


def test_every_command_and_exit_code_is_documented():
    text = (DOCS / "commands.md").read_text(encoding="utf-8")

    for name in [*COMMANDS, *(f"ledger {name}" for name in LEDGER_COMMANDS)]:
        assert re.search(rf"^\| `{name}[ `]", text, re.MULTILINE), name
    for code in Exit:
        assert re.search(rf"^\| {code.value} \|", text, re.MULTILINE), code
