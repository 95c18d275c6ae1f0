"""What `headway explain FILE` says, word for word, in its three forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headway.contract.read import read_paths
from headway.contract.story import explain_contract

GOOD = Path(__file__).parents[1] / "contracts" / "good"
STORIES = Path(__file__).parents[1] / "contracts" / "stories"


@pytest.mark.parametrize("name", ["orders-db", "model-api", "search"])
def test_a_story_answers_the_four_questions_in_sentences(name: str, bless: bool) -> None:
    """The golden text is what a product manager reads; it is reviewed like code."""
    contracts = read_paths([GOOD / "full.yaml"]).contracts | read_paths([GOOD / "dimensions.yaml"]).contracts
    contracts |= read_paths([GOOD / "each.yaml"]).contracts
    expected = STORIES / f"{name}.txt"

    said = explain_contract(contracts[name]).as_text() + "\n"
    if bless:
        STORIES.mkdir(exist_ok=True)
        expected.write_text(said, encoding="utf-8")

    assert expected.read_text(encoding="utf-8") == said


def test_the_three_forms_say_the_same() -> None:
    story = explain_contract(read_paths([GOOD / "full.yaml"]).contracts["orders-db"])

    told = json.loads(json.dumps(story.as_json()))

    assert ["constraint", "workloads", "upstream", "ramp", "guards"] == list(told["answers"])
    for answer in told["answers"].values():
        assert answer["question"] in story.as_text()
        assert f"### {answer['question']}" in story.as_markdown()
        assert all(sentence in story.as_text() for sentence in answer["answer"])


def test_markdown_shows_an_authors_text_and_never_runs_it() -> None:
    contract = read_paths([GOOD / "full.yaml"]).contracts["orders-db"]
    contract = contract.model_copy(update={"about": "<script>alert(1)</script> *bold* [x](y)"})

    page = explain_contract(contract).as_markdown()

    assert "<script>" not in page
    assert "\\*bold\\* \\[x\\](y)" in page


@pytest.mark.parametrize("path", sorted(GOOD.iterdir()), ids=lambda path: path.name)
def test_every_good_contract_has_a_story(path: Path) -> None:
    for contract in read_paths([path]).contracts.values():
        assert all(answer.sentences for answer in explain_contract(contract).answers)
