"""Two servers on one PostgreSQL: one serves, the other waits; whatever becomes of the first, nothing is admitted twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx

from headway.ledger import Database, Ledger
from tests.postgres import Cluster
from tests.standby.conftest import Serve
from tests.standby.link import Link
from tests.standby.served import Server, admitted

MAILS = 300


def test_a_standby_takes_over_from_a_server_that_is_killed(serve: Serve, cluster: Cluster):
    """`kill -9` in the middle of demands: the standby, which had opened no port, serves a term later. Of the month's 300 mails
    both together send no more than 300; the ledger is whole.
    """
    first = serve("first")
    sent = admitted(first, "mails", 100)
    standby = serve("second", "--standby")
    standby.wait_for(rf"process {first.pid} on \S+ has the mandate")
    assert "listening" not in standby.said

    counted: list[int] = []
    asking = threading.Thread(target=lambda: counted.append(_until_it_breaks(first)))
    asking.start()
    first.signal(signal.SIGKILL)
    asking.join()

    sent += counted[0] + admitted(standby, "mails", 300)
    assert 100 <= sent <= MAILS
    assert 429 == standby.check("mails").status_code
    assert 200 == standby.read("/readyz").status_code
    # It was born empty, and fills as time goes by.
    assert admitted(standby, "api", 40) > 0
    standby.signal(signal.SIGTERM)
    assert 0 == standby.ended()
    ledger = Ledger.shared(Database.of(cluster.url("ledger")), read_only=True)
    assert ledger.verify().ok
    assert (2, 0) == (ledger.held().epoch, ledger.held().term_ms)
    ledger.close()


def test_a_server_that_was_frozen_answers_nothing_when_it_wakes_and_ends(serve: Serve):
    """SIGSTOP, a take-over, SIGCONT: what was asked while it stood still is refused, its writes fail, and it ends by itself
    with the reason. Both together send no more than the month's mails.
    """
    first = serve("first")
    sent = admitted(first, "mails", 20)
    standby = serve("second", "--standby")
    standby.wait_for("has the mandate")

    first.signal(signal.SIGSTOP)
    answers: list[int] = []
    asking = [threading.Thread(target=lambda: answers.append(_status(first))) for _ in range(20)]
    for thread in asking:
        thread.start()
    sent += admitted(standby, "mails", 400)
    first.signal(signal.SIGCONT)
    for thread in asking:
        thread.join()

    assert 200 not in answers
    assert sent <= MAILS
    assert first.ended() != 0
    assert "HW506" in first.said
    assert "took it over" in first.said
    assert "the marks are saved" not in first.said
    assert 429 == standby.check("mails").status_code


def test_a_server_that_is_cut_off_from_the_store_has_stopped_when_another_serves(
    serve: Serve, cluster: Cluster, tmp_path: Path
):
    """Nothing passes between the first and PostgreSQL any more, and nobody tells it so. It goes on with rates while its mandate
    lasts; once the standby serves it admits nothing, and says that it cannot decide.
    """
    link = Link(tmp_path / "link", cluster.folder)
    first = serve("first", by=cluster.url("ledger", link.folder))
    assert 200 == first.check("mails").status_code
    standby = serve("second", "--standby")
    standby.wait_for("has the mandate")

    link.cut()
    assert 200 == first.check("api").status_code
    assert standby.plane
    answers = [first.check("api") for _ in range(20)]

    assert [503] * 20 == [answer.status_code for answer in answers]
    assert "cut_off" in answers[0].text
    assert "could not be renewed in time" in first.read("/readyz").text
    assert 200 == standby.check("mails").status_code
    link.close()


def test_a_second_server_that_is_no_standby_is_told_who_serves(serve: Serve):
    """It ends, and what serves goes on; nothing was taken from it."""
    first = serve("first")
    assert 200 == first.check("mails").status_code

    second = serve("second")
    assert second.ended() != 0
    assert "HW501" in second.said
    assert f"process {first.pid} on " in second.said

    assert 200 == first.check("mails").status_code


def test_a_clean_stop_is_taken_over_at_once_and_a_database_that_is_away_is_outlived(serve: Serve, cluster: Cluster):
    """SIGTERM lets the mandate go. Then the database is killed: quotas, which it counts, stop; rates go on to the end of the
    mandate, then nothing is decided. Once it is back, so is everything.
    """
    first = serve("first")
    assert 200 == first.check("mails").status_code
    standby = serve("second", "--standby")
    standby.wait_for("has the mandate")
    first.signal(signal.SIGTERM)
    assert 0 == first.ended()
    assert 200 == standby.check("mails").status_code

    cluster.kill()
    try:
        standby.wait_for("the mandate could not be renewed")
        while standby.read("/readyz").status_code == 200 or "cut_off" not in standby.check("api").text:
            continue
    finally:
        cluster.revive()
    standby.wait_for("the mandate is renewed again")
    while standby.check("api").status_code != 200:
        continue
    while standby.check("mails").status_code != 200:
        continue


def test_a_copy_that_was_promoted_is_waited_out(serve: Serve, cluster: Cluster):
    """PostgreSQL fails over to a copy that may lack something: the server that wrote to the one before ends, and the next one
    decides nothing until all that may have been lent has ended, `drain_within` of 5 s; then it goes on.
    """
    first = serve("first")
    assert 200 == first.check("mails").status_code
    cluster.promote()
    assert first.ended() != 0
    assert "the database is another copy" in first.said

    second = serve("second")
    second.wait_for("may lack what was last written there")
    assert 503 == second.check("mails").status_code
    assert "another copy" in second.read("/readyz").text
    while second.check("mails").status_code != 200:
        assert second.read("/healthz").status_code == 200


def test_a_folder_with_a_ledger_of_its_own_is_not_passed_by(serve: Serve, tmp_path: Path):
    """What was counted in the folder would be forgotten."""
    (tmp_path / "first").mkdir()
    Ledger.open(tmp_path / "first" / "ledger.db").close()

    first = serve("first")

    assert first.ended() != 0
    assert "HW522" in first.said
    assert "holds a ledger of its own" in first.said


def _until_it_breaks(server: Server) -> int:
    """Sends mails until the connection breaks; how many were admitted for certain."""
    sent = 0
    try:
        while server.check("mails").status_code == 200:
            sent += 1
    except httpx.TransportError:
        pass
    return sent


def _status(server: Server) -> int:
    try:
        return server.check("mails").status_code
    except httpx.TransportError:
        return 0


def test_a_ledger_is_read_beside_the_server_that_writes_it(serve: Serve, cluster: Cluster):
    """`headway ledger` by the store's address; it takes nothing, and says of a password in the open no more than that."""
    first = serve("first")
    assert 200 == first.check("mails").status_code
    command = [sys.executable, "-m", "headway.cli", "ledger", "verify", "--store"]

    told = subprocess.run([*command, cluster.url("ledger")], capture_output=True, text=True)
    refused = subprocess.run([*command, "postgresql://ana:hunter2@db/x"], capture_output=True, text=True)

    assert "the ledger is whole" in told.stdout
    assert "HW433" in refused.stderr
    assert "hunter2" not in refused.stderr
    assert 200 == first.check("mails").status_code
