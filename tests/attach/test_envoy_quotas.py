"""What Envoy's quota filter does with what it is told: each finding that decides what Headway sends, told by a scripted server.

One Envoy with the printed configuration but for this: a bucket's id is a header of the request, so each test has a bucket of
its own. Before an assignment it denies everything, so that an assignment that was dropped is seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from headway.attach import FRONTS, Attachment
from tests.attach.fronts import application, filter_of, free_port, running
from tests.attach.scripted import Scripted, abandon, assign, per_unit, scripted, tokens, wait

MANY = 100_000
SECOND = 1_000_000_000


@dataclass
class Edge:
    """An Envoy, and who tells it what it may do."""

    script: Scripted
    client: httpx.Client

    def passes(self, bucket: str) -> bool:
        return self.client.get("/", headers={"x-bucket": bucket}).status_code == 200

    def count(self, bucket: str, most: int) -> int:
        """How many of `most` requests, one after the other, go through."""
        return sum(self.passes(bucket) for _ in range(most))

    def subscribe(self, bucket: str) -> dict[str, str]:
        """The first request of a bucket, which is denied; its id, once it was reported."""
        assert not self.passes(bucket)
        name = {"name": bucket}
        wait(lambda: len(self.script.of(name)) > 0)
        return name

    def told(self, *actions: bytes) -> None:
        """Pushes actions, and returns when Envoy has acted on them: they are in force once a later one is."""
        mark = f"mark-{time.monotonic_ns()}"
        name = self.subscribe(mark)
        self.script.push(*actions, assign(name, tokens(MANY, MANY, every_s=1)))
        wait(lambda: self.passes(mark))


def by_header(manager: dict[str, Any]) -> None:
    """A bucket's id is `{name: what x-bucket says}`."""
    settings = filter_of(manager)["bucket_matchers"]["on_no_match"]["action"]["typed_config"]
    header = "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
    told = {"name": "bucket", "typed_config": {"@type": header, "header_name": "x-bucket"}}
    settings["bucket_id_builder"]["bucket_id_builder"] = {"name": {"custom_value": told}}


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with scripted() as script, application() as behind:
        asked = Attachment("checkout", "rate", data_plane=script.address, domain="edge", bucket={"name": "any"})
        folder = tmp_path_factory.mktemp("envoy")
        front = running("envoy", FRONTS["envoy"](asked), free_port(), behind.port, folder, "x", change=by_header)
        with front as url, httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
            yield Edge(script, client)


def test_the_first_report_comes_at_once_and_no_time_has_elapsed_in_it(edge: Edge) -> None:
    """One request, which was denied, the domain, and a `time_elapsed` of 0, which the documentation rules out."""
    name = edge.subscribe("first")

    first = edge.script.of(name)[0]

    assert ("edge", 0, 0, 1) == (first.domain, first.elapsed_ns, first.allowed, first.denied)


def test_later_reports_come_every_five_seconds_of_whole_seconds_and_name_the_domain(edge: Edge) -> None:
    """One denied before, three after the first report: all are told, in reports whose spans are whole seconds."""
    name = edge.subscribe("later")
    edge.count("later", 3)
    wait(lambda: sum(usage.denied for usage in edge.script.of(name)) >= 3)

    later = edge.script.of(name)[1:]

    assert 3 == sum(usage.denied for usage in later)
    assert {("edge", 0)} == {(usage.domain, usage.elapsed_ns % SECOND) for usage in later}


def test_the_same_again_keeps_the_bucket(edge: Edge) -> None:
    """Five tokens, three spent: told the same twice more, there are two left. That is how Headway renews."""
    name = edge.subscribe("same")
    five = assign(name, tokens(5))
    edge.told(five)
    assert 3 == edge.count("same", 3)
    edge.told(five, five)

    assert 2 == edge.count("same", 5)


def test_the_same_again_prolongs_its_life(edge: Edge) -> None:
    """A life of two seconds, told again and again for three: it is still the bucket that was first told."""
    name = edge.subscribe("renewed")
    told = assign(name, tokens(MANY), ttl_s=2)
    edge.told(told)
    since = time.monotonic()
    while time.monotonic() < since + 3:
        edge.told(told)
        assert edge.passes("renewed")


@pytest.mark.parametrize(("before", "spent", "after", "left"), [(10, 5, 100, 50), (10, 10, 100, 0), (100, 0, 10, 10)])
def test_another_bucket_keeps_how_full_the_last_one_was(
    edge: Edge, before: int, spent: int, after: int, left: int
) -> None:
    """Half full stays half full, so a raise mints tokens: the reason why Headway pays for every new bucket as if it were full."""
    bucket = f"ratio-{before}-{spent}"
    name = edge.subscribe(bucket)
    edge.told(assign(name, tokens(before)))
    assert spent == edge.count(bucket, spent)
    edge.told(assign(name, tokens(after)))

    assert left == edge.count(bucket, left + 5)


def test_many_updates_while_nothing_is_left_give_nothing_away(edge: Edge) -> None:
    """Thirty times another bucket, all empty: not one more passes than before."""
    name = edge.subscribe("updates")
    edge.told(assign(name, tokens(20)))
    assert 20 == edge.count("updates", 25)

    for turn in range(30):
        edge.told(assign(name, tokens(19 + turn % 2)))
        assert not edge.passes("updates")


def test_a_life_ends_by_itself_within_its_seconds(edge: Edge) -> None:
    """Two seconds and what a message takes, and nobody said anything: nothing passes any more."""
    name = edge.subscribe("life")
    pushed = time.monotonic()
    edge.told(assign(name, tokens(MANY), ttl_s=2))
    last = time.monotonic()
    assert edge.passes("life")
    while edge.passes("life"):
        last = time.monotonic()

    # One that passed was sent at `last` or later; a second more is what a message may take.
    assert last - pushed <= 3.0
    assert 0 == edge.count("life", 5)


def test_who_is_told_to_forget_a_bucket_begins_anew(edge: Edge) -> None:
    """It denies, and says so in a first report; so an idle share can be taken back."""
    name = edge.subscribe("forgotten")
    edge.told(assign(name, tokens(MANY)))
    assert edge.passes("forgotten")
    edge.told(abandon(name))

    before = len(edge.script.of(name))
    assert not edge.passes("forgotten")
    wait(lambda: len(edge.script.of(name)) > before)
    assert 0 == edge.script.of(name)[before].elapsed_ns


@pytest.mark.parametrize("strategy", [None, per_unit(MANY)], ids=["no strategy", "requests per time unit"])
def test_what_is_no_token_bucket_and_no_blanket_rule_is_dropped(edge: Edge, strategy: bytes | None) -> None:
    """The documentation says that no strategy allows all, and that a number for each second will do: both are ignored."""
    bucket = f"dropped-{strategy is None}"
    name = edge.subscribe(bucket)
    edge.told(assign(name, strategy))

    assert 0 == edge.count(bucket, 5)


@pytest.mark.parametrize("ttl_s", [None, 0.5])
def test_a_life_of_no_whole_second_is_none(edge: Edge, ttl_s: float | None) -> None:
    """The documentation says that no life is for ever: it ends at once, as half a second does."""
    bucket = f"lifeless-{ttl_s}"
    name = edge.subscribe(bucket)
    edge.told(assign(name, tokens(MANY), ttl_s=ttl_s))

    assert 0 == edge.count(bucket, 5)


def test_a_bucket_that_fills_more_often_than_every_second_never_ends(edge: Edge) -> None:
    """Ten tokens, one more every half a second: a hundred of a hundred pass. Headway's fill every second."""
    name = edge.subscribe("half")
    edge.told(assign(name, tokens(10, 1, every_s=0.5)))

    assert 100 == edge.count("half", 100)


def test_a_request_without_its_bucket_passes_and_is_told_to_nobody(edge: Edge) -> None:
    """So an id is made of what every request has, and printed configurations name it in words."""
    before = len(edge.script.usages)

    assert [200] * 3 == [edge.client.get("/").status_code for _ in range(3)]
    assert all("name" in usage.bucket for usage in edge.script.usages[before:])
