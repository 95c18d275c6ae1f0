"""`headway serve`: what it refuses before anything is opened, and one whole life of a real process."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import headway as headway_package
from headway.cli.exits import Exit

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("--listen", "7700"), "HW443"),
        (("--listen", "0.0.0.0:7700"), "HW440"),
        (("--listen", "0.0.0.0:7700", "--insecure-no-tls"), "HW440"),
        (("--tls-cert", "a.pem"), "HW433"),
        (("--tls-key", "a.pem"), "HW433"),
        (("--store", "postgresql://ana:hunter2@db/headway"), "HW433"),
        (("--store", "postgresql://db"), "HW433"),
        (("--standby",), "HW433"),
        (("--standby", "--store", "sqlite:///ledger.db"), "HW433"),
        (("--store", "mysql://db/headway"), "HW433"),
        (("--store", "sqlite:///somewhere/else.db"), "HW433"),
        (("--store", "sqlite:///a/ledger.db", "--data", "b"), "HW433"),
    ],
)
def test_what_cannot_be_served_is_refused_and_leaves_nothing_behind(
    headway: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, args: tuple[str, ...], code: str
):
    """No folder is made, no ledger opened, no token written."""
    monkeypatch.chdir(tmp_path)

    result = headway("serve", *args)

    assert result.exit_code in (Exit.REFUSED, Exit.UNUSABLE)
    assert f"error[{code}]" in result.stderr
    assert [] == list(tmp_path.iterdir())


def test_faulty_documents_are_told_and_leave_nothing_behind(
    headway: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "a.yaml").write_text("contract: api\n")
    monkeypatch.chdir(tmp_path)

    result = headway("serve", "a.yaml")

    assert Exit.REFUSED == result.exit_code
    assert "error[HW124]" in result.stderr
    assert ["a.yaml"] == [path.name for path in tmp_path.iterdir()]


def test_the_store_of_the_document_is_acted_on(headway: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """It names one folder, and `--data` another: nothing is begun. `--store` goes before it."""
    (tmp_path / "a.yaml").write_text("server: main\nstore: sqlite:///a/ledger.db\n")
    monkeypatch.chdir(tmp_path)

    for more, problem in (((), "different folders"), (("--store", "sqlite:///b/c.db"), "--store is not")):
        result = headway("serve", "a.yaml", "--data", "b", *more)
        assert "error[HW433]" in result.stderr
        assert problem in result.stderr
    assert ["a.yaml"] == [path.name for path in tmp_path.iterdir()]


def test_a_server_with_tokens_still_wants_tls_beyond_this_machine(
    headway: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The document configures a token and the address; what is missing is TLS."""
    (tmp_path / "a.yaml").write_text(
        f"server: main\nlisten: 0.0.0.0:7700\ntokens: [{{name: ci, hash: {'0' * 64}, roles: [viewer]}}]\n"
    )
    monkeypatch.chdir(tmp_path)

    assert "error[HW441]" in headway("serve", "a.yaml").stderr


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "headway.cli", *args]


def run(*args: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*args), cwd=cwd, env=env, capture_output=True, text=True, timeout=60)


def test_a_whole_life_serve_explain_hold_stop_and_serve_again(tmp_path: Path):
    """Served on a free port, explained, held by its own tokens, stopped by SIGTERM, verified offline, served again: the
    hold is still there though the file is broken by now, and the tokens are not shown a second time. A second server
    over the folder is HW501.
    """
    (tmp_path / "api.yaml").write_text(
        "contract: api\nowner: team-web\nconstraint: {measure: rate, unit: request, per: 1s}\n"
        "workloads: {other: {}}\nramp: [{stage: now, limit: 100}, {stage: more, limit: 200, when: {approval: dba}}]\n"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("HEADWAY_")}
    # The package under test, also where it is not installed and this directory is another one.
    env |= {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(Path(headway_package.__file__).parents[1])}

    said = []
    for turn in range(2):
        serving = subprocess.Popen(
            command("serve", "api.yaml", "--listen", "127.0.0.1:0"),
            cwd=tmp_path,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
        )
        try:
            assert serving.stdout is not None
            lines: list[str] = []
            while not lines or not lines[-1].startswith("listening on "):
                lines.append(serving.stdout.readline())
                assert lines[-1], "the server ended before it listened"
            said.append("".join(lines))
            env["HEADWAY_URL"] = lines[-1].removeprefix("listening on ").strip()

            explained = run("explain", "api", cwd=tmp_path, env=env)
            assert (0, "") == (explained.returncode, explained.stderr)
            assert ("held since" in explained.stdout) == (turn == 1)
            if turn == 0:
                held = run("hold", "api", "--yes", "--reason", "x", cwd=tmp_path, env=env)
                assert 0 == held.returncode, held.stderr
                second = run("serve", "api.yaml", "--listen", "127.0.0.1:0", cwd=tmp_path, env=env)
                assert "error[HW501]" in second.stderr
        finally:
            serving.send_signal(signal.SIGTERM)
            rest, _ = serving.communicate(timeout=30)
        (tmp_path / "api.yaml").write_text("contract: api\n")
        assert "stopped; the marks are saved" in rest
        verified = run("ledger", "verify", cwd=tmp_path, env=env)
        assert (0, "the ledger is whole") == (verified.returncode, verified.stdout[:19])

    assert 2 == len(re.findall(r"hw_[\w-]{40,}", said[0]))
    assert [] == re.findall(r"hw_[\w-]{40,}", said[1])
