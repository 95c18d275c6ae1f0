"""The commands that need no server: what they print, byte for byte, and how they end."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from headway.cli.app import COMMANDS, LEDGER_COMMANDS
from headway.cli.helps import HELPS
from headway.contract.codes import CODES as OF_DOCUMENTS
from headway.server.codes import CODES as OF_RUNNING

Run = Callable[..., Result]
Golden = Callable[[str, str], None]

VERSION = re.compile(r'("version": )"[^"]+"(,\n *"rules")')


@pytest.mark.parametrize("format", ["text", "json", "sarif", "github"])
@pytest.mark.parametrize("file", ["sound", "faulty"])
def test_check_prints_each_format_as_blessed(headway: Run, golden: Golden, format: str, file: str):
    """Two sound contracts end with 0; a file with three mistakes reports all three and ends with 1."""
    result = headway("check", f"{file}.yaml", "--format", format)

    golden(f"check-{file}.{format}", VERSION.sub(r'\1"0"\2', result.stdout))
    assert (0 if file == "sound" else 1) == result.exit_code
    assert "" == result.stderr


@pytest.mark.parametrize("path", ["nowhere.yaml", "nowhere/"])
def test_check_of_what_cannot_be_read_ends_with_two(headway: Run, path: str):
    """A path that is not there is unusable input, not a faulty contract."""
    result = headway("check", path)

    assert 2 == result.exit_code
    assert "HW105" in result.stdout


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe"])
def test_check_of_a_file_that_holds_no_documents_ends_with_two(headway: Run, tmp_path: Path, content: bytes):
    """Empty, only a comment, not UTF-8: there is nothing to check."""
    (tmp_path / "odd.yaml").write_bytes(content)

    assert 2 == headway("check", str(tmp_path)).exit_code


def test_check_without_a_path_is_unusable(headway: Run):
    result = headway("check")

    assert 2 == result.exit_code
    assert "PATH" in result.stderr


def test_no_text_of_a_document_becomes_an_annotation_of_its_own(headway: Run, tmp_path: Path):
    """A field named `::error::x` with line breaks stays inside its one line."""
    (tmp_path / "a.yaml").write_text('contract: api\n"a\\n::error::pwned": 1\n')

    lines = headway("check", str(tmp_path), "--format", "github").stdout.splitlines()

    assert lines
    assert all(re.match(r"::(error|warning) (file=[^,]*,line=\d+,col=\d+,)?title=HW\d{3}::", line) for line in lines)


@pytest.mark.parametrize("form", [(), ("--json",), ("--markdown",)])
def test_explain_of_a_file_answers_the_four_questions(headway: Run, golden: Golden, form: tuple[str, ...]):
    """For people, as JSON, as Markdown."""
    result = headway("explain", "sound.yaml", *form)

    golden(f"explain-file{form[0] if form else ''}.txt", result.stdout)
    assert 0 == result.exit_code


def test_explain_of_a_faulty_file_names_its_faults_on_stderr(headway: Run):
    result = headway("explain", "faulty.yaml")

    assert (1, "") == (result.exit_code, result.stdout)
    assert "error[HW" in result.stderr


@pytest.mark.parametrize("code", [*OF_DOCUMENTS, *OF_RUNNING])
def test_every_code_is_explained(headway: Run, code: str):
    """Whatever an error says, `more: headway explain CODE` leads somewhere; lower case too."""
    result = headway("explain", code.lower())

    assert 0 == result.exit_code
    assert result.stdout.startswith(f"{code}: ")
    assert "To mend it: " in result.stdout


def test_an_unknown_code_names_the_nearest(headway: Run):
    result = headway("explain", "HW499")

    assert 2 == result.exit_code
    assert "error[HW433]: there is no code HW499" in result.stderr
    assert "mend: Did you mean " in result.stderr


def test_a_file_that_is_not_there_is_not_taken_for_a_contracts_name(headway: Run):
    """`explain contracts/api.yaml` with a typing error must not ask a server for a contract of that name."""
    assert 2 == headway("explain", "contracts/nowhere.yaml").exit_code
    assert 2 == headway("explain", "nowhere.yaml").exit_code


def test_json_and_markdown_exclude_each_other(headway: Run):
    result = headway("explain", "sound.yaml", "--json", "--markdown")

    assert 2 == result.exit_code
    assert "HW433" in result.stderr


def test_schema_prints_json(headway: Run):
    result = headway("schema")

    assert 0 == result.exit_code
    assert "https://json-schema.org/draft/2020-12/schema" == json.loads(result.stdout)["$schema"]


def test_version_names_the_package_and_the_core(headway: Run):
    assert {"headway", "core"} == set(json.loads(headway("version", "--json").stdout))
    assert 2 == len(headway("version").stdout.splitlines())


@pytest.mark.parametrize("name", [*COMMANDS, *(f"ledger {name}" for name in LEDGER_COMMANDS)])
def test_every_command_has_help_with_an_example(headway: Run, name: str):
    result = headway(*name.split(), "--help")

    assert 0 == result.exit_code
    assert f"  headway {name}" in result.stdout
    assert "Examples:" in HELPS[name]


def test_the_command_starts_without_what_it_does_not_need():
    """`headway --help` loads neither pydantic nor httpx nor the server's framework, whatever the machine's speed."""
    code = (
        "import sys, headway.cli\n"
        "heavy = {'pydantic', 'httpx', 'fastapi', 'starlette', 'sqlalchemy', 'uvicorn', 'rich', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "[]\n" == out


def test_the_list_of_commands_cuts_no_sentence_short(headway: Run):
    """On 80 columns each command has a whole sentence of its own."""
    result = headway("--help")

    assert "..." not in result.stdout.partition("Commands:")[2]
