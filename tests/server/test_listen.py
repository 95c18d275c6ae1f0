"""Where a server may listen, and on what terms."""

import pytest

from headway.server.listen import Address, address_of, host_of, vet_address
from headway.server.problems import ServerError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:7700", "127.0.0.1", 7700),
        ("localhost:0", "localhost", 0),
        ("[::1]:7700", "::1", 7700),
        ("0.0.0.0:65535", "0.0.0.0", 65535),
        ("Headway.Example:80", "headway.example", 80),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, host: str, port: int):
    """Names, IPv4, IPv6 in brackets; port 0 takes any free one."""
    assert Address(host, port) == address_of(text)


@pytest.mark.parametrize(
    "text", ["", "7700", ":7700", "127.0.0.1", "127.0.0.1:", "a:b", "a:65536", "a:-1", "a:1e3", "::1:7700", "a:٣"]
)
def test_what_is_not_host_and_port_is_refused(text: str):
    """A missing part must not silently mean every address there is."""
    with pytest.raises(ServerError) as caught:
        address_of(text)

    assert "HW443" == caught.value.code


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_asks_for_nothing(host: str):
    """Only this machine can reach it: no tokens have to be configured, and no TLS."""
    vet_address(Address(host, 7700), tokens=0, tls=False, insecure_no_tls=False)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.7", "headway.example", "localhost.example", "127.0.0.1.example"]
)
@pytest.mark.parametrize(
    ("tokens", "tls", "insecure", "code"),
    [(0, False, False, "HW440"), (0, True, False, "HW440"), (0, False, True, "HW440"), (1, False, False, "HW441")],
)
def test_any_other_address_is_refused_without_tokens_or_tls(
    host: str, tokens: int, tls: bool, insecure: bool, code: str
):
    """Going without TLS is not going without tokens; a name that only looks like loopback is not."""
    with pytest.raises(ServerError) as caught:
        vet_address(Address(host, 7700), tokens=tokens, tls=tls, insecure_no_tls=insecure)

    assert code == caught.value.code


@pytest.mark.parametrize(("tls", "insecure"), [(True, False), (False, True)])
def test_another_address_is_fine_with_tokens_and_tls_or_a_persons_word(tls: bool, insecure: bool):
    """The other half: what is configured is not refused."""
    vet_address(Address("10.0.0.7", 7700), tokens=1, tls=tls, insecure_no_tls=insecure)


@pytest.mark.parametrize("header", ["127.0.0.1:7700@evil.example", "[::1]evil.example", "localhost:x", "localhost:٣"])
def test_what_only_begins_like_a_host_is_none(header: str):
    """No server answers to what stands for nothing."""
    assert "" == host_of(header)


@pytest.mark.parametrize(
    ("header", "host"),
    [("127.0.0.1:7700", "127.0.0.1"), ("[::1]:7700", "::1"), ("[::1]", "::1"), ("LocalHost", "localhost"), ("", "")],
)
def test_the_host_of_a_header_has_no_port_and_no_brackets(header: str, host: str):
    assert host == host_of(header)
