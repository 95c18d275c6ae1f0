"""What a traced limiter tells spans and counts, with the SDK of OpenTelemetry and an exporter in memory."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import headway
import headway.testing
from headway.adapters.opentelemetry import attributes_of, traced
from headway.adapters.wsgi import Middleware
from tests.adapters.limits import CONTRACT, assert_all_returned, observed
from tests.adapters.test_documentation import hello
from tests.library.pool import free

SPANS = InMemorySpanExporter()
READER = InMemoryMetricReader()


@pytest.fixture(scope="module", autouse=True)
def providers() -> None:
    """OpenTelemetry's own globals, which a process sets once."""
    tracing = TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(SPANS))
    trace.set_tracer_provider(tracing)
    metrics.set_meter_provider(MeterProvider(metric_readers=[READER]))


@pytest.fixture
def span() -> Iterator[trace.Span]:
    SPANS.clear()
    with trace.get_tracer("test").start_as_current_span("request") as span:
        yield span


def told(span: trace.Span) -> dict[str, object]:
    """What the span was told, once it has ended."""
    span.end()
    (ended,) = SPANS.get_finished_spans()
    return dict(ended.attributes or {})


def counted() -> dict[tuple[object, ...], int]:
    """Decisions since the process started, by contract, decision and reason."""
    data = READER.get_metrics_data()
    points = [
        point
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "headway.decisions"
        for point in metric.data.data_points
    ]
    names = ("headway.contract", "headway.decision", "headway.reason")
    return {tuple(point.attributes.get(name) for name in names): point.value for point in points}  # type: ignore[union-attr]


def test_an_admission_is_told_with_whose_limit_it_met(span: trace.Span) -> None:
    assert traced(headway.limit("5/s", name="api")).try_acquire()

    assert {
        "headway.contract": "api", "headway.workload": "other", "headway.decision": "admitted"
    } == told(span)  # fmt: skip


def test_a_refusal_is_told_with_everything_that_explains_it(span: trace.Span) -> None:
    """One of one slot is held: nobody knows when it comes back, so there is no `retry_after`."""
    limiter = traced(headway.limit("1 concurrent", name="db"))
    permit, refusal = limiter.try_acquire(), limiter.try_acquire()

    assert permit and isinstance(refusal, headway.Refusal)
    said = told(span)
    assert ("db", "refused", "full") == tuple(said[f"headway.{name}"] for name in ("contract", "decision", "reason"))
    assert (refusal.stage, refusal.version, refusal.ref) == tuple(
        said[f"headway.{name}"] for name in ("stage", "version", "ref")
    )
    assert "headway.retry_after" not in said


def test_what_comes_back_by_itself_says_after_how_many_seconds(span: trace.Span) -> None:
    """One a minute was spent a moment ago."""
    limiter = traced(headway.limit("1/minute"))
    limiter.try_acquire()
    limiter.try_acquire()

    after = told(span)["headway.retry_after"]
    assert isinstance(after, float) and 50 < after <= 60


def test_a_key_is_told_only_where_that_was_asked_for(span: trace.Span) -> None:
    limit = headway.limit("5/s", keys=10)
    traced(limit).try_acquire(key="ana")
    unasked = dict(span.attributes)  # type: ignore[attr-defined]
    traced(limit, keys=True).bind("bo").try_acquire()

    assert "headway.key" not in unasked
    assert "bo" == told(span)["headway.key"]


def test_of_several_decisions_the_last_one_stands(span: trace.Span) -> None:
    with traced(headway.limit("1 concurrent", name="first")):
        traced(headway.limit("1/s", name="second")).reserve(1)

    assert "second" == told(span)["headway.contract"]


def test_waiting_raising_and_blocks_are_told_as_well(span: trace.Span) -> None:
    """Every way to ask; each block gives back what it took."""
    limit = headway.limit("1 concurrent", name="db")
    limiter = traced(limit)

    @limiter
    def call() -> str:
        return str(span.attributes["headway.decision"])  # type: ignore[attr-defined]

    @limiter
    async def call_async() -> str:
        async with traced(headway.limit("1/s")):
            return "done"

    assert ("admitted", "done", 1) == (call(), asyncio.run(call_async()), free(limit))
    with limiter:
        with pytest.raises(headway.Refused):
            limiter.acquire(timeout=0)
        with pytest.raises(headway.Refused):
            asyncio.run(_asks(limiter))
    assert "refused" == told(span)["headway.decision"]
    assert_all_returned(limit, 1)


async def _asks(limiter: headway.Limiter) -> None:
    await limiter.acquire_async(timeout=0)


def test_middleware_takes_a_traced_source(span: trace.Span) -> None:
    """The third request finds both slots of `orders-db` held, and its span says so."""
    with headway.testing.open(CONTRACT) as hw:
        app = Middleware(hello, traced(hw), "orders-db", workload="checkout")
        held = [hw.limiter("orders-db", "reporting").try_acquire() for _ in range(2)]
        client = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://shop")

        assert (429, True) == (client.get("/").status_code, all(held))
        assert ("checkout", "refused") == tuple(told(span)[f"headway.{name}"] for name in ("workload", "decision"))


def test_a_limit_that_only_looks_on_admits_and_says_so(span: trace.Span) -> None:
    limiter = traced(observed("rate"))
    answers = [limiter.try_acquire() for _ in range(2)]

    assert all(answers) and "admitted" == told(span)["headway.decision"]


def test_decisions_are_counted_whether_or_not_a_span_is_recorded() -> None:
    """Two of three fit, outside of every span; the third has a reason."""
    limiter = traced(headway.limit("2 concurrent", name="counted"))
    held = [limiter.try_acquire() for _ in range(3)]

    assert [True, True, False] == [bool(one) for one in held]
    assert (2, 1) == (counted()["counted", "admitted", None], counted()["counted", "refused", "full"])


def test_what_decides_nothing_is_the_limiters_own() -> None:
    limit = headway.limit("2 concurrent", name="db")
    limiter = traced(limit)

    assert ("db", limit.wait_s) == (limiter.contract, limiter.wait_s)
    assert limiter.probe() and "admitted" == attributes_of(limit, limiter.probe())["headway.decision"]
    with pytest.raises(AttributeError):
        limiter.nothing  # type: ignore[attr-defined]  # noqa: B018
