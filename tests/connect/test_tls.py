"""The stream encrypted: a keeper is believed by its certificate, and a token goes to nobody else."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import headway
from headway import HeadwayError
from headway._core import DataPlane, Meters, Refusal
from headway.server.access import Access, Credential, sha256_of
from headway.server.dataplane import RoutedPlane
from headway.server.listen import Address

from .conftest import TOKEN, Keeper

TLS = Path(__file__).parents[1] / "vectors" / "tls"
PAIR = (TLS / "server.pem").read_bytes(), (TLS / "server.key").read_bytes()


@pytest.fixture
def port(keeper: Keeper) -> Iterator[int]:
    """A second data plane over the same engine, encrypted."""
    access = Access([Credential("gate", sha256_of(TOKEN), frozenset({"gate"}))])
    plane = RoutedPlane(keeper.engine, Address("127.0.0.1", 0), access, tls=PAIR)
    yield int(plane.address.rpartition(":")[2])
    plane.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_keeper_with_a_certificate_that_is_believed_is_asked(port: int, host: str):
    with headway.connect(f"https://{host}:{port}", token=TOKEN, ca_file=TLS / "ca.pem") as gate:
        assert [True] * 4 + [False] == [bool(gate.limiter("api").try_acquire()) for _ in range(5)]


def test_a_keeper_that_nobody_vouches_for_gets_no_token(port: int):
    """The machine's own authorities do not know the one of the tests."""
    with headway.connect(f"https://127.0.0.1:{port}", token=TOKEN) as gate, pytest.raises(HeadwayError) as denied:
        gate.limiter("api").try_acquire()

    assert "HW445" == denied.value.code
    assert "ca_file" in denied.value.mend


def test_plain_words_are_no_greeting_to_an_encrypted_keeper(port: int):
    with headway.connect(f"http://127.0.0.1:{port}", token=TOKEN) as gate:
        refusal = gate.limiter("api").try_acquire()

    assert isinstance(refusal, Refusal)
    assert "cut_off" == refusal.why


def test_checks_are_asked_over_https_alike(port: int):
    context = ssl.create_default_context(cafile=TLS / "ca.pem")
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=context, headers=headers, trust_env=False) as front:
        assert [200] * 4 + [429] == [front.get("/check/api").status_code for _ in range(5)]


def test_who_says_nothing_after_connecting_holds_nobody_up(port: int):
    with (
        socket.create_connection(("127.0.0.1", port)),
        headway.connect(f"https://127.0.0.1:{port}", token=TOKEN, ca_file=TLS / "ca.pem") as gate,
    ):
        assert gate.limiter("api").try_acquire()


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ((b"", PAIR[1]), "no certificate"),
        ((PAIR[0], b"none"), "key cannot be read"),
        ((PAIR[0], PAIR[0]), "key cannot be read"),
        (((TLS / "ca.pem").read_bytes(), PAIR[1]), "certificate and key"),
    ],
)
def test_a_pair_that_is_none_is_a_mistake(pair: tuple[bytes, bytes], says: str):
    with pytest.raises(ValueError, match=says):
        DataPlane(Meters(), credentials=[], tls=pair)


def test_authorities_belong_to_https():
    with pytest.raises(ValueError, match="goes with https"):
        headway.connect("http://127.0.0.1:7701", token=TOKEN, ca_file=TLS / "ca.pem")
