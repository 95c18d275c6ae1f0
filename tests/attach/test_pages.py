"""The pages of docs/attach: each shows what `headway attach` prints for its contract, and that text refuses where it is put.

`make bless` writes what is printed into the pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from headway._core import Meters
from headway.attach import FRONTS, UNTESTED
from headway.attach.attachment import DATA_PLANE
from headway.cli.attaching import attachment_of
from headway.contract.read import read_paths
from headway.engine.engine import Engine
from headway.server.access import Access, Credential, sha256_of
from headway.server.dataplane import ANSWERED, RoutedPlane
from headway.server.listen import Address
from tests.attach.fronts import application, free_port, running
from tests.attach.shared import MICRO, Traffic

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "attach").glob("*.md"))
TRIED = [page for page in PAGES if page.stem not in UNTESTED]
TOLD_APART = ("envoy-quota", "envoy-costs")
"""Pages whose contracts refuse otherwise than the sixth request of a minute."""

TOKEN = "a-gate's-token"


@dataclass(frozen=True)
class Page:
    """What stands on one: the document, the command below it, and what that prints."""

    contract: str
    front: str
    printed: str
    place: tuple[int, int]

    @classmethod
    def of(cls, path: Path) -> Page:
        text = path.read_text(encoding="utf-8")
        found = re.search(
            r"```yaml\n(.*?)```\n\n```console\n\$ headway attach (\w+) ([\w-]+)\n```\n\n```\w+\n(.*?)```",
            text,
            re.DOTALL,
        )
        assert found is not None, path
        assert f"contract: {found[3]}\n" in found[1]
        return cls(found[1], found[2], found[4], found.span(4))


@contextmanager
def asked(page: Page, folder: Path) -> Iterator[tuple[httpx.Client, Engine]]:
    """The page's contract on a data plane, and its configuration in a real front; calls to that, and who decides."""
    (folder / "contracts.yaml").write_text(page.contract)
    engine = Engine.open(folder / "contracts.yaml", data=folder / "data", meters=Meters(), answered=ANSWERED)
    access = Access([Credential("gate", sha256_of(TOKEN), frozenset({"gate"}))])
    # A machine that runs tests may be slow, and slow is no reason to refuse here.
    plane = RoutedPlane(engine, Address("127.0.0.1", 0), access, deadline_ms=5_000)
    port = plane.address.rpartition(":")[2]
    text = page.printed.replace(DATA_PLANE, plane.address).replace("port_value: 7701", f"port_value: {port}")
    with application() as behind:
        front = running(page.front, text, free_port(), behind.port, folder, TOKEN)
        with front as url, httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
            yield client, engine
    plane.close()
    engine.close()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_shows_what_is_printed_for_its_contract(path: Path, tmp_path: Path, bless: bool) -> None:
    page = Page.of(path)
    (tmp_path / "contracts.yaml").write_text(page.contract)
    (contract,) = read_paths([tmp_path / "contracts.yaml"]).contracts.values()
    printed = FRONTS[page.front](attachment_of(contract, None, DATA_PLANE)).rstrip() + "\n"
    if bless:
        text = path.read_text(encoding="utf-8")
        path.write_text(text[: page.place[0]] + printed + text[page.place[1] :], encoding="utf-8")
        page = Page.of(path)

    assert printed == page.printed


@pytest.mark.parametrize("path", [page for page in TRIED if page.stem not in TOLD_APART], ids=lambda path: path.stem)
def test_what_a_page_shows_refuses_the_sixth_request_of_a_minute(path: Path, tmp_path: Path) -> None:
    """Five pass, and the sixth is told when to come again."""
    with asked(Page.of(path), tmp_path) as (front, _):
        answers = [front.get("/") for _ in range(6)]

    assert [200] * 5 + [429] == [answer.status_code for answer in answers]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 12


def test_what_the_page_of_divided_limits_shows_denies_until_it_is_assigned_and_beyond_what_is(tmp_path: Path) -> None:
    """After a start everything is denied for five seconds; then some of what is asked passes, and not all of it."""
    traffic = Traffic()
    with (
        asked(Page.of(DOCS / "attach" / "envoy-quota.md"), tmp_path) as (front, _),
        traffic.on(str(front.base_url), callers=6),
    ):
        traffic.reach(40, 0)
        since = traffic.admitted()[0].sent_ns
        traffic.wait(lambda: any(one.status == 429 and one.sent_ns > since for one in list(traffic.seen)))

    assert {200, 429} == {one.status for one in traffic.seen}
    assert 429 == min(traffic.seen, key=lambda one: one.sent_ns).status


def test_what_the_page_of_later_costs_shows_refuses_while_there_is_debt(tmp_path: Path) -> None:
    """Answers of some hundred bytes under 1,000 an hour: each passes while use is within that and is charged when it is over;
    from then on every one is refused, and no refusal is charged, for the application answered none."""
    with asked(Page.of(DOCS / "attach" / "envoy-costs.md"), tmp_path) as (front, engine):
        answers = engine.limiter("answers")
        used = 0
        while used <= 1_000 * MICRO:
            assert 200 == front.get("/").status_code
            Traffic().wait(lambda before=used: answers.reading().admitted_micro > before)  # type: ignore[misc]
            assert 5 * MICRO < answers.reading().admitted_micro - used < 1_000 * MICRO
            used = answers.reading().admitted_micro
        refused = [front.get("/") for _ in range(3)]
        # A charge of the last one would come after its answer: every refusal is a probe, and so is what follows it.
        Traffic().wait(lambda: answers.reading().refused >= 6)

        assert [(429, "true")] * 3 == [(one.status_code, one.headers["x-envoy-ratelimited"]) for one in refused]
        assert used == answers.reading().admitted_micro


def test_every_front_has_a_page_and_every_page_is_in_the_index() -> None:
    """What no test has run says so on its page, as in what is printed."""
    index = (DOCS / "attach.md").read_text(encoding="utf-8")

    assert set(FRONTS) == {Page.of(path).front for path in PAGES}
    assert set() == set(FRONTS) - {path.stem for path in PAGES}
    for path in PAGES:
        assert f"[{path.name}](attach/{path.name})" in index
        assert (path.stem in UNTESTED) == ("**Untested**" in path.read_text(encoding="utf-8"))
