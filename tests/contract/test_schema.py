"""The schema for editors: fresh, and never stricter than the reader."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from headway.contract.schema import PATH, schema, schema_text

GOOD = Path(__file__).parents[1] / "contracts" / "good"
BAD = Path(__file__).parents[1] / "contracts" / "bad"
KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
}


def documents(path: Path) -> list[Any]:
    """What an editor sees: YAML 1.2's types, in which a date is text and `on` a word like any other."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {"on" if key is True else str(key): plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return value if isinstance(value, bool | int | float | str) else str(value)

    return [plain(one) for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one is not None]


def faults(value: Any, rule: dict[str, Any], defs: dict[str, Any], place: str = "") -> list[str]:
    """What of a value a schema does not take; the part of JSON Schema that ours uses, and nothing else of it."""
    found: list[str] = []
    if "$ref" in rule:
        found += faults(value, defs[rule["$ref"].removeprefix("#/$defs/")], defs, place)
    for word in ("anyOf", "oneOf"):
        if word in rule:
            fits = sum(not faults(value, form, defs, place) for form in rule[word])
            if fits == 0 or (word == "oneOf" and fits > 1):
                found.append(f"{place}: {fits} forms of {word}")
    if "type" in rule:
        names = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
        kinds = tuple(kind for name in names for kind in KINDS[name])
        if not isinstance(value, kinds) or (isinstance(value, bool) and "boolean" not in names):
            found.append(f"{place}: {value!r} is no {names}")
    if "enum" in rule and value not in rule["enum"]:
        found.append(f"{place}: {value!r} is none of {rule['enum']}")
    if "pattern" in rule and isinstance(value, str) and not re.search(rule["pattern"], value):
        found.append(f"{place}: {value!r} is not like {rule['pattern']}")
    if isinstance(value, int | float) and not rule.get("minimum", value) <= value <= rule.get("maximum", value):
        found.append(f"{place}: {value!r} is out of bounds")
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += faults(item, rule.get("items", {}), defs, f"{place}/{index}")
    if isinstance(value, dict):
        found += [f"{place}: no {name}" for name in rule.get("required", ()) if name not in value]
        for key, item in value.items():
            if key in rule.get("properties", {}):
                found += faults(item, rule["properties"][key], defs, f"{place}/{key}")
            elif not any(re.search(pattern, key) for pattern in rule.get("patternProperties", {})):
                other = rule.get("additionalProperties", True)
                if other is False:
                    found.append(f"{place}: {key} is unknown")
                elif isinstance(other, dict):
                    found += faults(item, other, defs, f"{place}/{key}")
    return found


def test_the_schema_that_is_checked_in_is_fresh() -> None:
    """`python -m headway.contract.schema` writes it; nobody edits it by hand."""
    assert schema_text() == PATH.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(GOOD.iterdir()), ids=lambda path: path.name)
def test_every_good_document_is_valid_by_the_schema(path: Path) -> None:
    whole = schema()

    for document in documents(path):
        assert [] == faults(document, whole, whole["$defs"])


@pytest.mark.parametrize(
    "name",
    ["unknown-field", "unknown-field-deep", "measure-throughput", "wait-without-a-unit", "two-kinds", "no-limit"],
)
def test_an_editor_sees_the_mistakes_that_a_schema_can_tell(name: str) -> None:
    whole = schema()

    assert [] != faults(documents(BAD / f"{name}.yaml")[0], whole, whole["$defs"])


def test_the_schema_speaks_of_what_authors_write() -> None:
    """Field names as authored, no defaults in our units, no null."""
    text = json.dumps(schema())

    assert not re.search(r"_micro\"|_ms\"|_ppm\"|\"default\"|\"null\"", text)
