"""One data folder, one engine: forks, second processes and pre-forking servers are told so, and the first goes on."""

import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CONTRACT = """
contract: pool
owner: team-test
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp: [{stage: now, limit: 5}]
"""
TIMEOUT_S = 60

OPENING = """
import json, os, sys, headway
contracts, data = sys.argv[1:]
def refused(act):
    try:
        act()
    except (headway.HeadwayError, headway.Forked) as error:
        return [error.code, str(error)]
    return ["none", ""]
"""


@pytest.fixture
def places(tmp_path: Path) -> tuple[str, str]:
    """A contract file and a data folder."""
    path = tmp_path / "pool.yaml"
    path.write_text(CONTRACT, encoding="utf-8")
    return str(path), str(tmp_path / "data")


def run(program: str, places: tuple[str, str]) -> Any:
    """Runs a program in an interpreter of its own; what its last line says, as JSON."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", OPENING + program, *places],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert 0 == ran.returncode, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_a_second_process_is_told_who_has_the_folder(places: tuple[str, str]) -> None:
    """HW501 names the process and the mend; the first decides on."""
    said = run(
        """
import subprocess
with headway.open(contracts, data=data) as hw:
    pool = hw.limiter("pool")
    other = '''
import sys, headway
try:
    headway.open(sys.argv[1], data=sys.argv[2])
except headway.HeadwayError as error:
    print(error.code, error.because, "|", error.mend)
'''
    second = subprocess.run([sys.executable, "-c", other, contracts, data], capture_output=True, text=True).stdout
    print(json.dumps([second, os.getpid(), bool(pool.try_acquire())]))
""",
        places,
    )

    second, pid, goes_on = said
    assert second.startswith("HW501")
    assert str(pid) in second
    assert "headway serve" in second
    assert goes_on


def test_after_closing_the_folder_is_free(places: tuple[str, str]) -> None:
    """Closed once or twice, the next opening in any process finds it free."""
    said = run(
        """
hw = headway.open(contracts, data=data)
hw.close()
hw.close()
with headway.open(contracts, data=data) as again:
    print(json.dumps(bool(again.limiter("pool").try_acquire())))
""",
        places,
    )

    assert said is True


def test_a_forked_child_decides_nothing_and_the_parent_goes_on(places: tuple[str, str]) -> None:
    """In the child a demand and a second opening are HW501, a permit that crossed releases nothing; the parent keeps
    its slot and its engine.
    """
    said = run(
        """
with headway.open(contracts, data=data) as hw:
    pool = hw.limiter("pool")
    permit = pool.try_acquire()
    ends = os.pipe()
    child = os.fork()
    if child == 0:
        permit.release()
        told = [refused(pool.try_acquire), refused(lambda: hw.limiter("pool")),
                refused(lambda: headway.open(contracts, data=data))]
        os.write(ends[1], json.dumps(told).encode())
        os._exit(0)
    os.waitpid(child, 0)
    told = json.loads(os.read(ends[0], 100_000))
    admitted = 0
    held = []
    while answer := pool.try_acquire():
        held.append(answer)
    print(json.dumps([told, len(held), hw.explain("pool")["contract"]]))
""",
        places,
    )

    told, free, explained = said
    assert ["HW501"] * 3 == [code for code, _ in told]
    assert "headway serve" in told[2][1]
    assert 4 == free
    assert "pool" == explained


def test_a_child_that_ends_leaves_the_parents_lock_alone(places: tuple[str, str]) -> None:
    """A forked child exits through the interpreter's own way out: the parent still has the folder for itself."""
    said = run(
        """
hw = headway.open(contracts, data=data)
child = os.fork()
if child == 0:
    sys.exit(0)
_, status = os.waitpid(child, 0)
busy = refused(lambda: headway.open(contracts, data=data))
print(json.dumps([status, busy[0], bool(hw.limiter("pool").try_acquire())]))
hw.close()
""",
        places,
    )

    assert [0, "HW501", True] == said


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_never_make_a_second_engine(
    method: str, places: tuple[str, str], tmp_path: Path
) -> None:
    """However the workers start, opening the same folder is HW501 in each, and the parent goes on."""
    program = tmp_path / "workers.py"
    program.write_text(
        f"""
import json, multiprocessing, sys
import headway

def work(places):
    try:
        headway.open(places[0], data=places[1])
    except headway.HeadwayError as error:
        return error.code
    return "opened"

if __name__ == "__main__":
    places = sys.argv[1:]
    with headway.open(places[0], data=places[1]) as hw:
        with multiprocessing.get_context({method!r}).Pool(2) as pool:
            codes = pool.map(work, [places] * 4)
        print(json.dumps([codes, bool(hw.limiter("pool").try_acquire())]))
""",
        encoding="utf-8",
    )

    ran = subprocess.run([sys.executable, str(program), *places], capture_output=True, text=True, timeout=TIMEOUT_S)

    assert 0 == ran.returncode, ran.stderr
    assert [["HW501"] * 4, True] == json.loads(ran.stdout.splitlines()[-1])


SITE = """
import headway

hw = headway.open(*{places!r}[:1], data={places!r}[1])
pool = hw.limiter("pool")

def app(environ, start_response):
    try:
        said = str(bool(pool.try_acquire()))
    except headway.Forked as error:
        said = error.code + " " + str(error)
    start_response("200 OK", [("content-type", "text/plain")])
    return [said.encode()]
"""


@pytest.fixture
def preloaded(places: tuple[str, str], tmp_path: Path) -> Iterator[tuple[int, int]]:
    """gunicorn with --preload and two workers over a site that opens Headway at import: (port, its pid)."""
    (tmp_path / "site_with_headway.py").write_text(SITE.format(places=places), encoding="utf-8")
    bound = socket.create_server(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    where = ["--preload", "--workers", "2", "--no-control-socket", "--bind", f"fd://{bound.fileno()}"]
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "gunicorn", *where, "site_with_headway:app"]
    with bound, (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=tmp_path, pass_fds=[bound.fileno()], stderr=log)
    # Closed here: the socket is the server's alone, so that a server that died refuses and does not hang.
    try:
        yield port, server.pid
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=TIMEOUT_S)
        finally:
            server.kill()


def test_gunicorns_preloaded_workers_are_told_the_mend(preloaded: tuple[int, int], places: tuple[str, str]) -> None:
    """The arbiter opened Headway, the workers were forked from it: each answers HW501, and nobody else can open."""
    port, pid = preloaded
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    answers = []
    for _ in range(4):
        # The listening socket was there before the server: the first request waits in its backlog, not in a sleep.
        connection.request("GET", "/", headers={"connection": "close"})
        answers.append(connection.getresponse().read().decode())
        connection.close()

    told = run("print(json.dumps(refused(lambda: headway.open(contracts, data=data))))", places)

    assert all(answer.startswith("HW501") for answer in answers), answers
    assert "HW501" == told[0]
    assert str(pid) in told[1]
