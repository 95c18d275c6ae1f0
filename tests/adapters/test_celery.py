"""The Celery base, in a real worker over a broker in memory, and in calls without one."""

import logging
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.result import AsyncResult
from celery.signals import task_retry
from hypothesis import given
from hypothesis import strategies as st

import headway
import headway.testing
from headway.adapters.celery import ASK_AGAIN_MAX_S, countdown_s, limited
from tests.adapters.limits import CONTRACT, MATCHED, admitted, assert_all_returned, observed
from tests.library.pool import free, slots

WAIT_S = 30.0
"""How long a test waits for what is about to come."""

AT_ONCE_S = 0.001


class Shop:
    """An application with a broker in memory and one worker of two threads, for all tests of this file."""

    def __init__(self, app: Celery, worker: Any) -> None:
        self.app = app
        self._worker = worker
        self._tasks = 0

    def task(self, base: type, name: str = "", **options: Any) -> Callable[[Callable[..., Any]], Any]:
        """`app.task` under a name of its own, for the running worker to know."""
        self._tasks += 1

        def make(function: Callable[..., Any]) -> Any:
            named = name or f"{function.__name__}-{self._tasks}"
            made = self.app.task(base=base, name=named, shared=False, **options)(function)
            self.app.finalize()
            self._worker.consumer.update_strategies()
            return made

        return make


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    app = Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.update(worker_hijack_root_logger=False, broker_transport_options={"polling_interval": 0.01})
    # A worker sets the level of everybody's logger; tests after these listen to warnings.
    level = logging.getLogger().level
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False, shutdown_timeout=WAIT_S) as worker:
        logging.getLogger().setLevel(level)
        yield Shop(app, worker)


def outcome(result: "AsyncResult[Any]") -> Any:
    return result.get(timeout=WAIT_S, interval=0.01)


@pytest.fixture
def put_back() -> Iterator[threading.Semaphore]:
    """Released whenever a worker puts a run back."""
    put_back = threading.Semaphore(0)

    def note(**_told: object) -> None:
        put_back.release()

    task_retry.connect(note)
    yield put_back
    task_retry.disconnect(note)


def wait_for(times: int, put_back: threading.Semaphore) -> None:
    for _ in range(times):
        assert put_back.acquire(timeout=WAIT_S)


def test_a_refused_run_comes_again_and_does_not_count(shop: Shop, put_back: threading.Semaphore) -> None:
    """`max_retries=0`, and the slot is taken: the run is put back five times, then runs, as its first try."""
    limiter = slots(1)

    @shop.task(limited(limiter, ask_again_s=AT_ONCE_S), bind=True, max_retries=0)
    def send(self: Any, address: str, *, tenant: str) -> list[Any]:
        return [address, tenant, self.request.retries, free(limiter)]

    held = limiter.try_acquire()
    assert isinstance(held, headway.Permit)
    result = send.delay("ana@shop.example", tenant="a")
    wait_for(5, put_back)
    assert "RETRY" == result.state
    held.release()

    assert ["ana@shop.example", "a", 0, 0] == outcome(result)

    assert_all_returned(limiter, 1)


def test_a_failure_of_the_task_counts_as_ever(shop: Shop, put_back: threading.Semaphore) -> None:
    """Two tries are allowed; refusals before, between and after them change nothing of that."""
    limiter, tries = slots(1), list[int]()

    @shop.task(limited(limiter, ask_again_s=AT_ONCE_S), bind=True, max_retries=1)
    def send(self: Any) -> None:
        tries.append(self.request.retries)
        raise self.retry(exc=LookupError("no such mailbox"), countdown=0)

    held = limiter.try_acquire()
    assert isinstance(held, headway.Permit)
    result = send.delay()
    wait_for(3, put_back)
    held.release()
    with pytest.raises(LookupError):
        outcome(result)

    assert [0, 1] == tries
    assert_all_returned(limiter, 1)


def test_many_runs_never_hold_more_than_the_limit_and_all_are_done(shop: Shop) -> None:
    """Twenty runs in two threads on one slot: each runs alone, none is lost."""
    limiter, inside, most = slots(1), 0, 0
    lock = threading.Lock()

    @shop.task(limited(limiter, ask_again_s=AT_ONCE_S), max_retries=0)
    def work(number: int) -> int:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1
        return number

    results = [work.delay(number) for number in range(20)]
    assert list(range(20)) == [outcome(result) for result in results]

    assert 1 == most
    assert_all_returned(limiter, 1)


def test_what_never_fits_fails_and_says_why(shop: Shop) -> None:
    """Nine units of a limit of five would come again for ever: the run fails with the sentence."""
    limiter = headway.limit("5/s", name="mails")

    @shop.task(limited(limiter, units=9))
    def send() -> None: ...

    result = send.delay()
    with pytest.raises(Exception, match="mails"):
        outcome(result)

    assert ("FAILURE", 1) == (result.state, limiter.reading().refused)


def test_keys_units_exemptions_and_workloads_come_from_the_call(shop: Shop) -> None:
    """Tenants have a limit each, a batch costs its size, a probe nothing; an argument names the workload."""
    limiter = headway.limit("2/31d", keys=10)
    base = limited(
        limiter,
        key=lambda call: call.kwargs["tenant"],
        units=lambda call: len(call.args[0]),
        exempt=lambda call: not call.args[0],
    )

    @shop.task(base)
    def send(addresses: list[str], tenant: str) -> int:
        return len(addresses)

    assert [2, 0, 1] == [send(to, tenant=who) for to, who in ((["x", "y"], "a"), ([], "a"), (["x"], "b"))]
    with pytest.raises(headway.Refused):
        send(["x"], tenant="a")
    with headway.testing.open(CONTRACT) as hw:

        @shop.task(limited(hw, "orders-db", workload=lambda call: call.task.name.split(".")[-1]), name="jobs.reporting")
        def report() -> int:
            return hw.limiter("orders-db", "reporting").reading().admitted

        assert 1 == report()


def test_called_directly_or_eagerly_a_refusal_is_raised(shop: Shop) -> None:
    """Nobody would bring the call again: the caller is told."""
    limiter = slots(1)

    @shop.task(limited(limiter))
    def send() -> int:
        return free(limiter)

    assert (0, 0) == (send(), send.apply(throw=True).get())
    with limiter:
        with pytest.raises(headway.Refused):
            send()
        with pytest.raises(headway.Refused):
            send.apply(throw=True)

    assert_all_returned(limiter, 1)


def test_an_exception_gives_the_slot_back(shop: Shop) -> None:
    """Directly, and eagerly."""
    limiter = slots(1)

    @shop.task(limited(limiter))
    def send() -> None:
        raise LookupError("no such mailbox")

    with pytest.raises(LookupError):
        send()
    with pytest.raises(LookupError):
        send.apply().get()

    assert_all_returned(limiter, 1)


def test_in_observe_everything_runs_and_is_counted(shop: Shop) -> None:
    """The slot is taken; the run runs, and is counted as one that would have been put back."""
    limiter = observed()

    @shop.task(limited(limiter))
    def send() -> str:
        return "sent"

    with limiter:
        assert "sent" == outcome(send.delay())

    assert 1 == limiter.reading().refused


def test_a_broker_that_is_gone_rejects_the_run(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Celery's own retry: what cannot be put back is not acknowledged as done."""
    limiter = slots(1)

    @shop.task(limited(limiter))
    def send() -> None: ...

    rejected, gone = [], threading.Event()

    def fail(*_told: object, **_more: object) -> None:
        raise ConnectionError("the broker is gone")

    def note(_info: object, _task: object, request: Any) -> None:
        rejected.append(request.id)
        gone.set()

    with limiter:
        monkeypatch.setattr("celery.app.trace.TraceInfo.handle_reject", note)
        monkeypatch.setattr("celery.canvas.Signature.apply_async", fail)
        identity = shop.app.send_task(send.name).id
        assert gone.wait(WAIT_S)

    assert [identity] == rejected


@given(st.none() | st.floats(0, 10**7), st.uuids(), st.floats(0.001, ASK_AGAIN_MAX_S))
def test_a_run_comes_no_sooner_than_it_may_and_not_much_later(
    after: float | None, name: Any, ask_again_s: float
) -> None:
    """Between when the refusal says and as long again, and never put back for longer than brokers keep it."""
    refusal = cast(headway.Refusal, SimpleNamespace(retry_after_s=after))
    least = ask_again_s if after is None else after

    countdown = countdown_s(refusal, str(name), ask_again_s)

    assert min(least, ASK_AGAIN_MAX_S) <= countdown <= min(least + max(least, ask_again_s), ASK_AGAIN_MAX_S)


@pytest.mark.parametrize("seconds", [0.0, -1.0, ASK_AGAIN_MAX_S + 1, float("nan")])
def test_asking_again_at_once_or_in_hours_is_a_mistake(seconds: float) -> None:
    """Zero would spin; hours are longer than brokers wait."""
    with pytest.raises(ValueError, match="ask_again_s"):
        limited(slots(1), ask_again_s=seconds)


def test_the_first_match_that_takes_a_run_names_its_workload(shop: Shop) -> None:
    """A run is told apart by its task's name, and by what is said of it."""
    with headway.testing.open(
        MATCHED.replace('path: /checkout*, header.x-team: [shop, "eu, shop"]', "task: mail.*")
    ) as hw:
        base = limited(hw, "api", attributes=lambda call: {"user": call.kwargs.get("user")})

        @shop.task(base, name="mail.send")
        def mail() -> str:
            return "sent"

        @shop.task(base, name="report")
        def report(user: str = "eve") -> str:
            return f"made for {user}"

        assert "sent" == outcome(mail.delay())
        assert "made for ana@shop.example" == outcome(report.delay(user="ana@shop.example"))
        assert "made for eve" == outcome(report.delay())
        assert {"checkout": 1, "staff": 1, "other": 1} == admitted(hw)
