"""What `explain` says of a running contract and of a refusal, as lines for a terminal, a pipe, or Markdown.

Pure: the server's answers in, lines out. Every number stands with its unit and every wait with what would end it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headway.cli.show import amount, bar, duration, instant, limit_words, number


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


def contract_lines(story: Mapping[str, Any], ramp: Sequence[Mapping[str, Any]], *, pictures: bool) -> list[Line]:
    """A running contract: the number, why, since when, by whom; what the next stage waits for; what was not counted.

    Args:
        story: What `/explain` answered.
        ramp: The ladder of stages, from the contract's own page.
        pictures: Draw the ramp; for terminals.
    """
    return [
        *_now(story, ramp, pictures),
        *_next(story["next"], story["now_ms"]),
        *_later(story["later"]),
        *_part("seen and not counted", (_not_counted(one) for one in story["not_counted"])),
        *_part("spends", (_upstream(one) for one in story["upstream"])),
        *_part("demands since the start", (_demands(*item) for item in story["refusals"].items())),
        *_part("drift", (str(one["said"]) for one in story["drift"])),
        *_clock(story["clock"]),
    ]


def refusal_lines(story: Mapping[str, Any]) -> list[Line]:
    """The story of one refusal: what was asked, what stood in the way, what is so now, what would raise the limit."""
    key = f" for the key {story['key']}" if story["key"] is not None else ""
    needed = f"it needed {amount(story['units'], story['unit'])}"
    behind = f"{number(story['use'])} of {number(story['limit'])} were in use"
    now = story["now"]
    return [
        Line(str(story["sentence"]), head=True),
        Line(f"  {story['workload']} asked {story['contract']}{key}, {instant(story['at_ms'])}"),
        Line(f"  {story['meter']} refused, {_word(story['why'])}: {needed}, and {behind}"),
        Line(f"  in force was {_in_stage(story['stage'])}version {story['version']} of the curve"),
        Line(f"  {_retry(story)}"),
        Line(f"now: {_texts(now['limit'])}", head=True),
        Line(f"  stage {now['stage']}: {now['in_words']}, {instant(now['now_ms'])}"),
        *_next(story["raises"], now["now_ms"]),
    ]


def _in_stage(stage: str) -> str:
    return f"stage {stage}, " if stage else ""


def _retry(story: Mapping[str, Any]) -> str:
    """When the same demand would have fitted."""
    if story["retry_at_ms"] is not None:
        later = duration(story["retry_at_ms"] - story["at_ms"])
        return f"it would have fitted {later} later, at {instant(story['retry_at_ms'])}, had nothing else come"
    if story["retry_at_ns"] == "never":
        return "it never fits: nothing that is decided admits as much at once"
    return "when it would fit is not known: it waits for a release or a raise"


def _texts(levels: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {level}" if name else level for name, level in levels.items())


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


def _now(story: Mapping[str, Any], ramp: Sequence[Mapping[str, Any]], pictures: bool) -> Iterator[Line]:
    stage, held, overridden = story["stage"], story["held"], story["overridden"]
    yield Line(f"{story['contract']}: {limit_words(story['limit'])}", head=True)
    place = f"  stage {stage['name']}, {stage['index'] + 1} of {stage['of']}, {story['status']}"
    picture = bar([float(sum(one["limit_micro"].values())) for one in ramp], stage["index"]) if pictures else ""
    yield Line(f"{place}  {picture}".rstrip())
    yield Line(f"  why: {story['why']}")
    yield Line(
        f"  since {instant(story['since_ms'])}, by {story['by']}, entry {story['evidence']['seq']} of the ledger"
    )
    rests_on = {
        name: one for name, one in story["evidence"].items() if name not in ("seq", "kind", "reason", "conditions")
    }
    if rests_on:
        yield Line(f"  on: {_value('evidence', rests_on)}")
    for condition in story["evidence"].get("conditions", ()):
        yield from _condition(condition, 2)
    for dimension, one in story["limit"].items():
        if one["use"] is not None:
            use = f"{number(one['use'])} used, {number(one['headroom'])} free"
            keys = f", {one['keys']:,} keys live" if one["keys"] is not None else ""
            yield Line(f"  {dimension}: {use}{keys}" if dimension else f"  {use}{keys}")
    if held:
        yield Line(f"  held since {instant(held['since_ms'])} by {held['by']}: {held['reason']}", colour="yellow")
    if overridden:
        until = f"until {instant(overridden['until_ms'])} by {overridden['by']}"
        yield Line(f"  overridden {until}: {overridden['reason']}", colour="yellow")


def _next(ahead: Mapping[str, Any] | None, now_ms: int) -> Iterator[Line]:
    if ahead is None:
        yield Line("no stage is ahead", head=True)
        return
    yield Line(f"next: {ahead['stage']}, {_levels(ahead['limit'])}", head=True)
    yield Line(f"  waits for {ahead['in_words']}")
    yield Line(f"  earliest {_earliest(ahead['earliest_ms'], now_ms)}, expected {_expected(ahead['expected_ms'])}")
    for condition in ahead["conditions"]:
        yield from _condition(condition, 1)


def _earliest(at_ms: int | None, now_ms: int) -> str:
    """Time alone stands in the way until then; afterwards events and people do."""
    if at_ms is None:
        return "never, as this version runs"
    return instant(at_ms) if at_ms > now_ms else "as soon as that is so"


def _expected(at_ms: int | None) -> str:
    return "unknown" if at_ms is None else instant(at_ms)


def _condition(condition: Mapping[str, Any], depth: int) -> Iterator[Line]:
    """One condition on one line: whether it holds and since when, else what it waits for; and what that rests on."""
    met = bool(condition["met"])
    text = f"{'  ' * depth}[{'x' if met else ' '}] {condition['what']}"
    if met and condition["since_ms"] is not None:
        text += f", since {instant(condition['since_ms'])}"
    if not met and condition.get("waits_for") and condition["waits_for"] != condition["what"]:
        text += f": waits for {condition['waits_for']}"
    evidence = _evidence(condition["kind"], condition["evidence"])
    yield Line(f"{text} ({evidence})" if evidence else text, colour="green" if met else None)
    for part in condition.get("any_of") or condition.get("parts") or ():
        for one in part:
            yield from _condition(one, depth + 1)


def _evidence(kind: str, evidence: Mapping[str, Any]) -> str:
    """What a condition rests on, in words; what its own words and its instant say already is left out."""
    if kind == "approval":
        return "; ".join(_approval(given) for given in evidence["given"])
    if kind == "soak":
        # Whole seconds: milliseconds that run cannot be read. `--json` has them.
        earned_ms, for_ms = evidence["earned_ms"], evidence["for_ms"]
        shown_ms = earned_ms if earned_ms >= for_ms else earned_ms - earned_ms % 1_000
        earned = f"{duration(shown_ms)} of {duration(for_ms)} earned"
        skipped = evidence.get("skipped_by")
        return f"{earned}, the rest skipped by {skipped}" if skipped else earned
    return _value("evidence", {name: one for name, one in evidence.items() if name != "at_ms"})


def _approval(given: Mapping[str, Any]) -> str:
    alone = ", single user" if given["single_user"] else ""
    return f"by {given['actor']}, {instant(given['at_ms'])}{alone}"


def _later(stages: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    if stages:
        yield Line("later", head=True)
    for one in stages:
        earliest = "" if one["earliest_ms"] is None else f", earliest {instant(one['earliest_ms'])}"
        yield Line(f"  {one['stage']}, {_levels(one['limit'])}{earliest}: {one['in_words']}")


def _part(head: str, texts: Iterable[str]) -> Iterator[Line]:
    """A part with a head, where there is anything in it."""
    lines = [Line(f"  {text}") for text in texts]
    if lines:
        yield Line(head, head=True)
        yield from lines


def _not_counted(seen: Mapping[str, Any]) -> str:
    return f"{instant(seen['at_ms'])}  {seen['what']}: {seen['why']}"


def _upstream(one: Mapping[str, Any]) -> str:
    spends = _levels(one["spends"])
    retries = f" and {one['retries']} retries" if one["retries"] else ""
    return f"{one['contract']}: {spends} a unit{retries}; it is in {one['stage']} at {_levels(one['limit'])}"


def _demands(workload: str, counts: Mapping[str, Any]) -> str:
    by = ", ".join(f"{reason} {count:,}" for reason, count in counts["by"].items())
    return f"{workload}: {counts['admitted']:,} admitted, {counts['refused']:,} refused" + (f" ({by})" if by else "")


def _clock(clock: Mapping[str, Any]) -> Iterator[Line]:
    if clock["suspect"]:
        yield Line(f"the clock is suspected: {clock['reason']}; raises wait", head=True, colour="yellow")


def _levels(levels: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {number(level)}" if name else number(level) for name, level in levels.items())


def _value(name: str, value: Any) -> str:
    """A value in words: mappings as `name value`, instants and spans by their unit, lists with semicolons."""
    if isinstance(value, Mapping):
        held = [(key, one) for key, one in value.items() if one not in (None, "", [], {})]
        return ", ".join(f"{_word(key)} {_value(key, one)}".strip() for key, one in held)
    if isinstance(value, list):
        return "; ".join(_value(name, one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith("_ms"):
        return instant(value) if value >= _INSTANT_MS else duration(value)
    if isinstance(value, int) and name.endswith("_ppm"):
        return f"{number(value / 10_000)}%"
    if isinstance(value, int) and name.endswith("_micro"):
        return number(value / 1_000_000)
    return number(value) if isinstance(value, int | float) else str(value)


def _word(name: str) -> str:
    """A field's name without its unit, which stands with the value."""
    for unit in ("_ms", "_ppm", "_micro"):
        name = name.removesuffix(unit)
    return name.replace("_", " ")


_INSTANT_MS = 10**11
"""From here on a number of milliseconds is an instant (from 1973), below it a span (of up to three years)."""


def _escaped(text: str) -> str:
    """No text of a contract becomes Markdown of its own."""
    return "".join(f"\\{c}" if c in "\\`*_<>[]#|" else c for c in text)
