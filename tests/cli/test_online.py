"""The commands that call a server: what they print, byte for byte, what they change, and how they end."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import Result

from headway.cli import remote
from headway.cli.exits import Exit
from headway.server.access import local_tokens
from tests.server.conftest import World

Run = Callable[..., Result]
Golden = Callable[[str, str], None]

YES = ("--yes", "--reason", "load test")
HASHES = re.compile(r"[0-9a-f]{64}")


def transcript(result: Result) -> str:
    """What came on which stream, and how it ended."""
    return HASHES.sub("HASH", f"{result.stdout}--- stderr\n{result.stderr}--- exit {result.exit_code}\n")


def status(world: World, name: str = "orders-db") -> tuple[str, bool]:
    state = world.engine.contract(name).state
    return state.status, state.held is not None


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("explain", ("explain", "orders-db")),
        ("explain-markdown", ("explain", "orders-db", "--markdown")),
        ("explain-two-dimensions", ("explain", "search")),
        ("explain-unknown", ("explain", "order-db")),
        ("explain-ref-unknown", ("explain", "hw:ffff")),
        ("hold", ("hold", "orders-db", *YES)),
        ("hold-two", ("hold", "orders-db", "search", *YES)),
        ("hold-all", ("hold", "--all", *YES)),
        ("hold-spending", ("hold", "--spending", "cluster-cpu", *YES)),
        ("hold-label", ("hold", "--label", "service=search", *YES)),
        ("abort", ("abort", "orders-db", *YES)),
        ("resume-not-held", ("resume", "orders-db", *YES)),
        ("override", ("override", "orders-db", "40", "--until", "2h", *YES)),
        ("override-dimensions", ("override", "search", "requests=50", "daily=1k", "--until", "2h", *YES)),
        ("override-raise", ("override", "orders-db", "60", "--until", "2h", *YES)),
        ("event", ("event", "replica.promoted", "--source", "/ci", "--id", "1")),
        ("event-nobody", ("event", "coffee.ready", "--source", "/ci", "--id", "1")),
        ("ledger-tail", ("ledger", "tail", "--server", "http://127.0.0.1:7700")),
        ("ledger-verify", ("ledger", "verify", "--server", "http://127.0.0.1:7700")),
        ("ledger-replay", ("ledger", "replay", "--server", "http://127.0.0.1:7700")),
    ],
)
def test_a_command_prints_what_was_blessed(served: Run, golden: Golden, name: str, args: tuple[str, ...]):
    """Every command against the same three contracts at the same instant."""
    golden(f"{name}.txt", transcript(served(*args)))


def test_a_ledger_without_entries_of_a_contract_says_so(served: Run):
    result = served("ledger", "tail", "--contract", "no-such")

    assert (0, "no entries of 'no-such'\n") == (result.exit_code, result.stdout)


def test_after_what_happened_explain_tells_it(
    served: Run, golden: Golden, monkeypatch: pytest.MonkeyPatch, world: World
):
    """An event of the wrong type is not counted, the right one is, dba approves, the stage is entered, somebody holds."""
    served("event", "replica.promoted", "--source", "/ci", "--id", "1")
    monkeypatch.setenv("HEADWAY_TOKEN", "dora")
    approved = served("approve", "orders-db", "--yes", "--reason", "replica checked")
    monkeypatch.setenv("HEADWAY_TOKEN", "olaf")
    world.pass_ms(60_000)
    served("hold", "orders-db", *YES)

    golden("approve.txt", transcript(approved))
    golden("explain-after.txt", transcript(served("explain", "orders-db")))


REFS = re.compile(r"hw:[0-9a-f]+")


def test_a_refusal_tells_what_was_asked_what_stood_in_the_way_and_what_would_raise_it(
    served: Run, golden: Golden, world: World, tmp_path: Path
):
    """A slot that waits for a release, a demand over every limit, and a rate that says when, told a minute later."""
    slots = world.engine.limiter("orders-db", workload="checkout")
    held = [slots.try_acquire() for _ in range(50)]
    (tmp_path / "mail.yaml").write_text(Path("mail.yaml").read_text().replace("per: 1m", "per: 1s"))
    served("apply", str(tmp_path / "mail.yaml"), *YES)
    mails = world.engine.limiter("mail")
    refusals = [slots.try_acquire(), slots.try_acquire(500), [mails.try_acquire() for _ in range(61)][-1]]
    refs = [refusal.ref for refusal in refusals if not refusal]
    world.pass_ms(60_000)

    told = [transcript(served("explain", ref)) for ref in refs]

    assert 3 == len(told)
    assert 50 == len(held)
    golden("explain-ref.txt", REFS.sub("hw:REF", "\n".join(told)))


def test_what_time_alone_does_not_keep_back_is_told_without_an_instant(served: Run, world: World):
    """Only an event and an approval are missing: `earliest` is not the instant of the question."""
    world.pass_ms(60_000)

    assert "earliest as soon as that is so, expected unknown" in served("explain", "orders-db").stdout


@pytest.mark.parametrize(
    "args",
    [
        ("explain", "orders-db", "--json"),
        ("hold", "orders-db", "--json", *YES),
        ("override", "orders-db", "40", "--until", "1h", "--json", *YES),
        ("event", "replica.promoted", "--json"),
        ("ledger", "tail", "--json", "--server", "http://127.0.0.1:7700"),
        ("ledger", "verify", "--json", "--server", "http://127.0.0.1:7700"),
        ("ledger", "replay", "--json", "--server", "http://127.0.0.1:7700"),
        ("apply", "mail.yaml", "--json", *YES),
    ],
)
def test_json_is_alone_on_stdout(served: Run, args: tuple[str, ...]):
    """A program reads stdout whole; what people are told goes to stderr."""
    result = served(*args)

    assert 0 == result.exit_code, result.stderr
    assert json.loads(result.stdout)


# --- asking -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        ("hold", "orders-db"),
        ("hold", "orders-db", "--reason", "x"),
        ("hold", "orders-db", "--yes"),
        ("hold", "orders-db", "--yes", "--reason", "  "),
        ("approve", "orders-db"),
        ("override", "orders-db", "40", "--until", "1h"),
        ("apply", "mail.yaml"),
    ],
)
def test_without_a_terminal_nothing_is_done_unless_yes_and_why_are_said(
    served: Run, world: World, args: tuple[str, ...]
):
    before = world.engine.ledger().count()

    result = served(*args)

    assert Exit.UNUSABLE == result.exit_code
    assert "error[HW432]" in result.stderr
    assert before == world.engine.ledger().count()


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody can be asked."""
    monkeypatch.setattr("headway.cli.acting.can_ask", lambda: True)


@pytest.mark.usefixtures("at_a_terminal")
def test_on_a_terminal_it_says_what_it_will_do_asks_and_does_it(served: Run, world: World, golden: Golden):
    """A yes, an empty reason, which is asked for again, and a reason."""
    result = served("hold", "orders-db", said="y\n \nload test\n")

    golden("ask.txt", transcript(result))
    assert ("running", True) == status(world)


@pytest.mark.usefixtures("at_a_terminal")
@pytest.mark.parametrize("said", ["n\n", "\n", ""])
def test_a_no_or_silence_changes_nothing(served: Run, world: World, said: str):
    result = served("hold", "orders-db", "--reason", "x", said=said)

    assert Exit.REFUSED == result.exit_code
    assert "will do: " in result.stdout
    assert ("running", False) == status(world)


def test_a_contract_that_changes_between_preview_and_act_is_not_touched(
    served: Run, world: World, monkeypatch: pytest.MonkeyPatch
):
    """What is done names the digest that was shown. Here the row that was read is another version's."""
    get = remote.Remote.get

    def older(self: remote.Remote, path: str, **query: object) -> object:
        answer = get(self, path, **query)
        return answer | {"digest": "0" * 64} if path == "/v1/contracts/orders-db" else answer

    monkeypatch.setattr(remote.Remote, "get", older)
    result = served("hold", "orders-db", *YES)

    assert Exit.REFUSED == result.exit_code
    assert "error[HW428]" in result.stderr
    assert ("running", False) == status(world)


# --- choosing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [(), ("orders-db", "--all"), ("--label", "tier=9"), ("--spending", "search"), ("orders-db", "--label", "tier=1")],
)
def test_contracts_are_either_named_or_chosen_and_at_least_one(served: Run, world: World, args: tuple[str, ...]):
    before = world.engine.ledger().count()

    result = served("hold", *args, *YES)

    assert Exit.UNUSABLE == result.exit_code
    assert "error[HW433]" in result.stderr
    assert before == world.engine.ledger().count()


def test_one_that_fails_does_not_keep_the_others_from_being_tried(served: Run, world: World):
    """`search` is named twice and once is enough; what has ended since the preview fails, the other is done."""
    result = served("abort", "search", "search", *YES)
    assert 1 == result.stdout.count("done: ")

    result = served("hold", "--all", *YES)
    assert Exit.OK == result.exit_code
    assert ("aborted", False) == status(world, "search")


# --- approve ------------------------------------------------------------------------------------------------------


def test_one_whose_preview_is_refused_does_not_keep_the_others_from_being_tried(served: Run, world: World):
    """`resume --all` where one of three is held: that one is resumed, the other two say that nothing held them."""
    assert 0 == served("hold", "orders-db", *YES).exit_code

    result = served("resume", "--all", "--json", *YES)

    assert Exit.REFUSED == result.exit_code
    assert ["orders-db"] == [one["contract"] for one in json.loads(result.stdout)]
    assert len(world.engine.names()) - 1 == result.stderr.count("error[HW516]")
    assert ("running", False) == status(world)


def test_where_no_preview_is_possible_nobody_is_asked(served: Run, world: World, monkeypatch: pytest.MonkeyPatch):
    """Nothing can be resumed: the question would be about nothing."""
    monkeypatch.setattr("headway.cli.acting.can_ask", lambda: True)

    result = served("resume", "orders-db", said="y\nwhy\n")

    assert Exit.REFUSED == result.exit_code
    assert "Go on" not in result.output


def test_approve_without_the_right_token_is_no_access(served: Run):
    result = served("approve", "orders-db", *YES)

    assert Exit.NO_ACCESS == result.exit_code
    assert "error[HW403]" in result.stderr


@pytest.mark.parametrize("args", [("search",), ("cluster-cpu",)])
def test_approve_where_nothing_is_asked_is_unusable(
    served: Run, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
):
    monkeypatch.setenv("HEADWAY_TOKEN", "dora")

    result = served("approve", *args, *YES)

    assert Exit.UNUSABLE == result.exit_code
    assert "error[HW433]" in result.stderr


def test_an_override_that_lowers_is_ended_early_by_two(served: Run, world: World, tmp_path: Path):
    """Down to 40 and, with olga's token, back to 50; alone it is refused, and the limit stays."""
    (tmp_path / "second").write_text("olga\n")
    lowered = served("override", "orders-db", "40", "--until", "1h", *YES)
    assert "undo: headway resume orders-db --second FILE --reason" in lowered.output

    alone = served("resume", "orders-db", *YES)
    assert (1, True) == (alone.exit_code, "HW514" in alone.output)
    ended = served("resume", "orders-db", "--second", str(tmp_path / "second"), *YES)

    assert (0, True) == (ended.exit_code, "its override ends; the limit goes from 40 to 50" in ended.output)
    assert "undo" not in ended.output


def test_a_second_persons_token_comes_from_a_file(served: Run, world: World, tmp_path: Path):
    """A raise with the token of `olga` beside that of `olaf`."""
    (tmp_path / "second").write_text("olga\n")

    result = served("override", "orders-db", "60", "--until", "1h", "--second", str(tmp_path / "second"), *YES)

    assert 0 == result.exit_code, result.stderr
    overridden = world.engine.contract("orders-db").state.overridden
    assert overridden is not None
    assert {"": 60_000_000} == overridden.value_micro


@pytest.mark.parametrize("words", [("a=1", "2"), ("=1",), ("a=1", "a=2"), ("1", "2")])
def test_a_value_is_one_number_or_one_for_each_dimension(served: Run, words: tuple[str, ...]):
    result = served("override", "search", *words, "--until", "1h", *YES)

    assert Exit.UNUSABLE == result.exit_code
    assert "error[HW433]" in result.stderr


# --- apply --------------------------------------------------------------------------------------------------------


def test_apply_sends_every_file_of_a_folder(served: Run, world: World, tmp_path: Path):
    """Two files, one of them JSON, become one request: both run."""
    mail = Path("mail.yaml").read_text()
    (tmp_path / "a.yaml").write_text(mail)
    document = {"contract": "news", "owner": "team-web", "constraint": {"measure": "rate", "per": "1s"}}
    (tmp_path / "b.json").write_text(
        json.dumps(document | {"workloads": {"other": {}}, "ramp": [{"stage": "now", "limit": 5}]})
    )

    result = served("apply", str(tmp_path), *YES)

    assert 0 == result.exit_code, result.stderr
    assert {"mail", "news"} < set(world.engine.names())


def test_apply_of_faulty_files_sends_nothing(served: Run, world: World):
    before = world.engine.ledger().count()

    result = served("apply", "faulty.yaml", *YES)

    assert Exit.REFUSED == result.exit_code
    assert "faulty.yaml:6:25" in result.stderr
    assert before == world.engine.ledger().count()


# --- the way to the server ----------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_ends_with_three(headway: Run, monkeypatch: pytest.MonkeyPatch):
    """Port 9 of loopback: nothing listens."""
    monkeypatch.setenv("HEADWAY_TOKEN", "x")

    result = headway("explain", "orders-db", "--server", "http://127.0.0.1:9")

    assert Exit.UNREACHABLE == result.exit_code
    assert "error[HW430]" in result.stderr


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1", "127.0.0.1:7700", "http://", "http://user:pw@127.0.0.1", "http://127.0.0.1:port"]
)
def test_an_address_that_is_none_is_unusable_and_not_repeated_with_its_password(
    headway: Run, monkeypatch: pytest.MonkeyPatch, url: str
):
    monkeypatch.setenv("HEADWAY_TOKEN", "x")

    result = headway("explain", "orders-db", "--server", url)

    assert Exit.UNUSABLE == result.exit_code
    assert "pw" not in result.stderr


def test_without_a_token_nothing_is_sent(headway: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)

    result = headway("explain", "orders-db", "--server", "http://127.0.0.1:9")

    assert Exit.NO_ACCESS == result.exit_code
    assert "error[HW431]" in result.stderr
    assert "mend: Start a server with `headway serve PATH`" in result.stderr


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Where which token would have been sent."""
    sent: list[tuple[str, str]] = []

    def client_of(url: str, token: str) -> httpx.Client:
        sent.append((url, token))
        return httpx.Client(base_url=url, transport=httpx.MockTransport(lambda _: httpx.Response(200, json={})))

    monkeypatch.setattr(remote, "client_of", client_of)
    return sent


def test_the_local_tokens_are_found_above_and_never_leave_this_machine(
    headway: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sent: list[tuple[str, str]]
):
    """From a folder two levels below: `explain` takes `local`, `approve` takes `approver`; another machine gets neither."""
    tokens = local_tokens(tmp_path / ".headway")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)

    headway("explain", "api")
    headway("approve", "api", "--stage", "x", "--as", "y", *YES)
    away = headway("explain", "api", "--server", "https://headway.example")

    assert [tokens.local.read_text().strip(), tokens.approver.read_text().strip()] == [token for _, token in sent]
    assert Exit.NO_ACCESS == away.exit_code


def test_a_token_file_goes_before_the_environment(
    headway: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sent: list[tuple[str, str]]
):
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.setenv("HEADWAY_TOKEN", "from-environment")
    monkeypatch.setenv("HEADWAY_URL", "http://127.0.0.1:1234/")

    headway("explain", "api", "--token-file", str(tmp_path / "token"))
    headway("explain", "api")

    assert [("http://127.0.0.1:1234", "from-file"), ("http://127.0.0.1:1234", "from-environment")] == sent


@pytest.mark.parametrize("content", ["", "two words", "caf\u00e9", "x" * 600])
def test_a_token_file_without_a_token_is_told_without_its_text(headway: Run, tmp_path: Path, content: str):
    (tmp_path / "token").write_text(content)

    result = headway("explain", "api", "--token-file", str(tmp_path / "token"))

    assert Exit.NO_ACCESS == result.exit_code
    assert not content or content not in result.stderr


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, text="{", headers={"content-type": "application/json"}),
        httpx.Response(502, text="bad gateway"),
        httpx.Response(500, json={"detail": "x"}),
        httpx.Response(404, json=[]),
        httpx.Response(302, headers={"location": "http://evil.example"}),
    ],
)
def test_an_answer_that_is_not_headways_ends_with_three(
    headway: Run, monkeypatch: pytest.MonkeyPatch, response: httpx.Response
):
    """A proxy's page, a redirect, another program: none of it is believed, none of it followed."""
    transport = httpx.MockTransport(lambda _: response)
    monkeypatch.setattr(remote, "client_of", lambda url, _: httpx.Client(base_url=url, transport=transport))
    monkeypatch.setenv("HEADWAY_TOKEN", "x")

    result = headway("explain", "api")

    assert Exit.UNREACHABLE == result.exit_code
    assert "error[HW434]" in result.stderr


def test_what_a_server_says_cannot_move_the_cursor(headway: Run, monkeypatch: pytest.MonkeyPatch):
    """Escape sequences in an error arrive as marks."""
    answer = httpx.Response(404, json={"code": "HW404", "problem": "a\x1b[2Jb", "mend": "c\rd"})
    monkeypatch.setattr(
        remote, "client_of", lambda url, _: httpx.Client(base_url=url, transport=httpx.MockTransport(lambda _: answer))
    )
    monkeypatch.setenv("HEADWAY_TOKEN", "x")

    result = headway("explain", "api")

    assert "\x1b" not in result.stderr
    assert "\r" not in result.stderr
