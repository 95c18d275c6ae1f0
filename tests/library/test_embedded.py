"""`headway.open`: contracts in the user's process, over a data folder, with the API where it listens."""

import asyncio
from pathlib import Path

import httpx
import pytest

import headway
import headway.testing
from headway.asgi import Message, Middleware, Receive, Scope, Send
from headway.contract.faults import Unreadable

CONTRACTS = """
contract: api
owner: team-web
constraint: {measure: rate, unit: request, per: 1m}
workloads: {checkout: {}, other: {}}
ramp: [{stage: now, limit: 3}]
---
contract: search
owner: team-web
constraint: {measure: rate, unit: request, per: 1m}
workloads: {checkout: {}}
ramp: [{stage: now, limit: 3}]
enforce: {tell: full}
"""

CPU = """---
contract: cpu
owner: team-web
constraint: {measure: rate, unit: request, per: 1m}
ramp: [{stage: now, limit: 5}]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with two contracts."""
    file = tmp_path / "contracts.yaml"
    file.write_text(CONTRACTS, encoding="utf-8")
    return file


def test_a_contract_is_enforced_as_soon_as_it_is_open(path: Path, tmp_path: Path) -> None:
    """Three of 3 pass, the fourth is refused with a ref that `explain` knows."""
    with headway.open(path, data=tmp_path / "data") as hw:
        api = hw.limiter("api")

        answers = [api.try_acquire() for _ in range(4)]

        assert [True, True, True, False] == [bool(answer) for answer in answers]
        refusal = answers[-1]
        assert isinstance(refusal, headway.Refusal)
        assert "api" == hw.explain(refusal.ref)["contract"]
        assert "api" == hw.explain("api")["contract"]


def test_limiters_are_kept_and_workloads_share_the_limit(path: Path, tmp_path: Path) -> None:
    """The same names give the same object; without a name it is `other`, or the only workload there is."""
    with headway.open(path, data=tmp_path / "data") as hw:
        assert hw.limiter("api") is hw.limiter("api", "other")
        assert hw.limiter("api", "checkout") is not hw.limiter("api")
        assert "checkout" == hw.limiter("search").workload
        for name in ("checkout", "other", "checkout"):
            assert hw.limiter("api", name).try_acquire()
        assert not hw.limiter("api").try_acquire()


@pytest.mark.parametrize(
    ("contract", "workload", "code", "nearest"),
    [
        ("apy", None, "HW404", "api"),
        ("search", "chekout", "HW406", "checkout"),
        ("api", "chekout", "HW406", "checkout"),
        ("api", "", "HW406", "checkout"),
        ("search", "other", "HW406", "checkout"),
    ],
)
def test_a_name_that_is_not_there_is_told_with_its_nearest(
    path: Path, tmp_path: Path, contract: str, workload: str | None, code: str, nearest: str
) -> None:
    """A mistyped contract or workload is an error with a mend, whether or not there is an `other` to hide it."""
    with headway.open(path, data=tmp_path / "data") as hw, pytest.raises(headway.HeadwayError) as caught:
        hw.limiter(contract, workload)

    assert code == caught.value.code
    assert nearest in caught.value.mend


def test_a_clean_stop_hands_out_no_second_burst(path: Path, tmp_path: Path) -> None:
    """What was spent before `close` is spent after the next opening."""
    with headway.open(path, data=tmp_path / "data") as hw:
        for _ in range(3):
            assert hw.limiter("api").try_acquire()

    with headway.open(path, data=tmp_path / "data") as again:
        assert not again.limiter("api").try_acquire(3)


def test_without_a_data_folder_it_lies_beside_the_contracts(path: Path) -> None:
    """`.headway` beside the file, readable by its owner alone."""
    with headway.open(str(path)):
        folder = path.parent / ".headway"
        assert 0o700 == folder.stat().st_mode & 0o777


def test_a_broken_contract_opens_nothing(tmp_path: Path) -> None:
    """Every fault is told, and the folder is free for the next try."""
    broken = tmp_path / "broken.yaml"
    broken.write_text("contract: api\nramp: [{stage: now, limit: -1}]\n", encoding="utf-8")

    for _ in range(2):
        with pytest.raises(Unreadable, match="HW"):
            headway.open(broken, data=tmp_path / "data")


def test_listening_serves_the_api_until_it_is_closed(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a free loopback port `/healthz` answers, where the tokens lie is printed, and after `close` nobody answers.

    The tokens themselves are not: a program's stdout is most often its log.
    """
    with headway.open(path, data=tmp_path / "data", listen="127.0.0.1:0") as hw:
        address = hw.address
        assert address is not None
        assert 200 == httpx.get(f"{address}/healthz").status_code
        token = (tmp_path / "data" / "tokens" / "local").read_text(encoding="ascii").strip()
        explained = httpx.get(f"{address}/v1/contracts/api/explain", headers={"authorization": f"Bearer {token}"})
        assert "api" == explained.json()["contract"]

    said = capsys.readouterr()
    for kind in ("local", "approver"):
        file = tmp_path / "data" / "tokens" / kind
        assert str(file) in said.out
        assert file.read_text(encoding="ascii").strip() not in said.out + said.err
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/healthz")


@pytest.mark.parametrize("listen", ["7700", "127.0.0.1", "127.0.0.1:", ":7700x", "127.0.0.1:70000", "0.0.0.0:7700"])
def test_an_address_that_cannot_be_listened_on_opens_nothing(path: Path, tmp_path: Path, listen: str) -> None:
    """No address, or one beyond this machine without tokens: a coded error, and the folder is free for the next try."""
    for _ in range(2):
        with pytest.raises(headway.HeadwayError) as caught:
            headway.open(path, data=tmp_path / "data", listen=listen)

    assert caught.value.code.startswith("HW44")


def test_the_middleware_takes_contracts_by_name(path: Path, tmp_path: Path) -> None:
    """How much is told follows the contract; a contract that is not there, or is not named, is told at start-up."""

    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("never called")

    with headway.open(path, data=tmp_path / "data") as hw:
        assert (None, "full") == (hw.tell("api"), hw.tell("search"))
        Middleware(app, hw, "api", workload=lambda scope: "checkout")
        with pytest.raises(TypeError, match="name the contract"):
            Middleware(app, hw)
        with pytest.raises(headway.HeadwayError, match="HW404"):
            Middleware(app, hw, "apy")


def test_a_request_that_calls_itself_anything_is_of_the_rest(path: Path, tmp_path: Path) -> None:
    """`other` takes what no workload matches: a thousand invented names are one limiter, and meter one line of counts.
    Where a contract has no `other`, such a request is an error and never passes unmetered.
    """
    passed: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope["who"])

    async def ask(by_name: Middleware, who: str | None) -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request"}

        await by_name({"type": "http", "method": "GET", "who": who}, receive, send)
        return sent

    with headway.open(path, data=tmp_path / "data") as hw:
        api = Middleware(app, hw, "api", workload=lambda scope: scope["who"])
        for who in ("checkout", "tulips", None):
            assert [] == asyncio.run(ask(api, who))
        for number in range(1_000):
            asyncio.run(ask(api, f"tulips-{number}"))

        paths = {(one.workload, one.admitted, one.refused) for one in hw.engine.meters.paths() if one.contract == "api"}
        assert {("checkout", 1, 0), ("other", 2, 1_000)} == paths
        with pytest.raises(headway.HeadwayError, match="HW406"):
            asyncio.run(ask(Middleware(app, hw, "search", workload=lambda scope: scope["who"]), "tulips"))

    assert ["checkout", "tulips", None] == passed


def test_a_contract_that_only_others_spend_has_the_one_workload_other(tmp_path: Path) -> None:
    """It declares none, and may be asked directly all the same."""
    file = tmp_path / "contracts.yaml"
    file.write_text(
        CONTRACTS.replace("ramp", "upstream: [{contract: cpu, spends: 1}]\nramp", 1) + CPU, encoding="utf-8"
    )

    with headway.open(file, data=tmp_path / "data") as hw:
        assert ("other",) == hw.workloads("cpu")
        assert hw.limiter("cpu") is hw.limiter("cpu", "other")
        with pytest.raises(headway.HeadwayError, match="HW406"):
            hw.limiter("cpu", "checkout")


def test_its_repr_says_where_and_nothing_secret(path: Path, tmp_path: Path) -> None:
    """The folder, nothing else; also after closing."""
    hw = headway.open(path, data=tmp_path / "data")
    hw.close()

    assert f"<headway.Headway over {str(tmp_path / 'data')!r}>" == repr(hw)


MATCHED = """
contract: orders-db
owner: team-storage
constraint: {measure: concurrency, unit: connection}
workloads:
  checkout: {match: {user: checkout_*}}
  reports:  {match: {application: [metabase, superset], user: "*"}}
  nightly:  {}
ramp: [{stage: now, limit: 10}]
"""


def test_who_asks_may_be_told_by_what_is_said_of_it() -> None:
    """The first match wins, `other` is there without being written, and a workload without a match is only ever named."""
    with headway.testing.open(MATCHED) as hw:

        def asked(**said: str | None) -> headway.Limiter:
            return hw.limiter("orders-db", attributes=said)

        assert hw.limiter("orders-db", "checkout") is asked(user="checkout_7", application="metabase")
        assert hw.limiter("orders-db", "reports") is asked(user="ana", application="superset")
        assert hw.limiter("orders-db", "other") is asked(application="metabase") is asked() is hw.limiter("orders-db")
        assert hw.limiter("orders-db", "other") is asked(user=None, nightly="nightly")
        assert "nightly" == hw.limiter("orders-db", "nightly").workload
        assert ("application", "user") == hw.attributes("orders-db")
        assert ("checkout", "reports", "nightly", "other") == hw.workloads("orders-db")


def test_a_workload_is_named_or_told_apart_and_not_both() -> None:
    with headway.testing.open(MATCHED) as hw:
        with pytest.raises(TypeError, match="leave `attributes` out"):
            hw.limiter("orders-db", "checkout", attributes={"user": "x"})
        with pytest.raises(headway.HeadwayError) as unknown:
            hw.limiter("ordersdb", attributes={"user": "x"})

    assert "HW404" == unknown.value.code


def test_where_no_workload_has_a_match_what_is_said_makes_no_difference(path: Path, tmp_path: Path) -> None:
    """It is `other`, or the only one there is; where there are several and no `other`, nobody was named."""
    with headway.open(path, data=tmp_path / "data") as hw:
        assert hw.limiter("api", "other") is hw.limiter("api", attributes={"user": "x"})
        assert hw.limiter("search", "checkout") is hw.limiter("search", attributes={"user": "x"})
        assert () == hw.attributes("api")
