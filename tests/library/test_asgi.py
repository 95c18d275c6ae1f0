"""The middleware, driven as a server drives it: what is admitted, what is said, and who is charged."""

import hashlib
from typing import Any

import pytest

import headway
import headway.testing
from headway import _core
from headway.asgi import Middleware, Receive, Scope, Send
from headway.enforce.asking import KEY_BYTES_MAX
from headway.enforce.attributes import Attributes
from headway.enforce.limit import limiter_of, read
from tests.adapters.limits import MATCHED, admitted
from tests.library.exchange import HTTP, ask, hello, parsed

# --- HTTP: what is said -------------------------------------------------------------------------------------------


def test_an_admitted_request_passes_and_its_response_says_what_is_left() -> None:
    """Of 5 a minute one is taken: the application's own answer arrives, with the policy and 4 remaining."""
    app = Middleware(hello, headway.limit("5/minute", name="api"))

    exchange = ask(app)

    assert 200 == exchange.status
    assert b"hello" == exchange.sent[1]["body"]
    policy, state = parsed(exchange.headers, "ratelimit-policy"), parsed(exchange.headers, "ratelimit")
    assert ("api", 5, 60) == (policy[0].value, policy[0].params["q"], policy[0].params["w"])
    assert ("api", 4) == (state[0].value, state[0].params["r"])
    assert "text/plain" == exchange.headers["content-type"]


def test_a_refused_request_never_reaches_the_application() -> None:
    """The second of 1 a minute gets 429, when to come back, the fields, and a problem document with a ref."""
    calls = []

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(scope["path"])
        await hello(scope, receive, send)

    app = Middleware(counted, headway.limit("1/minute", name="api"))
    ask(app)

    refused = ask(app)

    assert ["/"] == calls
    assert 429 == refused.status
    assert "application/problem+json" == refused.headers["content-type"]
    assert str(len(b"".join(m.get("body", b"") for m in refused.sent[1:]))) == refused.headers["content-length"]
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    state = parsed(refused.headers, "ratelimit")[0]
    assert 0 == state.params["r"]
    assert "https://iana.org/assignments/http-problem-types#quota-exceeded" == refused.body["type"]
    assert ["api"] == refused.body["violated-policies"]
    assert 429 == refused.body["status"]
    assert refused.body["ref"].startswith("hw:")
    assert refused.body["ref"] in refused.body["detail"]


def test_retry_after_is_a_promise_that_is_kept() -> None:
    """`Retry-After` is rounded up: after so many whole seconds the same request passes, on a clock that only we move."""
    clock = _core.Clock.manual()
    app = Middleware(hello, limiter_of(read("7/minute"), _core.Meters(clock), name="api"))
    for _ in range(7):
        ask(app)
    refused = ask(app)

    clock.advance(int(refused.headers["retry-after"]) * 1_000_000_000)

    assert 429 == refused.status
    assert "9" == refused.headers["retry-after"]
    assert 200 == ask(app).status


def test_retry_after_is_at_least_a_second() -> None:
    """A millisecond, and an instant that has come by the time the answer is written, are a second away for the client."""
    api = limiter_of(read("1000/s"), _core.Meters(_core.Clock.manual()), name="api")
    assert api.try_acquire(1000)
    refusal = api.try_acquire()

    assert isinstance(refusal, headway.Refusal)
    assert 0.001 == refusal.retry_after_s
    assert 1 == refusal.answer("public")[1]


def test_what_never_fits_or_nobody_knows_has_no_retry_after() -> None:
    """Ten units of a limit of 5 never fit; a slot comes back when somebody leaves. Neither names an instant."""
    too_much = Middleware(hello, headway.limit("5/minute"), units=10)
    slots = headway.limit("1 concurrent")
    held = slots.try_acquire()

    never, unknown = ask(too_much), ask(Middleware(hello, slots))

    assert held
    assert (429, 429) == (never.status, unknown.status)
    assert "retry-after" not in never.headers
    assert "retry-after" not in unknown.headers
    assert "never_fits" == never.body["why"]


def test_a_concurrency_says_its_unit_and_no_window() -> None:
    """Slots have no window: the policy is counted in `concurrent-requests`."""
    exchange = ask(Middleware(hello, headway.limit("3 concurrent", name="pool")))

    policy = parsed(exchange.headers, "ratelimit-policy")[0]
    assert ("pool", 3, "concurrent-requests") == (policy.value, policy.params["q"], policy.params["qu"])
    assert "w" not in policy.params
    assert "t" not in parsed(exchange.headers, "ratelimit")[0].params


def test_in_public_a_refusal_says_nothing_of_others() -> None:
    """By default neither use nor limit nor workload of others is in the body; with `tell="full"` all is."""
    limiter = limiter_of(read("3/minute"), _core.Meters(_core.Clock.manual()), name="api")
    for _ in range(3):
        limiter.try_acquire()

    public, full = ask(Middleware(hello, limiter)), ask(Middleware(hello, limiter, tell="full"))

    assert {"type", "title", "status", "detail", "violated-policies", "contract", "why", "ref"} == set(public.body)
    assert "3 of 3" not in public.body["detail"]
    assert "3 of 3" in full.body["detail"]
    assert (3, 3) == (full.body["limit"], full.body["use"])


def test_in_public_only_the_contracts_own_meters_are_named() -> None:
    """A contract that spends an upstream and has a total over all keys tells the caller of its own share alone."""
    level = 5_000_000
    meters = _core.Meters()
    names = ("cluster", "api.calls", "api.calls#total", "api-internal")
    keyed = {"api.calls": 10}
    meters.declare(
        [_core.MeterSpec(n, "rate", ceiling_micro=level, per_ns=10**9, keys_max=keyed.get(n)) for n in names]
    )
    curve = _core.Curve("rate", 1, "now", [_core.Segment(0, None, level, level)], 10**9, 10**9)
    meters.publish([(n, curve) for n in names], 0)
    limiter = meters.limiter(_core.PathSpec("api", "other", [(n, 1_000_000, n in keyed) for n in names]))

    public = ask(Middleware(hello, limiter, key=lambda scope: "ana"))
    full = ask(Middleware(hello, limiter, key=lambda scope: "ana", tell="full"))

    assert ["api.calls"] == [member.value for member in parsed(public.headers, "ratelimit")]
    assert list(names) == [member.value for member in parsed(full.headers, "ratelimit")]
    assert list(names) == [member.value for member in parsed(full.headers, "ratelimit-policy")]


def test_a_limit_that_cannot_be_asked_is_no_quota_exceeded() -> None:
    """After `close` a demand is refused as `closed`: 503, because nothing is known of the caller's use."""
    meters = _core.Meters()
    meters.declare([_core.MeterSpec("api", "rate", ceiling_micro=1_000_000, per_ns=10**9)])
    limiter = meters.limiter(_core.PathSpec("api", "other", [("api", 1_000_000, False)]))

    refused = ask(Middleware(hello, limiter))

    assert (503, "about:blank", "not_published") == (refused.status, refused.body["type"], refused.body["why"])


def test_an_answer_to_head_has_no_body() -> None:
    """HEAD is told the length of what it leaves out."""
    limiter = headway.limit("1/31d")
    limiter.try_acquire()

    refused = ask(Middleware(hello, limiter), {**HTTP, "method": "HEAD"})

    assert 429 == refused.status
    assert b"" == refused.sent[1]["body"]
    assert int(refused.headers["content-length"]) > 0


# --- HTTP: who is charged -----------------------------------------------------------------------------------------


def test_each_key_has_its_own_limit_and_no_request_goes_unmetered() -> None:
    """Two addresses have one each; requests without an address share one."""
    app = Middleware(hello, headway.limit("1/31d", keys=10), key=lambda scope: scope["client"] and scope["client"][0])
    scopes = [{**HTTP, "client": client} for client in (("a", 1), ("b", 1), None, ("a", 2), None)]

    assert [200, 200, 200, 429, 429] == [ask(app, scope).status for scope in scopes]


def test_a_long_key_is_charged_under_its_hash() -> None:
    """A key of a megabyte is one key, apart from another that begins alike; one that is no text passes too."""
    limiter = headway.limit("1/31d", keys=10)
    app = Middleware(hello, limiter, key=lambda scope: scope["path"])
    long, other = "x" * 1_000_000, "x" * 1_000_000 + "y"

    statuses = [ask(app, {**HTTP, "path": path}).status for path in (long, other, long)]

    assert KEY_BYTES_MAX < len(long)
    assert [200, 200, 429] == statuses
    assert not limiter.try_acquire(1, "sha256:" + hashlib.sha256(long.encode()).hexdigest())
    assert 200 == ask(app, {**HTTP, "path": "\udcff"}).status


def test_exempt_requests_are_not_metered() -> None:
    """A health check passes where the limit is spent, and says nothing of it."""
    limiter = headway.limit("1/31d")
    limiter.try_acquire()
    app = Middleware(hello, limiter, exempt=lambda scope: scope["path"] == "/healthz")

    healthy = ask(app, {**HTTP, "path": "/healthz"})

    assert 200 == healthy.status
    assert "ratelimit" not in healthy.headers
    assert 429 == ask(app).status


def test_units_may_come_from_the_request() -> None:
    """A batch of 3 is charged 3: of 5 two are left, and the next batch is refused."""
    app = Middleware(hello, headway.limit("5/31d"), units=lambda scope: int(scope["path"].lstrip("/")))

    first, second, third = (ask(app, {**HTTP, "path": path}) for path in ("/3", "/3", "/2"))

    assert [200, 429, 200] == [first.status, second.status, third.status]
    assert 2 == parsed(first.headers, "ratelimit")[0].params["r"]


def test_keys_where_there_are_none_are_told_at_start_up() -> None:
    """`key` beside a limit without keys, or none beside a limit that has them, fails before the first request."""
    with pytest.raises(ValueError, match="key"):
        Middleware(hello, headway.limit("5/s"), key=lambda scope: "ana")
    with pytest.raises(ValueError, match="key"):
        Middleware(hello, headway.limit("5/s", keys=10))
    Middleware(hello, headway.limit("5/s", keys=10).bind("ana"))


def test_a_limiter_already_knows_its_contract() -> None:
    """Naming a contract beside a Limiter, or none beside contracts, is a mistake that is told at once."""
    with pytest.raises(TypeError, match="already knows"):
        Middleware(hello, headway.limit("5/s"), "api")
    with pytest.raises(TypeError, match="already knows"):
        Middleware(hello, headway.limit("5/s"), workload=lambda scope: "checkout")


def test_a_workload_may_be_a_name() -> None:
    """`workload="web"` is that workload for every request; it is looked up once, when the application is built."""
    asked: list[tuple[str, str | None]] = []

    class Contracts:
        def limiter(
            self, contract: str, workload: str | None = None, *, attributes: Attributes | None = None
        ) -> headway.Limiter:
            asked.append((contract, workload))
            return headway.limit("5/s")

        def workloads(self, contract: str) -> tuple[str, ...]:
            return ("web",)

        def attributes(self, contract: str) -> tuple[str, ...]:
            return ()

        def tell(self, contract: str) -> None:
            return None

    Middleware(hello, Contracts(), "api", workload="web")

    assert [("api", "web")] == asked


def test_the_first_match_that_takes_a_request_names_its_workload() -> None:
    """By path and header, by method and host; what nobody asked for or a match says otherwise is `other`'s."""
    shop = [(b"x-team", b"shop"), (b"host", b"SHOP.example:8443")]
    with headway.testing.open(MATCHED) as hw:
        app = Middleware(hello, hw, "api")
        for scope in (
            {**HTTP, "path": "/checkout/7", "headers": shop},
            {**HTTP, "path": "/checkout/7", "headers": [(b"x-team", b"eu"), (b"x-team", b"shop")]},
            {**HTTP, "method": "POST", "path": "/checkout", "headers": shop[1:]},
            {**HTTP, "path": "/checkout/7", "headers": [(b"x-team", b"\xff")]},
            {**HTTP, "path": "/", "headers": shop},
        ):
            assert 200 == ask(app, scope).status

        assert {"checkout": 2, "posts": 1, "other": 2} == admitted(hw)


def test_what_a_function_says_stands_over_what_a_request_says_itself() -> None:
    """The user is the application's to know. A value of None was not said, nor was one that is no text: half a character, a
    number, bytes. A function may say nothing at all. A path of our own stands in the place of the request's."""
    said: list[Any] = [
        {"user": "ana@shop.example"},
        {"user": None},
        {"user": "\ud800@shop.example"},
        {"user": 5, 5: "ana@shop.example"},
        {"user": b"ana@shop.example"},
        None,
        {"path": "/checkout", "header.x-team": "shop", "nobody": "asks"},
    ]
    with headway.testing.open(MATCHED) as hw:
        app = Middleware(hello, hw, "api", attributes=lambda scope: said[scope["turn"]])
        for turn in range(len(said)):
            ask(app, {**HTTP, "turn": turn})

        assert {"staff": 1, "other": 5, "checkout": 1} == admitted(hw)


def test_a_named_workload_is_not_told_apart() -> None:
    """Whoever names it means it; both at once are a mistake, and so are attributes beside a Limiter."""
    with headway.testing.open(MATCHED) as hw:
        ask(Middleware(hello, hw, "api", workload="staff"), {**HTTP, "path": "/checkout"})
        assert {"staff": 1} == admitted(hw)
        with pytest.raises(TypeError, match="leave `attributes` out"):
            Middleware(hello, hw, "api", workload="staff", attributes=lambda scope: {})
        with pytest.raises(TypeError, match="already knows"):
            Middleware(hello, hw.limiter("api"), attributes=lambda scope: {})
