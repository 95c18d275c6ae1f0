"""Reading as a whole: every fault of every file in one run, bounds, places, `like`, foreign fields, no exceptions."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.contract.faults import Finding, Unreadable, excerpt_of
from headway.contract.read import Reading, read_paths, read_text
from headway.contract.text import Map, Source, documents_of

GOOD = Path(__file__).parents[1] / "contracts" / "good"
BAD = Path(__file__).parents[1] / "contracts" / "bad"
API = (GOOD / "smallest.yaml").read_text(encoding="utf-8")


def codes(reading: Reading) -> list[str]:
    return [found.code for found in reading.findings]


@pytest.mark.parametrize("path", sorted(GOOD.iterdir()), ids=lambda path: path.name)
def test_a_good_file_has_no_findings(path: Path) -> None:
    reading = read_paths([path])

    assert () == reading.findings
    assert reading.ok
    assert all(document.model is not None for document in reading.documents if document.kind != "contract")


def test_the_smallest_legal_contract_is_what_it_says() -> None:
    contract = read_text(API).require().contracts["api"]

    assert ("api", "team-web", "UTC") == (contract.name, contract.owner, contract.zone)
    assert ("rate", "request", 1_000) == (
        contract.constraint[""].measure,
        contract.constraint[""].unit,
        contract.constraint[""].per,
    )
    assert [("now", {"": 100_000_000})] == [(stage.name, stage.limit_micro) for stage in contract.ramp]
    assert ["other"] == list(contract.workloads)


def test_a_syntax_error_in_one_document_hides_nothing_in_the_others() -> None:
    """The second of three is broken; the first and the third still say their own."""
    text = "contract: a\nownr: x\n---\ncontract: [broken\n---\ncontract: c\nramp: now\n"

    found = {(one.code, one.where.line if one.where else 0) for one in read_text(text).findings}

    assert {("HW123", 2), ("HW106", 4), ("HW127", 7)} <= found


def test_faults_of_several_files_are_told_in_one_run_in_the_order_of_their_places(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "b.yaml").write_text(API.replace("100", "0"))
    (tmp_path / "deep" / "a.yml").write_text("contract: A\n")
    (tmp_path / "note.txt").write_text("not read")

    reading = read_paths([tmp_path])

    assert ["b.yaml", "a.yml", "a.yml", "a.yml", "a.yml"] == [
        Path(found.where.file).name for found in reading.findings if found.where
    ]


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "api.yaml"
    path.write_text(API)

    assert () == read_paths([path, tmp_path, str(path)]).findings


def test_a_file_of_100_mib_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)

    assert ["HW103"] == codes(read_paths([path]))
    assert ["HW103"] == codes(read_text(b"#" * (16 * 1024 * 1024 + 1)))


def test_a_document_over_1_mib_is_refused_and_the_others_are_read() -> None:
    reading = read_text(API + "---\nx-note: '" + "y" * (1024 * 1024) + "'\n---\n" + API.replace("api", "web"))

    assert ["HW104"] == codes(reading)
    assert ["api", "web"] == list(reading.contracts)


@pytest.mark.parametrize("name", ["no-such-file.yaml", "folder", "pipe", "x" * 5_000, "nul-\0.yaml", "loop.yaml"])
def test_a_path_that_cannot_be_read_is_a_finding(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    os.mkfifo(tmp_path / "pipe")

    reading = read_paths([tmp_path / name])

    assert ["HW102" if name == "folder" else "HW105"] == codes(reading)
    assert not reading.ok


def test_a_folder_passes_over_nothing_that_may_have_been_meant(tmp_path: Path) -> None:
    """A pipe, a link to nothing and a link to itself end like documents and are none: each is said, and the good file
    beside them is read. An editor's hidden files are nobody's documents.
    """
    (tmp_path / "api.yaml").write_text(API)
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nothing")
    (tmp_path / "self.yaml").symlink_to("self.yaml")
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / ".#api.yaml").symlink_to("ana@host.1234")

    reading = read_paths([tmp_path])

    assert ["gone.yaml", "pipe.yaml", "self.yaml"] == [
        Path(one.where.file).name for one in reading.findings if one.where
    ]
    assert {"HW105"} == set(codes(reading))
    assert ["api"] == list(reading.contracts)


def test_a_folder_that_may_not_be_read_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold a contract. Root reads everything, so the refusal is the kernel's words, put in its mouth."""
    (tmp_path / "api.yaml").write_text(API)
    (tmp_path / "theirs").mkdir()
    scandir = os.scandir

    def refused(path: Path) -> object:
        if path.name == "theirs":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    reading = read_paths([tmp_path])

    assert [f"`{tmp_path}/theirs` cannot be read: Permission denied"] == [one.problem for one in reading.findings]
    assert ["api"] == list(reading.contracts)


def test_a_file_below_a_folder_that_may_not_be_entered_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refused)

    assert ["HW105"] == codes(read_paths([tmp_path / "theirs" / "api.yaml"]))


def test_folders_may_lie_as_deep_as_they_like(tmp_path: Path) -> None:
    """2,000 folders in one another: an answer within the length of a path, no recursion that ends the reader."""
    at = os.open(tmp_path, os.O_RDONLY)
    for _ in range(2_000):
        os.mkdir("deep-er", dir_fd=at)
        inner = os.open("deep-er", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    try:
        assert ["HW105"] == codes(read_paths([tmp_path]))
    finally:
        subprocess.run(["rm", "-rf", str(tmp_path / "deep-er")], check=True)


def test_a_name_that_is_no_text_is_shown_as_one(tmp_path: Path) -> None:
    """A byte that is not UTF-8, a line break and an escape in a file's name reach neither a terminal nor JSON as such."""
    (tmp_path / os.fsdecode(b"a\xff\n\x1b[31m.yaml")).write_text("contract: [")

    (found,) = read_paths([tmp_path]).findings

    assert found.where is not None
    assert f"{tmp_path}/a\\xff\\n\\x1b[31m.yaml" == found.where.file
    assert json.dumps(found.as_json(), ensure_ascii=False).encode()


def test_no_message_grows_with_what_an_author_wrote() -> None:
    """A name of 900,000 characters, and one of 200,000 lines: bounded, and on one line, wherever it is told."""
    for name in ("k" * 900_000, "|\n" + "  x\n" * 200_000):
        found = read_text(f"contract: {name}\n").findings
        problems = [one.problem for one in found]

        assert 4 <= len(problems)
        assert 1_500 > max(len(json.dumps(one.as_json())) for one in found)
        assert 300 > max(map(len, problems))
        assert not any("\n" in problem for problem in problems)


def test_too_many_documents_in_one_file_are_refused_unread() -> None:
    assert ["HW112"] == codes(read_text("---\n" * 20_001))


def test_a_file_whose_documents_are_each_within_bounds_is_bounded_as_a_whole() -> None:
    """100 documents of 49,000 nodes would keep the reader for eleven seconds: it leaves after the 21st, and says where.
    What was read until then is told all the same.
    """
    full = "contract: a\nx-list: [" + ",".join("x" * 49_000) + "]\n"

    reading = read_text("---\n".join([full] * 100))

    (stop,) = [found for found in reading.findings if found.code == "HW112"]
    assert stop.where is not None
    assert 60 == stop.where.line
    assert 20 == codes(reading).count("HW229")


def test_what_multiplies_is_bounded() -> None:
    """A law times its trigger, an abstract contract times those that are like it: refused before they are multiplied."""
    many = ", ".join(f"e{i}" for i in range(10_000))
    law = API.replace(
        "ramp: [{stage: now, limit: 100}]",
        f"grow: {{start: 1, step: 1, every: 1s, until: 400, when: {{event: [{many}]}}}}",
    )
    lender = API + "x-list: [" + "y," * 20_000 + "]\n"
    alike = "---\n".join([lender, *(f"contract: a{i}\nlike: api\n" for i in range(100))])

    assert ["HW112"] == codes(read_text(law))
    assert ["HW112"] == codes(read_text(alike))


def test_a_document_with_very_many_faults_shows_the_first_hundred_of_a_step() -> None:
    stages = "".join(f"  - {{stage: s{i}, limit: 1}}\n" for i in range(1_000))

    assert 101 == len(read_text(API + "owner: x\n" * 1_000).findings)
    assert 101 == len(read_text(API + "".join(f"f{i}: 1\n" for i in range(1_000))).findings)
    assert 101 == len(read_text(API.replace("ramp: [{stage: now, limit: 100}]\n", "ramp:\n" + stages)).findings)


def test_reading_leaves_the_collector_as_it_was() -> None:
    import gc

    read_text(API)
    assert gc.isenabled()
    gc.disable()
    try:
        read_text(API)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_byte_order_marks_and_windows_line_ends_are_read() -> None:
    reading = read_text(b"\xef\xbb\xbf" + API.replace("\n", "\r\n").encode() + b"---\r\nowner: x\r\n")

    assert ["HW121"] == codes(reading)
    assert 7 == (reading.findings[0].where.line if reading.findings[0].where else 0)
    assert ["api"] == list(reading.contracts)


def test_every_key_and_value_knows_its_place() -> None:
    text = "a: 1\n'b' :\n  - x\n  - {c: d}\n"
    tree = next(iter(documents_of(Source("x", text.encode()), [])))

    assert {"a": (1, 1), "b": (2, 1)} == tree.keys_at
    assert {"a": (1, 4), "b": (3, 3)} == tree.values_at
    assert [(3, 5), (4, 5)] == tree["b"].items_at
    inner = tree["b"][1]
    assert isinstance(inner, Map) and {"c": (4, 9)} == inner.values_at


def test_like_takes_whole_absent_fields_and_errors_keep_their_place_in_the_other_file(tmp_path: Path) -> None:
    """The mistake stands in the abstract contract; it is told once, there, though two contracts take it."""
    base = "contract: base\nabstract: true\nowner: team-web\nworkloads: {other: {cost: -1}}\n"
    (tmp_path / "base.yaml").write_text(base)
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(
            f"contract: {name}\nlike: base\nconstraint: {{measure: concurrency}}\nramp: [{{stage: now, limit: 1}}]\n"
        )

    (found,) = read_paths([tmp_path]).findings

    assert ("HW134", 4) == (found.code, found.where.line if found.where else 0)
    assert found.where is not None and found.where.file.endswith("base.yaml")


def test_like_never_merges_inside_a_field_and_a_ramp_replaces_a_law() -> None:
    reading = read_paths([GOOD / "like.yaml"])

    assert ["partner-a", "partner-b"] == list(reading.contracts)
    assert {"tier": 1, "contract": "premium"} == reading.contracts["partner-b"].labels
    assert ["500"] == [str(stage.limit_micro[""] // 1_000_000) for stage in reading.contracts["partner-b"].ramp]
    assert ["10", "20", "40", "80"] == [stage.name for stage in reading.contracts["partner-a"].ramp]


def test_documents_may_link_to_what_runs_already() -> None:
    """An apply of one contract does not repeat its upstream, its calendar, or its spender."""
    running = read_text(API.replace("api", "db") + "---\ncalendar: work-hours\n").require()
    agreed = [*running.contracts.values(), *running.calendars.values()]
    text = API + "upstream: [{contract: db, spends: 1}]\nraise_in: work-hours\n"
    spender = list(read_text(text, agreed=agreed).require().contracts.values())

    assert ["HW205", "HW225"] == codes(read_text(text))
    assert () == read_text(text, agreed=agreed).findings
    assert () == read_text(API.replace("api", "db").replace("workloads: {other: {}}\n", ""), agreed=spender).findings
    assert ["HW208"] == codes(
        read_text(API.replace("api", "db") + "upstream: [{contract: api, spends: 1}]\n", agreed=spender)
    )


def test_nothing_spends_or_shares_what_runs_already_divided() -> None:
    """Told at the new contract, which alone can be mended; together they are told once, at the one that is divided."""
    bucket = "{rlqs: {domain: edge, bucket: {name: db}}}"
    drained = "drain_within: 10s, "
    for enforce, code in (("floor: 10, gates: [a]", "HW265"), (f"{drained}bind: [{bucket}]", "HW255")):
        above = API.replace("api", "db") + f"enforce: {{{enforce}}}\n"
        agreed = list(read_text(above).require().contracts.values())
        spender = API + "upstream: [{contract: db, spends: 1}]\n"

        (found,) = read_text(spender, agreed=agreed).findings
        assert (code, 6) == (found.code, found.where.line)
        assert [code] == codes(read_text(spender + "---\n" + above))
        assert () == read_text(above, agreed=agreed).findings
        if code == "HW255":
            for name in ("a", "z"):
                again = above.replace("contract: db", f"contract: {name}")
                assert ["HW256"] == codes(read_text(again, agreed=agreed)), name


def test_foreign_fields_are_dropped_and_names_that_look_like_them_stay() -> None:
    contract = read_paths([GOOD / "kinds.yaml"]).contracts["orders-db"]

    assert ["x-ray", "other"] == list(contract.workloads)
    assert "launch" == contract.ramp[0].name


def test_dates_without_a_zone_are_in_the_contracts() -> None:
    text = API.replace("now, limit: 100", "now, limit: 100, promised: 2027-03-01") + "zone: America/New_York\n"

    promised = read_text(text).require().contracts["api"].ramp[0].promised

    assert promised is not None and 1_803_963_600_000 == promised.utc_ms


def test_an_alias_stands_for_what_it_names() -> None:
    text = API.replace("{other: {}}", "{one: &w {cost: 2}, two: *w}")

    workloads = read_text(text).require().contracts["api"].workloads

    assert workloads["one"] == workloads["two"]


def test_a_secret_is_in_no_message_and_no_repr() -> None:
    text = "source: prom\nprometheus: {url: 'https://p.example', token: hunter2-and-more}\n"
    reading = read_text(text)

    assert "hunter2" not in "".join(found.as_text() for found in reading.findings)
    assert "hunter2" not in repr(reading)
    assert "hunter2" not in excerpt_of("url: https://ana:hunter2@x", 1)[0]


def test_a_reading_with_errors_raises_them_all_and_the_exception_can_be_pickled() -> None:
    reading = read_text("contract: Api\nownr: x\n")

    with pytest.raises(Unreadable) as caught:
        reading.require()
    copy = pickle.loads(pickle.dumps(caught.value))

    assert copy.findings == caught.value.findings
    assert str(copy) == str(caught.value)
    first = copy.findings[0]
    assert (first.code, first.where, first.problem, first.because, first.mend) == (
        copy.code,
        copy.where,
        copy.problem,
        copy.because,
        copy.mend,
    )


def test_a_finding_is_json_in_the_shape_of_the_design() -> None:
    (found,) = read_text(API.replace("100", "0"), "api.yaml").findings

    assert {
        "code": "HW135",
        "severity": "error",
        "contract": "api",
        "where": {"file": "api.yaml", "line": 5, "column": 28},
        "problem": "`limit`: `0` is zero",
        "because": "zero is not a limit but a ban, and hides that nothing can ever pass",
        "mend": "write a number above zero",
        "witness": None,
    } == found.as_json()


def test_a_finding_without_a_place_is_told_all_the_same() -> None:
    text = Finding("HW102", "error", None, None, "nothing", "because", "mend it").as_text()

    assert "error[HW102]: nothing\n   | because\n   = mend: mend it\n   = more: headway explain HW102" == text


@given(st.binary(max_size=400))
def test_the_reader_survives_any_bytes(data: bytes) -> None:
    """A reading, never an exception; and no document is silently ignored."""
    reading = read_text(data)

    assert reading.findings or reading.documents or all(key.startswith("x-") for key in _keys(data))


FRAGMENTS = st.sampled_from(
    ("contract: a\n", "---\n", "...\n", "{", "}", "[", "]", "*a", "&a ", "!!int ", "<<: ", "- ", "? ", ": ", "#", "\t", "\n ",
     "ramp: ", "limit: ", "when: ", "like: a\n", "grow: ", "10,000", "'", '"', "|\n ", ">-\n ", "%YAML 1.1\n", "x-a: 1\n",
     "abstract: true\n", "\u2028", "\x85", "\ufeff", "\r", "any: ", "constraint: ", "{measure: rate}", "each: ", "upstream: ")
)  # fmt: skip


@given(st.lists(FRAGMENTS, max_size=40).map("".join))
def test_the_reader_survives_anything_made_of_its_own_words(text: str) -> None:
    for found in read_text(text).findings:
        assert found.as_text() and found.as_json()


@given(st.sampled_from(sorted(GOOD.iterdir())), st.data())
def test_the_reader_survives_a_good_document_with_one_part_replaced(path: Path, data: st.DataObject) -> None:
    text = path.read_text(encoding="utf-8")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    part = data.draw(st.one_of(FRAGMENTS, st.text(max_size=10)))

    for found in read_text(text[:start] + part + text[end:]).findings:
        assert found.as_text()


def _keys(data: bytes) -> list[str]:
    return [key for tree in documents_of(Source("x", data), []) for key in tree]


def test_a_name_that_merges_is_a_word_in_quotes() -> None:
    """YAML's merge key is refused; the same two signs in quotes are a key like any other, as a canonical form writes them."""
    base = API.replace("workloads: {other: {}}", "labels: {KEY: a}\nworkloads: {other: {}}")

    assert ["HW115"] == codes(read_text(base.replace("KEY", "<<")))
    assert "HW115" not in codes(read_text(base.replace("KEY", '"<<"')))
