"""What `headway attach` prints, front by front: golden files, and what no front can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.attach import FRONTS, UNTESTED, Attachment, NotAttachable

GOLDEN = Path(__file__).parent / "golden"
RATE = Attachment("orders-api", "rate", domain="edge", descriptor={"service": "orders"})
KEYED = Attachment(
    "exports", "quota", keyed=True, workload="web", domain="edge", descriptor={"service": "exports", "team": "each"}
)
DIVIDED = Attachment("checkout", "rate", domain="edge", bucket={"name": "checkout"})
TOLD_APART = Attachment(
    "orders-api",
    "rate",
    domain="edge",
    descriptor={"service": "orders"},
    attributes=("header.x-team", "path", "service", "user"),
)
BY_ADDRESS = ("nginx", "caddy", "haproxy")
"""Fronts that can name a key in the address that they ask."""


@pytest.mark.parametrize("front", FRONTS)
def test_a_rate_behind_a_front(front: str, bless: bool):
    compare(f"{front}.txt", FRONTS[front](RATE), bless)


@pytest.mark.parametrize("front", [*BY_ADDRESS, "envoy"])
def test_a_quota_for_each_key_behind_a_front(front: str, bless: bool):
    compare(f"{front}-keyed.txt", FRONTS[front](KEYED), bless)


def test_what_matches_look_at_behind_envoy(bless: bool):
    """Each from the header that has it, and a request without one is asked about all the same."""
    compare("envoy-told-apart.txt", FRONTS["envoy"](TOLD_APART), bless)


@pytest.mark.parametrize("front", sorted(set(FRONTS) - {"envoy"}))
def test_an_address_that_names_a_workload_wants_to_be_told_which(front: str):
    with pytest.raises(NotAttachable, match=r"by what is said of whoever asks \(header\.x-team, path, service, user\)"):
        FRONTS[front](TOLD_APART)


def test_a_rate_that_is_divided_among_envoys(bless: bool):
    compare("envoy-divided.txt", FRONTS["envoy"](DIVIDED), bless)


@pytest.mark.parametrize("front", sorted(set(FRONTS) - {"envoy"}))
def test_what_is_divided_among_envoys_is_asked_by_no_other_front(front: str):
    with pytest.raises(NotAttachable, match="checkout is divided among Envoys"):
        FRONTS[front](DIVIDED)


def test_a_buckets_texts_are_quoted():
    """A value that is a number to YAML, or ends a mapping, is a text all the same."""
    asked = Attachment("checkout", "rate", domain="edge", bucket={"a b": "1", "c": "x}, d: {"})

    assert 'bucket_id_builder: {"a b": {string_value: "1"}, "c": {string_value: "x}, d: {"}}' in FRONTS["envoy"](asked)


def compare(name: str, text: str, bless: bool) -> None:
    path = GOLDEN / name
    if bless:
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("front", FRONTS)
def test_no_front_bounds_what_is_in_flight(front: str):
    """Nobody tells when a request has ended: it says so, and where to go."""
    pool = Attachment("orders-db", "concurrency", domain="edge", descriptor={"service": "orders"})
    with pytest.raises(NotAttachable, match="orders-db bounds what is in flight"):
        FRONTS[front](pool)


@pytest.mark.parametrize("front", sorted(set(FRONTS) - set(BY_ADDRESS) - {"envoy"}))
def test_a_front_that_asks_one_address_knows_no_keys(front: str):
    with pytest.raises(NotAttachable, match="a limit for each key"):
        FRONTS[front](KEYED)


def test_envoy_wants_a_binding():
    with pytest.raises(NotAttachable, match="not bound to Envoy"):
        FRONTS["envoy"](Attachment("orders-api", "rate"))


@pytest.mark.parametrize("front", FRONTS)
def test_no_text_holds_a_token_and_each_says_where_it_comes_from(front: str):
    """HEADWAY_TOKEN, or a file that its reader makes: what is printed may be pasted anywhere."""
    text = FRONTS[front](RATE)

    assert "HEADWAY_TOKEN" in text or "TOKEN_FILE" in text
    assert "hw_" not in text


@pytest.mark.parametrize("front", FRONTS)
def test_what_no_test_has_run_says_so(front: str):
    assert (front in UNTESTED) == ("Untested" in FRONTS[front](RATE))


def test_envoy_takes_an_ipv6_address_without_its_brackets():
    asked = Attachment("orders-api", "rate", data_plane="[::1]:7701", domain="edge", descriptor={"service": "orders"})

    assert "{address: ::1, port_value: 7701}" in FRONTS["envoy"](asked)


def test_a_workload_stands_in_the_address():
    asked = Attachment("orders-api", "rate", workload="web", data_plane="10.0.0.7:7701")
    text = FRONTS["caddy"](asked)

    assert "forward_auth 10.0.0.7:7701" in text
    assert "uri /check/orders-api?workload=web&units=1" in text
