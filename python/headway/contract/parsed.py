"""How a parsed value becomes a pydantic field: a function of text on the way in, `str` on the way out.

A `Mistake` raised by the function becomes a pydantic error whose type is our code; `read` turns that into a finding at
its place. Values that are already of the field's type pass through, so that models can be built in code.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pydantic import ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from headway.contract.mistake import TEXT_MAX, Mistake

__all__ = ["authored", "parsed_schema", "refused", "zone_in"]


def refused(mistake: Mistake) -> PydanticCustomError:
    """The pydantic error of a mistake; `read` unpacks it."""
    context = {"problem": mistake.problem, "mend": mistake.mend or "", "because": mistake.because or ""}
    code: Any = mistake.code  # ours, where pydantic wants a literal
    return PydanticCustomError(code, "{problem}", context)


def authored(value: object) -> str:
    """What an author wrote as a scalar; a number given in code counts as written. Raises Mistake on anything else."""
    if isinstance(value, str):
        if not value or value.isspace():
            raise Mistake("HW128", "nothing stands here")
        if len(value) > TEXT_MAX:
            raise Mistake("HW162", f"this value has {len(value)} characters")
        return value
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        raise Mistake("HW128", "nothing stands here")
    if isinstance(value, dict):
        raise Mistake("HW125", "a mapping stands where a single value is meant")
    raise Mistake("HW127", "a list stands where a single value is meant")


def zone_in(info: ValidationInfo) -> str:
    """The zone that bare dates of this document are in: the contract's, from the validation's context."""
    return str(info.context["zone"]) if info.context and "zone" in info.context else "UTC"


def parsed_schema(kind: type, parse: Callable[[str, str], Any], example: str, *, number: bool = False) -> CoreSchema:
    """The schema of a class whose values are parsed from text by `parse(text, zone)` and written by `str`.

    `number`: an editor may see a bare number there.
    """

    def validate(value: object, info: ValidationInfo) -> Any:
        if isinstance(value, kind):
            return value
        try:
            return parse(authored(value), zone_in(info))
        except Mistake as mistake:
            raise refused(mistake) from None

    described: dict[str, Any] = {"type": ["string", "number"] if number else "string", "examples": [example]}
    return core_schema.with_info_plain_validator_function(
        validate,
        serialization=core_schema.to_string_ser_schema(when_used="always"),
        metadata={"pydantic_js_functions": [lambda _schema, _handler: described]},
    )
