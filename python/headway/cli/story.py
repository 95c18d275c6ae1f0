"""What `explain` says of a running contract and of a refusal, as lines for a terminal, a pipe, or Markdown.

Pure: the server's answers in, lines out. Every number stands with its unit and every wait with what would end it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headway.cli.show import bar, instant, limit_words, number


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `head` begins a part. Colours are for terminals."""

    text: str
    head: bool = False
    colour: str | None = None

    @property
    def bold(self) -> bool:
        """Heads stand out."""
        return self.head


def contract_lines(story: Mapping[str, Any], page: Mapping[str, Any], *, pictures: bool) -> list[Line]:
    """A running contract: the number, why, since when, by whom; what the next stage waits for; what was not counted.

    Args:
        story: What `/explain` answered.
        page: What the contract's own page answered, for its row and the ladder of stages.
        pictures: Draw the ramp; for terminals.
    """
    return [
        *_now(story, page, pictures),
        *_next(story.get("next")),
        *_not_counted(story.get("not_counted") or ()),
        *_beside(story),
    ]


def refusal_lines(story: Mapping[str, Any]) -> list[Line]:
    """The story of one refusal, each fact in words."""
    lines = [Line(str(story.get("said") or story.get("ref") or "refusal"), head=True)]
    for name, value in story.items():
        if name not in ("said", "ref") and value not in (None, "", [], {}):
            lines.append(Line(f"  {name.removesuffix('_ms').replace('_', ' ')}: {_value(name, value)}"))
    return lines


def markdown_of(lines: Iterable[Line]) -> str:
    """The same lines as Markdown: heads as headings, the rest as a list, nested as it was indented."""
    out: list[str] = []
    for line in lines:
        if line.head:
            out += ["", f"## {_escaped(line.text)}", ""]
        else:
            depth = max(0, (len(line.text) - len(line.text.lstrip())) // 2 - 1)
            out.append(f"{'  ' * depth}- {_escaped(line.text.strip())}")
    return "\n".join(out).strip()


def _now(story: Mapping[str, Any], page: Mapping[str, Any], pictures: bool) -> Iterator[Line]:
    stage = page["stage"]
    yield Line(f"{page['contract']}: {limit_words(page['limit'])}", head=True)
    place = f"  stage {stage['name']}, {stage['index'] + 1} of {stage['of']}, {page['status']}"
    levels = [float(sum(one["limit_micro"].values())) for one in page["ramp"]]
    yield Line(f"{place}  {bar(levels, stage['index'])}".rstrip() if pictures else place)
    if story.get("why"):
        yield Line(f"  why: {story['why']}")
    if story.get("since_ms") is not None:
        yield Line(f"  since {instant(story['since_ms'])}, by {story.get('by') or 'headway'}")
    if story.get("evidence"):
        yield Line(f"  on: {_value('evidence', story['evidence'])}")
    for dimension, one in (story.get("limit") or {}).items():
        if one.get("use") is not None:
            use = f"{number(one['use'])} used, {number(one['headroom'])} free"
            yield Line(f"  {dimension}: {use}" if dimension else f"  {use}")
    for name in ("held", "overridden"):
        if page.get(name):
            yield Line(f"  {name}: {_value(name, page[name])}", colour="yellow")


def _next(ahead: Mapping[str, Any] | None) -> Iterator[Line]:
    if not ahead:
        yield Line("no stage is ahead", head=True)
        return
    yield Line(f"next: {ahead['stage']}", head=True)
    if ahead.get("in_words"):
        yield Line(f"  waits for {ahead['in_words']}")
    earliest, expected = ahead.get("earliest_ms"), ahead.get("expected_ms")
    yield Line(f"  earliest {_when(earliest, 'unknown')}, expected {_when(expected, 'unknown')}")
    for condition in ahead.get("conditions") or ():
        yield from _condition(condition, 1)


def _condition(condition: Mapping[str, Any], depth: int) -> Iterator[Line]:
    met = bool(condition["met"])
    text = f"{'  ' * depth}[{'x' if met else ' '}] {condition['what']}"
    if met and condition.get("since_ms") is not None:
        text += f", since {instant(condition['since_ms'])}"
    if not met and condition.get("waits_for") and condition["waits_for"] != condition["what"]:
        text += f": waits for {condition['waits_for']}"
    if condition.get("evidence"):
        text += f" ({_value('evidence', condition['evidence'])})"
    yield Line(text, colour="green" if met else None)
    for part in condition.get("parts") or ():
        for one in part:
            yield from _condition(one, depth + 1)


def _not_counted(seen: Iterable[Mapping[str, Any]]) -> Iterator[Line]:
    lines = [Line(f"  {instant(one.get('at_ms'))}  {one.get('what')}: {one.get('why')}") for one in seen]
    if lines:
        yield Line("seen and not counted", head=True)
        yield from lines


def _beside(story: Mapping[str, Any]) -> Iterator[Line]:
    for name in ("upstream", "refusals", "drift"):
        held = story.get(name)
        if held:
            yield Line(name, head=True)
            for one in held.items() if isinstance(held, Mapping) else held:
                text = f"{one[0]}: {_value(name, one[1])}" if isinstance(one, tuple) else _value(name, one)
                yield Line(f"  {text}")
    clock = story.get("clock") or {}
    if clock.get("suspect"):
        yield Line(f"the clock is suspected: {clock.get('reason')}; raises wait", head=True, colour="yellow")


def _value(name: str, value: Any) -> str:
    """A value in words: mappings as `name value`, instants as instants, lists with commas."""
    if isinstance(value, Mapping):
        if isinstance(value.get("said"), str):
            return str(value["said"])
        held = [(key, one) for key, one in value.items() if one not in (None, "", [], {})]
        return ", ".join(f"{key.removesuffix('_ms').replace('_', ' ')} {_value(key, one)}".strip() for key, one in held)
    if isinstance(value, list):
        return "; ".join(_value(name, one) for one in value)
    if name.endswith("_ms") and isinstance(value, int) and value > 10**11:
        return instant(value)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return number(value) if isinstance(value, int | float) else str(value)


def _when(ms: int | None, otherwise: str) -> str:
    return otherwise if ms is None else instant(ms)


def _escaped(text: str) -> str:
    """No text of a contract becomes Markdown of its own."""
    return "".join(f"\\{c}" if c in "\\`*_<>[]#|" else c for c in text)
