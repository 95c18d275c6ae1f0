"""A contract as people tell it: the four questions, and what it answers.

One list of sentences, three renderings. Everything is said from the contract alone; what a running ramp waits for right
now is the engine's to tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headway.contract.model import Alternative, ApprovalNeed, Contract, Measured, Stage, When, Workload
from headway.contract.quantities import Portion, render_decimal, render_duration
from headway.contract.words import amount, limit_in_words, many, number

__all__ = ["Answer", "Story", "explain_contract"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One question, a short name for it, and the sentences that answer it."""

    key: str
    question: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """A contract's answers, in the order of its sections."""

    contract: str
    owner: str
    about: str | None
    answers: tuple[Answer, ...]

    def as_text(self) -> str:
        """For a terminal."""
        head = f"{self.contract}, owned by {self.owner}"
        lines = [head if self.about is None else f"{head}\n{self.about}"]
        lines += ["\n  - ".join([answer.question, *answer.sentences]) for answer in self.answers]
        return "\n\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """For programs: questions by their short names."""
        return {
            "contract": self.contract,
            "owner": self.owner,
            "about": self.about,
            "answers": {
                answer.key: {"question": answer.question, "answer": list(answer.sentences)} for answer in self.answers
            },
        }

    def as_markdown(self) -> str:
        """For a page or a pull request."""
        lines = [f"## {_escaped(self.contract)}", f"Owned by {_escaped(self.owner)}."]
        if self.about is not None:
            lines.append(_escaped(self.about))
        for answer in self.answers:
            sentences = "\n".join(f"- {_escaped(sentence)}" for sentence in answer.sentences)
            lines.append(f"### {answer.question}\n\n{sentences}")
        return "\n\n".join(lines) + "\n"


def explain_contract(contract: Contract) -> Story:
    """The story of one contract."""
    answers = (
        Answer("constraint", "What is the current constraint, in numbers?", tuple(_constraint(contract))),
        Answer("workloads", "What workloads or features stress it?", tuple(_workloads(contract))),
        Answer("upstream", "Whose capacity does this spend?", tuple(_upstream(contract))),
        Answer("ramp", "How will capacity increase, and what triggers each stage?", tuple(_ramp(contract))),
        Answer("guards", "What takes it back?", tuple(_guards(contract))),
    )
    return Story(contract.name, contract.owner, contract.about, answers)


def _escaped(text: str) -> str:
    """Text that Markdown and HTML leave alone."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}" if mark not in "<>" else {"<": "&lt;", ">": "&gt;"}[mark])
    return text


def _limits(contract: Contract, levels: Mapping[str, int]) -> str:
    """The limit of every dimension in words."""
    parts = []
    for dimension, micro in levels.items():
        words = limit_in_words(contract.constraint[dimension], micro)
        parts.append(f"{words} ({dimension})" if dimension else words)
    return _and(parts)


def _and(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def _constraint(contract: Contract) -> Iterator[str]:
    now = contract.ramp[0]
    who = f"for each {contract.each.key}" if contract.each else "shared by all"
    yield f"The initial limit is {_limits(contract, now.limit_micro)}, {who}."
    if contract.each is not None:
        yield f"At most {contract.each.count:,} different {many(contract.each.key)} are counted at a time."
        for key, factor in contract.each.scale_ppm.items():
            yield f"For {key} the limit is {render_decimal(factor)} times as high."
        if contract.each.total_micro is not None:
            yield f"Over all of them it is {_limits(contract, contract.each.total_micro)}."
    for dimension, constraint in contract.constraint.items():
        what = f" ({dimension})" if dimension else ""
        if constraint.capacity_micro is not None:
            known = f"The thing itself is known to hold {amount(constraint.capacity_micro, constraint.unit)}{what}"
            since = constraint.evidence.on if constraint.evidence else None
            yield f"{known}, measured on {since.date}." if since else f"{known}."
        if constraint.measure == "quota":
            zone = constraint.zone or contract.zone
            yield f"What is used is counted by the calendar {constraint.per} in {zone}{what}."
        if constraint.burst_ms is not None:
            yield f"At once, at most what falls due in {render_duration(constraint.burst_ms)} goes through{what}."
        if constraint.oversubscribe_ppm > 1_000_000:
            ratio = render_decimal(constraint.oversubscribe_ppm)
            yield f"It is promised {ratio} times over{what}, because: {constraint.because}."
    mode = {
        "observe": "It is only observed: nothing is refused.",
        "record": "It is only recorded: it is enforced elsewhere.",
    }
    if contract.enforce.mode in mode:
        yield mode[contract.enforce.mode]


def _workloads(contract: Contract) -> Iterator[str]:
    if not contract.workloads:
        yield "Nobody directly: other contracts spend it."
    for name, workload in contract.workloads.items():
        yield f"{'other, everybody else' if name == 'other' else name}{_about_workload(workload)}."


def _about_workload(workload: Workload) -> str:
    words = []
    if workload.match is not None:
        patterns = (f"{name} is {' or '.join(wanted)}" for name, wanted in workload.match.items())
        words.append(f"whose {_and(list(patterns))}")
    if workload.feature is not None:
        words.append(f"for the feature {workload.feature}")
    if workload.priority is not None:
        words.append(f"{workload.priority} priority")
    if workload.guarantee is not None:
        words.append(f"guaranteed {_portions(workload.guarantee)}")
    if workload.ceiling is not None:
        words.append(f"at most {_portions(workload.ceiling)}")
    if workload.cost_ppm != 1_000_000:
        words.append(f"each demand counts {render_decimal(workload.cost_ppm)}")
    return f": {', '.join(words)}" if words else ""


def _portions(portions: Mapping[str, Portion]) -> str:
    return _and([f"{part} of {dimension}" if dimension else str(part) for dimension, part in portions.items()])


def _upstream(contract: Contract) -> Iterator[str]:
    if not contract.upstream:
        yield "Nobody's: it stands for itself."
    for spend in contract.upstream:
        weights = [
            render_decimal(factor) + (f" for each of {dimension}" if dimension else " for each unit of this")
            for dimension, factor in spend.spends_ppm.items()
        ]
        retries = (
            f", counted with {spend.retries} {'retry' if spend.retries == 1 else 'retries'}" if spend.retries else ""
        )
        yield f"{spend.contract}: {_and(weights)}{retries}."


def _ramp(contract: Contract) -> Iterator[str]:
    for index, stage in enumerate(contract.ramp):
        yield _stage(contract, index, stage)
    if contract.raise_in is not None:
        yield f"Raises happen only within {contract.raise_in}; cuts never wait."
    for exception in contract.exceptions:
        limit = _limits(contract, exception.limit_micro)
        ask = f", once {_approvals(exception.approval)}" if exception.approval else ""
        yield f"From {exception.during.start} to {exception.during.end}: {limit}{ask} ({exception.reason})."


def _stage(contract: Contract, index: int, stage: Stage) -> str:
    limit = _limits(contract, stage.limit_micro)
    if index == 0:
        return f"{stage.name}: {limit}, from the beginning."
    last = ", the target" if index == len(contract.ramp) - 1 and stage.name != "target" else ""
    climb = f", climbing over {render_duration(stage.climb_ms)}" if stage.climb_ms else ""
    promised = f" Promised for {stage.promised.date}." if stage.promised is not None else ""
    return f"{stage.name}{last}: {limit}{climb}, when {_when(stage.when)}.{promised}"


def _when(when: When | None) -> str:
    if when is None:
        return "nothing stands in the way"
    parts = _conditions(when)
    for name, wanted in when.requires.items():
        if isinstance(wanted, str):
            parts.append(f"{name} has arrived at its stage {wanted}")
        else:
            levels = [number(level) + (f" ({dim})" if dim else "") for dim, level in wanted.items()]
            parts.append(f"{name} has arrived at {_and(levels)} or more")
    if when.approval:
        parts.append(_approvals(when.approval))
    if when.any:
        parts.append("one of these: " + "; or ".join(_and(_conditions(one)) for one in when.any))
    return _and(parts)


def _conditions(group: Alternative) -> list[str]:
    parts = [f"it is {instant} or later" for instant in group.not_before]
    for soak in group.soak:
        share = f" above {render_decimal(soak.above_ppm * 100)}% of it" if soak.above_ppm else ""
        parts.append(f"the limit before has been used{share} for {render_duration(soak.for_ms)} in all")
    for event in group.event:
        source = f" from {event.source}" if event.source else ""
        parts.append(f"the event {event.type}{source} has come")
    parts += [_measured(metric) for metric in group.metric]
    return parts


def _measured(metric: Measured) -> str:
    bounds = [f"above {metric.above}"] if metric.above is not None else []
    bounds += [f"below {metric.below}"] if metric.below is not None else []
    relative = " compared with the stage before" if metric.relative else ""
    lasting = f" for {render_duration(metric.for_ms)}" if metric.for_ms else ""
    return f"{metric.query} is {' and '.join(bounds)}{relative}{lasting}"


def _approvals(needs: tuple[ApprovalNeed, ...]) -> str:
    return _and([f"{need.by} has approved" + (f" ({need.need} people)" if need.need > 1 else "") for need in needs])


def _parts(contract: Contract) -> Iterator[str]:
    gates = contract.enforce.gates
    if gates is not None:
        whose = f"the first {gates['max']} gates" if isinstance(gates, dict) else _and(list(gates))
        yield f"That much is set aside for {whose}, a part each, which goes on when nothing is heard of the server."


def _guards(contract: Contract) -> Iterator[str]:
    for name, guard in contract.guards.items():
        then = {"hold": "holds", "step_back": "steps back a stage", "floor": "falls to its floor"}[guard.then]
        times = f"{guard.breach[0]} of the last {guard.breach[1]} measurements"
        yield f"{name}: it must stay true that {_measured(guard.keep)}; when {times} fail, the ramp {then}."
    if contract.enforce.floor_micro is not None:
        yield f"It never falls below {_limits(contract, contract.enforce.floor_micro)}."
        yield from _parts(contract)
    if not contract.guards:
        yield "Only a person: no guard watches it."
