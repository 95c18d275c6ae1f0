"""JSON Schema 2020-12 for editors, from the models: what may be written, field by field.

It is looser than `headway check` (rules across fields are not in it) and never stricter: every valid document is valid
by it. `schema.json` beside this module is its output; `python -m headway.contract.schema` writes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from headway.contract.documents import KINDS
from headway.contract.laws import Grow

__all__ = ["PATH", "schema", "schema_text"]

PATH = Path(__file__).with_name("schema.json")

_ONE_OR_MORE = {
    "When": ("not_before", "soak", "event", "metric", "approval"),
    "Alternative": ("not_before", "soak", "event", "metric"),
    "Exception_": ("approval",),
    "Grow": ("step",),
    "Team": ("members",),
    "Calendar": ("open", "closed"),
    "Server": ("allowed_hosts",),
}
"""Fields in which one thing may stand for a list of it."""

_SHORT = {"event": {"type": "string"}, "approval": {"type": "string"}}
"""Fields in which a name may stand for a mapping."""


def schema() -> dict[str, Any]:
    """The schema of any one document."""
    models = [(model, "validation") for model in [*KINDS.values(), Grow]]
    _, whole = models_json_schema(models, by_alias=True, ref_template="#/$defs/{model}")  # type: ignore[arg-type]
    defs: dict[str, Any] = whole["$defs"]
    for name, definition in defs.items():
        _widened(name, definition)
        definition.setdefault("patternProperties", {})["^x-"] = {}
        _without_defaults(definition)
    contract = defs["Contract"]
    contract["properties"]["constraint"] = {
        "anyOf": [
            {"$ref": "#/$defs/Constraint"},
            {"type": "object", "additionalProperties": {"$ref": "#/$defs/Constraint"}},
        ]
    }
    contract["properties"] |= {"like": {"type": "string"}, "grow": {"$ref": "#/$defs/Grow"}}
    # What is absent may come from `like`; an abstract contract may leave out anything.
    contract["required"] = ["contract"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A Headway document",
        "type": "object",
        "oneOf": [{"$ref": f"#/$defs/{model.__name__}", "required": [kind]} for kind, model in KINDS.items()],
        "$defs": defs,
    }


def schema_text() -> str:
    """The schema as it is checked in."""
    return json.dumps(schema(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _widened(name: str, definition: dict[str, Any]) -> None:
    """Adds the short spellings that `shorthand` takes."""
    properties = definition.get("properties", {})
    for field in _ONE_OR_MORE.get(name, ()):
        several = properties[field]
        one = several.get("items", {})
        forms = [one, several]
        if field in _SHORT:
            forms = [_SHORT[field], one, {**several, "items": {"anyOf": [_SHORT[field], one]}}]
        properties[field] = {"anyOf": forms}


def _without_defaults(definition: Any) -> None:
    """Takes out what no author may write: defaults, which are in our units, and null, which is an empty value."""
    if isinstance(definition, dict):
        definition.pop("default", None)
        if "anyOf" in definition:
            forms = [form for form in definition.pop("anyOf") if form != {"type": "null"}]
            definition |= forms[0] if len(forms) == 1 else {"anyOf": forms}
        for value in definition.values():
            _without_defaults(value)
    elif isinstance(definition, list):
        for value in definition:
            _without_defaults(value)


def main(write: Callable[[str], object] = PATH.write_text) -> None:
    """Writes `schema.json`."""
    write(schema_text())


if __name__ == "__main__":
    main()
