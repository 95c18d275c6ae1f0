"""What the bench of the rate-limit service reads from h2load and from the server, and what it takes for a miss."""

from __future__ import annotations

import shutil
import tomllib

import pytest

from benches.rls.asks import framed
from benches.rls.load import Log, Served, Unfit, log_of, served
from benches.rls.measure import Cost, paced_of
from benches.rls.ours import sheds_of
from benches.rls.peers import envoyproxy, limitador
from benches.rls.server import Unavailable
from benches.rls.targets import targets
from benches.target import Target
from tests.attach.fronts import ROOT

SAID = """\
progress: 100% done

finished in 3.89s, 25685.14 req/s, 6.03MB/s
requests: 100000 total, 100000 started, 100000 done, {succeeded} succeeded, 0 failed, 0 errored, 0 timeout
status codes: {succeeded} 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 23.46MB (24600818) total, 195.36KB (200048) headers (space savings 94.74%), 20.60MB ({size}) data
"""


def said(succeeded: int = 100_000, size: int = 21_600_350) -> str:
    return SAID.format(succeeded=succeeded, size=size)


def cost(who: str, case: str, cpu_us: float) -> Cost:
    return Cost(who, case, cpu_us, {who: cpu_us}, 1.0, [cpu_us], 7.0)


def test_what_h2load_says_of_a_run_is_read() -> None:
    """100,000 answers of 216 bytes at 25,685.14 a second, as h2load 1.52 printed it."""
    assert Served(100_000, 25_685.14, 216.0035) == served(said())


def test_a_run_in_which_a_request_failed_says_nothing() -> None:
    """One of 100,000 without a 200: the CPU of the others is no CPU of decisions."""
    with pytest.raises(Unfit, match="1 of 100000 requests failed"):
        served(said(succeeded=99_999))


def test_answers_that_are_failures_of_grpc_are_found_by_their_size() -> None:
    """A failed call is a 200 with headers alone: 100,000 of them have no byte of data."""
    with pytest.raises(Unfit, match="not all were decisions"):
        served(said(size=0))


def test_words_that_are_not_h2loads_say_nothing() -> None:
    """Another version may print otherwise."""
    with pytest.raises(Unfit, match="something else"):
        served("finished")


def test_a_request_that_was_not_answered_with_200_has_no_lapse() -> None:
    """The log's three columns: start, status, µs. A stream that was reset has status -1, and one that was sent and is not in
    the log had no answer either. Three starts in 2 ms are a thousand a second.
    """
    log = log_of(["1000\t200\t328", "2000\t-1\t12", "3000\t503\t12"], requests=4)

    assert Log([328, -1, -1, -1], 1_000.0) == log


def test_a_log_of_less_than_two_requests_has_no_pace() -> None:
    """Nothing was sent in no time."""
    assert Log([-1], 0.0) == log_of([], requests=1)


def test_late_unanswered_and_shed_are_misses() -> None:
    """Of ten: 20 ms is in time, 20.001 is not, one had no answer, and one of the answers in time was a shed."""
    paced = paced_of("headway", 100, Log([1_000] * 7 + [20_000, 20_001, -1], 100.0), sheds=1)

    assert (1, 1, 1, 10) == (paced.late, paced.unanswered, paced.sheds, paced.asked)
    assert pytest.approx(0.7) == paced.within_share


def test_a_server_that_answers_nothing_is_no_row() -> None:
    """All ten without an answer: there is no median of nothing."""
    with pytest.raises(Unfit, match="answered nothing"):
        paced_of("headway", 100, Log([-1] * 10, 100.0), sheds=0)


def test_sheds_are_the_demands_refused_as_overloaded_whoever_asked() -> None:
    """Two contracts shed 3 and 1; the 100,000 that were over their limit are none."""
    metrics = """\
# HELP headway_refused_total Demands refused since the process started; in `observe`, those that would have been.
headway_refused_total{contract="closed",reason="full",workload="other"} 100000.0
headway_refused_total{contract="closed",reason="overloaded",workload="other"} 3.0
headway_refused_total{contract="open",reason="overloaded",workload="other"} 1.0
headway_admitted_total{contract="open",workload="other"} 140000.0
"""
    assert 4 == sheds_of(metrics)


def test_a_peer_that_is_absent_is_no_target() -> None:
    """limitador cost 24 µs where we cost 16: 1.5 of the 2 that are to be reached. Nobody else was there. h2load sent 90
    a second where 100 were to be sent, so what it says of time is not believed.
    """
    measured = [cost("headway", "admitted", 16.0), cost("limitador", "admitted", 24.0)]
    paced = paced_of("headway", 100, Log([1_000] * 10, 90.0), sheds=0)

    assert [
        Target("limitador / headway, admitted", 1.5, 2, at_least=True),
        Target("answers within 20 ms at 0.8 of the maximum", 1.0, 0.9999, at_least=True),
        Target("sent / 0.8 of the maximum", 0.9, 0.98, at_least=True),
    ] == targets(measured, [paced])


def test_a_body_is_one_message_behind_its_length() -> None:
    """gRPC's prefix: not compressed, then four bytes of length."""
    assert b"\x00\x00\x00\x00\x02\x08\x01" == framed(b"\x08\x01")


def test_a_peer_that_cannot_be_built_here_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Go and Rust measures the others."""
    monkeypatch.setattr(shutil, "which", lambda _: None)

    with pytest.raises(Unavailable, match="no Go here"):
        envoyproxy.program()
    with pytest.raises(Unavailable, match="no Rust here"):
        limitador.program()


def test_what_the_sockets_need_is_what_limitador_is_built_with() -> None:
    """`make bench-rls` compiles headway-serve's files into a crate of its own, which no other run builds: a dependency that
    one has and the other lacks would be found only there.
    """
    serve, bench = (_dependencies(crate) for crate in ("crates/headway-serve", "benches/rls/limitador"))

    assert serve == {name: told for name, told in bench.items() if name != "limitador"}


def _dependencies(crate: str) -> dict[str, object]:
    """By name; those of our own, whose paths differ, by name alone."""
    told = tomllib.loads((ROOT / crate / "Cargo.toml").read_text())["dependencies"]
    return {name: None if name.startswith("headway-") else said for name, said in told.items()}
