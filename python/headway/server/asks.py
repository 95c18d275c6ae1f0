"""What a caller may ask for: the bodies of the verbs, each with the fields its verb has and no others."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

REASON_MOST = 500
"""Characters of a reason; it is kept in the ledger."""


def _one_line(text: str) -> str:
    # A reason is shown on terminals for as long as the ledger lasts: no escape and no second line may stand in it.
    if not text.isprintable():
        raise ValueError("it is not one line of printable characters")
    return text


Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=REASON_MOST),
    AfterValidator(_one_line),
]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8,64}$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Number = (
    Annotated[str, StringConstraints(max_length=40)]
    | Annotated[int, Field(strict=True, ge=0, le=2**53)]
    | Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
)
Dimension = Annotated[str, StringConstraints(max_length=100)]
"""Empty for a contract of one dimension."""

Verb = Literal["hold", "resume", "advance", "step-back", "abort", "retire"]
"""The verbs that ask for a reason alone, spelled as their command is."""


class Ask(BaseModel):
    """What every verb takes. `expect`: the contract's digest as the caller knows it; another one is HW428."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason
    expect: Digest | None = None


class Plain(Ask):
    """hold, resume, advance, step-back, abort, retire."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "load test until noon"}]})


class Approve(Ask):
    """A yes for one stage. `terms`: the terms digest that was read; without it, the present one's."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "replica checked", "stage": "replica", "group": "dba"}]}
    )

    stage: Word
    group: Word
    terms: Digest | None = None


class Override(Ask):
    """Another limit for a while. `value`: a number, or one for each dimension; `until`: an instant with a zone, or a
    duration from now.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "partner maintenance", "value": 40, "until": "2h"}]}
    )

    value: Number | Annotated[dict[Dimension, Number], Field(min_length=1, max_length=64)]
    until: Annotated[str, StringConstraints(min_length=1, max_length=100)]


class ClockYes(BaseModel):
    """A person's word that the clock is right again."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "ntp is back"}]})

    reason: Reason
