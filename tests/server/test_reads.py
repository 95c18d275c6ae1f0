"""What a viewer sees, and what whoever asks wrongly is told."""

from typing import Any

import pytest

from headway.server.metrics import METRICS
from headway.server.routes.described import ROW
from tests.server.conftest import NOW_MS, Callers, World, problem

READS = [
    "/",
    "/openapi.json",
    "/metrics",
    "/v1/contracts",
    "/v1/contracts/orders-db",
    "/v1/contracts/orders-db/timeline",
    "/v1/contracts/orders-db/explain",
    "/v1/drift",
    "/v1/clock",
    "/v1/ledger",
    "/v1/ledger/tail",
    "/v1/ledger/verify",
    "/v1/ledger/replay",
]


@pytest.mark.parametrize("path", READS)
def test_reads_want_the_role_viewer(callers: Callers, path: str):
    """A viewer reads all of it; a gate's token, which is no viewer's, reads none of it."""
    assert 200 == callers["vera"].get(path).status_code
    assert (403, "HW403") == problem(callers["gate"].get(path))
    assert (401, "HW401") == problem(callers["nobody"].get(path))


def names(callers: Callers, **query: Any) -> list[str]:
    return [row["contract"] for row in callers["vera"].get("/v1/contracts", params=query).json()["contracts"]]


def test_contracts_are_listed_by_name_and_chosen_by_label_owner_and_upstream(callers: Callers):
    """Three contracts; `orders-db` alone has tier 1, and alone spends the cluster."""
    assert ["cluster-cpu", "orders-db", "search"] == names(callers)
    assert ["orders-db"] == names(callers, label="tier=1")
    assert [] == names(callers, label=["tier=1", "service=search"])
    assert ["search"] == names(callers, owner="team-web")
    assert ["orders-db"] == names(callers, spending="cluster-cpu")
    assert [] == names(callers, spending="search")


def test_the_list_comes_in_pages(callers: Callers):
    """Two a page: the first names where the second begins, the second that there is no third."""
    first = callers["vera"].get("/v1/contracts", params={"most": 2}).json()
    second = callers["vera"].get("/v1/contracts", params={"most": 2, "after": first["next"]}).json()

    assert (["cluster-cpu", "orders-db"], "orders-db") == (
        [row["contract"] for row in first["contracts"]],
        first["next"],
    )
    assert (["search"], None) == ([row["contract"] for row in second["contracts"]], second["next"])


def test_a_row_is_what_the_description_says_it_is(callers: Callers):
    """The example in `/openapi.json` has exactly the fields of a real row."""
    [row] = callers["vera"].get("/v1/contracts", params={"label": "tier=1"}).json()["contracts"]

    assert set(ROW) == set(row)
    assert {"name": "launch", "index": 0, "of": 3} == row["stage"]
    assert "replica" == row["next_stage"]
    limit = {"limit": 50, "limit_micro": 50_000_000, "measure": "concurrency", "unit": "connection", "per": None}
    assert {"": limit} == row["limit"]


def test_several_dimensions_each_have_their_limit(callers: Callers):
    limit = callers["vera"].get("/v1/contracts/search").json()["limit"]

    assert (100, 1000) == (limit["requests"]["limit"], limit["requests"]["per"])
    assert (10_000, "day") == (limit["daily"]["limit"], limit["daily"]["per"])


def test_a_contracts_page_holds_its_document_its_ladder_and_what_is_asked(callers: Callers):
    page = callers["vera"].get("/v1/contracts/orders-db").json()

    assert "team-storage" == page["document"]["owner"]
    assert [50_000_000, 120_000_000, 400_000_000] == [stage["limit_micro"][""] for stage in page["ramp"]]
    assert ["event", "approval"] == [condition["kind"] for condition in page["conditions"]]
    assert ["dba"] == page["approval_groups"]


def test_explain_says_why_since_when_and_what_the_next_stage_waits_for(callers: Callers):
    story = callers["vera"].get("/v1/contracts/orders-db/explain").json()

    assert (NOW_MS, "headway") == (story["since_ms"], story["by"])
    assert "stage launch is in force" in story["why"]
    assert "event replica.promoted, then approval by dba" == story["next"]["in_words"]


@pytest.mark.parametrize("path", ["", "/timeline", "/explain"])
def test_an_unknown_contract_is_404_with_the_nearest_names(callers: Callers, path: str):
    response = callers["vera"].get(f"/v1/contracts/order-db{path}")

    assert (404, "HW404") == problem(response)
    assert "orders-db" in response.json()["mend"]


@pytest.mark.parametrize("ref", ["hw:ffff", "ffff", "hw:", "hw:%00", "hw:" + "f" * 60])
def test_an_unknown_reference_is_404(callers: Callers, ref: str):
    assert (404, "HW407") == problem(callers["vera"].get(f"/v1/explain/{ref}"))


@pytest.mark.parametrize(
    "path",
    [
        "/v1/contracts?most=0",
        "/v1/contracts?most=1001",
        "/v1/contracts?most=ten",
        "/v1/contracts?label=tier",
        "/v1/contracts?label==1",
        "/v1/contracts?" + "&".join(["label=a=b"] * 17),
        "/v1/contracts/orders-db/timeline?from=-1",
        "/v1/contracts/orders-db/timeline?from=2&to=1",
        "/v1/contracts/orders-db/timeline?most=99999",
        "/v1/contracts/orders-db/timeline?from=99999999999999999999",
        "/v1/contracts/" + "x" * 201,
        "/v1/ledger?after=-1",
        "/v1/ledger?most=1001",
        "/v1/ledger/tail?most=0",
        "/v1/explain/" + "f" * 65,
    ],
)
def test_a_parameter_out_of_its_bounds_is_422_and_named(callers: Callers, path: str):
    response = callers["vera"].get(path)

    assert (422, "HW422") == problem(response)


def test_spending_of_an_unknown_contract_is_404_and_not_an_empty_list(callers: Callers):
    """An empty answer to a misspelled name would look like "nothing spends it"."""
    assert (404, "HW404") == problem(callers["vera"].get("/v1/contracts?spending=cluster"))


def test_an_unknown_path_is_404_with_the_nearest(callers: Callers):
    response = callers["vera"].get("/v1/contract")

    assert (404, "HW410") == problem(response)
    assert "/v1/contracts" in response.json()["nearest"]


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/v1/contracts/orders-db"), ("POST", "/metrics"), ("PUT", "/v1/ledger")]
)
def test_another_method_is_405_and_says_which_is_allowed(callers: Callers, method: str, path: str):
    response = callers["olaf"].request(method, path)

    assert (405, "HW411") == problem(response)
    assert "GET" in response.headers["allow"]


def test_the_ledger_comes_in_pages_oldest_first(callers: Callers):
    """All entries, two at a time, are the same as all at once."""
    whole = callers["vera"].get("/v1/ledger").json()
    paged: list[Any] = []
    after: int | None = 0
    while after is not None:
        page = callers["vera"].get("/v1/ledger", params={"after": after, "most": 2}).json()
        paged, after = paged + page["entries"], page["next"]

    assert whole["entries"] == paged
    assert list(range(1, len(paged) + 1)) == [entry["seq"] for entry in paged]


def test_the_ledger_can_be_read_for_one_contract(callers: Callers):
    entries = callers["vera"].get("/v1/ledger", params={"contract": "orders-db"}).json()["entries"]
    tail = callers["vera"].get("/v1/ledger/tail", params={"contract": "orders-db", "most": 1}).json()["entries"]

    assert {"orders-db"} == {entry["contract"] for entry in entries}
    assert entries[-1:] == tail


def test_the_ledger_is_whole_and_its_replay_is_where_things_stand(callers: Callers):
    verdict = callers["vera"].get("/v1/ledger/verify").json()
    replay = callers["vera"].get("/v1/ledger/replay").json()

    assert (True, None) == (verdict["ok"], verdict["bad_seq"])
    assert {"cluster-cpu": 0, "orders-db": 0, "search": 0} == {name: state["stage"] for name, state in replay.items()}
    stages = {name: callers["vera"].get(f"/v1/contracts/{name}").json()["stage"]["name"] for name in replay}
    assert stages == {name: state["stage_name"] for name, state in replay.items()}


def test_every_metric_is_exposed_with_its_labels(callers: Callers, world: World):
    """A limiter has decided nothing yet; all gauges are there, and the demand counters of its path."""
    world.engine.limiter("orders-db", "checkout")

    text = callers["vera"].get("/metrics").text

    for name in METRICS:
        assert f"# TYPE {name.removesuffix('_total')}" in text, name
    assert 'headway_limit{meter="orders-db"} 50.0' in text
    assert 'headway_limit{meter="search.daily"} 10000.0' in text
    assert 'headway_admitted_total{contract="orders-db",workload="checkout"}' in text
    assert 'headway_stage_index{contract="orders-db"} 0.0' in text
    assert "headway_clock_suspect 0.0" in text


def test_health_and_readiness_ask_for_no_token(callers: Callers):
    assert {"alive": True} == callers["nobody"].get("/healthz").json()
    assert {"ready": True, "because": ""} == callers["nobody"].get("/readyz").json()


def test_a_closed_engine_is_not_ready_and_says_so(callers: Callers, world: World):
    """Readiness turns to 503 while health stays: the process answers, and decides nothing."""
    world.engine.close()

    assert 503 == callers["nobody"].get("/readyz").status_code
    assert 200 == callers["nobody"].get("/healthz").status_code
    assert (503, "HW521") == problem(callers["vera"].get("/v1/contracts"))


def test_the_index_names_the_paths_for_programs_and_for_a_browser(callers: Callers):
    """The page holds contracts' names as text, and nothing that runs."""
    index = callers["vera"].get("/").json()
    page = callers["vera"].get("/", headers={"accept": "text/html,*/*"})

    assert "/v1/contracts/{name}/explain" in index["paths"]
    assert page.headers["content-type"].startswith("text/html")
    assert "orders-db" in page.text
    assert "<script" not in page.text


def test_an_error_of_ours_says_nothing_of_what_it_held(callers: Callers, world: World, monkeypatch: pytest.MonkeyPatch):
    """Its text goes to the log; the answer is HW500 and a mend."""

    def broken() -> Any:
        raise RuntimeError("token hw_secret at 0x1234")

    monkeypatch.setattr(world.engine, "clock_status", broken)
    response = callers["vera"].get("/v1/clock")

    assert (500, "HW500") == problem(response)
    assert "secret" not in response.text


def test_the_description_is_complete(callers: Callers):
    """Every operation has a summary, an example of its answer, and problem documents for its errors; bodies have examples."""
    document = callers["vera"].get("/openapi.json").json()

    assert "Problem" in document["components"]["schemas"]
    assert "HTTPBearer" in document["components"]["securitySchemes"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["description"], where
            answers = operation["responses"]
            good = next(answer for status, answer in answers.items() if status.startswith("2"))
            assert any("example" in content for content in good["content"].values()), where
            assert ("security" in operation) == (path not in ("/healthz", "/readyz")), where
            for status, answer in answers.items():
                if not status.startswith("2"):
                    assert "application/problem+json" in answer["content"] or path == "/readyz", f"{where} {status}"
            if "requestBody" in operation:
                assert "xample" in str(operation["requestBody"]) or "$ref" in str(operation["requestBody"]), where
