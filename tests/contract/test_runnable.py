"""What is read and checked and not acted on yet: valid for `check`, refused with HW290 where it would run."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.contract.read import read_paths, read_text
from headway.contract.runnable import not_yet

GOOD = Path(__file__).parents[1] / "contracts" / "good"
API = (GOOD / "smallest.yaml").read_text(encoding="utf-8")
RATE = "constraint: {measure: rate, unit: request, per: 1s}\n"
SECOND = "{stage: now, limit: 100}, {stage: b, limit: 200, when: {approval: dba%s}%s}"


def fields(text: str) -> list[str]:
    """The field at the place of each finding, as authored."""
    reading = read_text(text)
    assert () == reading.findings
    found = not_yet(reading.documents)
    assert all(one.code == "HW290" and one.mend and one.excerpt for one in found)
    return [one.excerpt[0][one.excerpt[1] :].split(":")[0] for one in found if one.excerpt]


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("{stage: now, limit: 100}", SECOND % (", metric: {query: up, above: 0}", ""), "metric"),
        ("{stage: now, limit: 100}", SECOND % (", any: [{metric: {query: up, above: 0}}, {event: x}]", ""), "metric"),
        ("{stage: now, limit: 100}", SECOND % ("", ", was: old"), "was"),
        ("owner: team-web\n", "owner: team-web\nguards: {g: {keep: {query: q, below: 1}}}\n", "guards"),
        ("owner: team-web\n", "owner: team-web\nlocked: 2027-01-01\n", "locked"),
        ("owner: team-web\n", "owner: team-web\ntrial: 24h\n", "trial"),
        ("owner: team-web\n", "owner: team-web\nenforce: {bind: [{postgres: {listen: 6432}}]}\n", "postgres"),
        ("owner: team-web\n", "owner: team-web\nenforce: {gates: [a, b], floor: 5}\n", "gates"),
        ("owner: team-web\n", "owner: team-web\nenforce: {when_cut_off: open}\n", "when_cut_off"),
    ],
)
def test_a_field_that_comes_later_is_named_where_it_stands(old: str, new: str, field: str) -> None:
    assert [field] == fields(API.replace(old, new))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("team: dba\ntell: [{slack: env:X}]\n", "tell"),
        ("team: dba\nescalate: sre\n", "escalate"),
        ("server: main\noidc: {issuer: 'https://id.example'}\n", "oidc"),
        ("server: main\ntls: {certificate: file:/x}\n", "tls"),
        ("server: main\nsigners: [{key: x}]\n", "signers"),
        (API + "---\nrollout: r\nowner: team-web\ndemand: {api: 1}\nsteps: [{share: 5%}]\n", "rollout"),
    ],
)
def test_other_documents_name_what_comes_later_too(text: str, field: str) -> None:
    assert [field] == fields(text)


def test_what_works_today_runs() -> None:
    """Growth, dimensions, keys, exceptions, calendars, a floor, tokens: nothing of it is held back."""
    for name in ("smallest.yaml", "dimensions.yaml", "each.yaml", "growth.yaml", "like.yaml", "match.yaml"):
        assert [] == not_yet(read_paths([GOOD / name]).documents)
    assert [] == fields("server: main\nstore: sqlite:///headway.db\n")
    assert [] == fields(API.replace("{other: {}}", "{other: {priority: critical, guarantee: 40%, ceiling: 60}}"))
    assert [] == fields(API.replace("{other: {}}", "{other: {priority: critical}}\neach: {key: team, count: 4}"))
    assert [] == fields(
        API.replace("{other: {}}", "{other: {guarantee: 40, ceiling: 60%}}\neach: {key: team, count: 4}")
    )
    assert [] == fields(API.replace("{other: {}}", "{other: {weight: 2}}"))
    assert [] == fields(API.replace("{other: {}}", "{other: {weight: 2}}\neach: {key: team, count: 4, total: 300}"))
    quota = API.replace("measure: rate, unit: request, per: 1s", "measure: quota, unit: request, per: day")
    assert [] == fields(quota.replace("{other: {}}", "{other: {weight: 2}}"))
    assert [] == fields(API + "enforce: {recall: wait, floor: 1}\n")
    for recall in ("ask", "idle", "end"):
        slots = f"constraint: {{measure: concurrency, unit: slot}}\nenforce: {{recall: {recall}}}\n"
        assert [] == fields(API.replace(RATE, slots))


def test_what_a_gate_does_that_is_cut_off_runs_where_gates_connect() -> None:
    """`headway.open` is its own keeper: nothing it could be cut off from."""
    text = API + "enforce: {when_cut_off: open}\n"
    parts = API + "enforce: {floor: 10, gates: [edge-a, edge-b]}\n"

    assert (["when_cut_off"], ["gates"]) == (fields(text), fields(parts))
    for one in (text, parts):
        assert [] == not_yet(read_text(one.encode()).documents, answered={"gates"})


def test_an_abstract_contract_is_not_asked_whether_it_runs() -> None:
    text = API + "---\ncontract: base\nabstract: true\nlocked: 2027-01-01\n"

    assert [] == fields(text)


def test_a_binding_runs_where_somebody_answers_it() -> None:
    """Envoy is answered by a data plane: with one the contract runs, without one it does not, asked or divided."""
    rls = "owner: team-web\nenforce: {bind: [{rls: {domain: edge, descriptor: {service: api}}}]}\n"
    text = API.replace("owner: team-web\n", rls)
    divided = text.replace("rls: {domain: edge, descriptor", "rlqs: {domain: edge, bucket")

    assert (["rls"], ["rlqs"]) == (fields(text), fields(divided))
    both = text + "---\n" + divided.replace("contract: api", "contract: b")
    assert [] == not_yet(read_text(both.encode()).documents, answered={"rls", "rlqs"})


def test_a_store_in_postgresql_runs_where_the_ledger_is_in_one() -> None:
    """A program that opens its contracts itself keeps its ledger in its own folder: it must not pass by the store's limits."""
    text = "server: main\nstore: postgresql://db.example/headway\n"

    assert ["store"] == fields(text)
    assert [] == not_yet(read_text(text.encode()).documents, answered={"postgresql"})
