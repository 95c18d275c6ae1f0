"""Tokens: known by their hash, compared in constant time, kept where only their owner reads."""

import pickle
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from headway.server.access import TOKEN_MOST, Access, Credential, access_of, local_tokens, read_token, sha256_of
from headway.server.problems import ServerError


def entry(name: str, digest: str) -> SimpleNamespace:
    return SimpleNamespace(name=name, hash=digest, roles=("operator",), groups=("dba",))


def test_a_token_is_known_by_its_hash_alone():
    """The document holds the SHA-256 of `s3cret`; the caller who sends `s3cret` gets that entry's roles and groups."""
    access = access_of([entry("ci", "sha256:" + sha256_of("s3cret").hex())])

    caller = access.caller_of_header("Bearer s3cret")

    assert caller is not None
    assert ("token:ci", {"operator"}, {"dba"}, False) == (caller.actor, caller.roles, caller.groups, caller.single_user)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic s3cret",
        "s3cret",
        "Bearer s3cre",
        "Bearer s3cret2",
        "Bearer S3CRET",
        "Bearer \udcff",
    ],
)
def test_whatever_is_not_exactly_a_known_token_is_nobody(header: str | None):
    """No scheme, another scheme, a part of the token, the token in another case: all of them are nobody."""
    access = access_of([entry("ci", sha256_of("s3cret").hex())])

    assert access.caller_of_header(header) is None


def test_a_token_longer_than_the_bound_is_nobody_even_if_its_beginning_is_known():
    """Only the first 512 characters are hashed, so a longer text must not pass for its own beginning."""
    known = "a" * TOKEN_MOST
    access = access_of([entry("ci", sha256_of(known).hex())])

    assert access.caller_of(known) is not None
    assert access.caller_of(known + "b") is None


def test_every_credential_is_looked_at_so_that_its_place_cannot_be_timed(monkeypatch: pytest.MonkeyPatch):
    """Three credentials, the first one matches: all three are compared."""
    compared: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return one == other

    monkeypatch.setattr("headway.server.access.hmac.compare_digest", compare)
    access = Access(Credential(name, sha256_of(name), frozenset({"viewer"})) for name in ("a", "b", "c"))

    caller = access.caller_of("a")

    assert caller is not None
    assert 3 == len(compared)


@pytest.mark.parametrize("digest", ["", "abc", "z" * 64, "md5:" + "0" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n"])
def test_a_hash_that_is_no_sha256_is_refused_at_start(digest: str):
    """A plain token pasted as its own hash would otherwise never match, and nobody would know why."""
    with pytest.raises(ServerError) as caught:
        access_of([entry("ci", digest)])

    assert "HW444" == caught.value.code
    assert digest not in caught.value.problem or digest == ""


def test_the_two_local_tokens_are_made_once_and_are_one_person(tmp_path: Path):
    """The first start makes them 0600 in a folder of 0700; the second takes up the same ones."""
    first = local_tokens(tmp_path)
    again = local_tokens(tmp_path)

    local, approver = read_token(first.local), read_token(first.approver)
    assert (True, False) == (first.made, again.made)
    assert 0o600 == stat.S_IMODE(first.local.stat().st_mode) == stat.S_IMODE(first.approver.stat().st_mode)
    assert 0o700 == stat.S_IMODE(first.local.parent.stat().st_mode)
    for access in (first.access, again.access):
        operator, approving = access.caller_of(local), access.caller_of(approver)
        assert operator is not None and approving is not None
        assert {"viewer", "operator"} == operator.roles
        assert {"viewer", "approver"} == approving.roles
        assert operator.single_user and approving.single_user
        assert (False, True) == (operator.has_group("dba"), approving.has_group("dba"))


@pytest.mark.parametrize("content", ["", "\n", "two words", "x" * (TOKEN_MOST + 1), "caf\u00e9", "a\x00b"])
def test_a_token_file_without_a_token_is_refused(tmp_path: Path, content: str):
    """An empty file must not become a server whose token is the empty text."""
    path = tmp_path / "local"
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)

    with pytest.raises(ServerError) as caught:
        read_token(path)

    assert "HW442" == caught.value.code


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o666])
def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path, mode: int):
    """What the group or the world can read is no secret any more."""
    first = local_tokens(tmp_path)
    first.local.chmod(mode)

    with pytest.raises(ServerError) as caught:
        local_tokens(tmp_path)

    assert "HW442" == caught.value.code


def test_a_link_in_place_of_a_token_file_is_refused(tmp_path: Path):
    """A link could point at a file somebody else wrote."""
    (tmp_path / "tokens").mkdir(mode=0o700)
    (tmp_path / "theirs").write_text("hw_theirs")
    (tmp_path / "tokens" / "local").symlink_to(tmp_path / "theirs")

    with pytest.raises(ServerError) as caught:
        local_tokens(tmp_path)

    assert "HW442" == caught.value.code


def test_a_server_error_survives_pickling_with_everything_it_says():
    """Errors cross process borders; nothing of what they say may be lost on the way."""
    error = ServerError("HW413", "the body is over 64 KiB", extra={"most": 65536}, headers={"connection": "close"})

    copy = pickle.loads(pickle.dumps(error))

    assert (error.as_json(), error.extra, error.headers) == (copy.as_json(), copy.extra, copy.headers)
