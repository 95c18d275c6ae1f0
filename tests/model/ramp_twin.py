"""The slow twin of one ramp's triggers: everything that was ever seen, looked through again at every question.

It shares no code with the machine. It is told what the machine decided (stages entered and left, verbs accepted), keeps
the whole history, and answers from that alone whether the next stage's trigger holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from headway.contract.model import Alternative, ApprovalNeed, Contract, EventMatch
from headway.ramp.observations import Approval, EventSeen, Standing, Use


@dataclass
class RampTwin:
    """History first, answers second.

    Attributes:
        entered: (instant, stage) of every change of stage, in order.
        loads: Spans of use that count since the stage was entered: (from, to, use).
        lost: Soak lost by crashes since the stage was entered, by index.
    """

    contract: Contract
    start_ms: int
    applied_by: str
    terms: str
    stage: int = 0
    entered: list[tuple[int, int]] = field(default_factory=list)
    events: list[EventSeen] = field(default_factory=list)
    approvals: list[tuple[int, Approval]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    loads: list[tuple[int, int, int]] = field(default_factory=list)
    lost: dict[int, int] = field(default_factory=dict)
    advanced: bool = False

    @property
    def since_ms(self) -> int:
        """When the present stage was last entered."""
        return self.entered[-1][0] if self.entered else self.start_ms

    def changes_stage(self, now_ms: int, stage: int) -> None:
        self.entered.append((now_ms, stage))
        self.stage, self.loads, self.lost, self.advanced = stage, [], {}, False

    def wants_approvals_again(self, stages: list[str]) -> None:
        self.approvals = [(at_ms, one) for at_ms, one in self.approvals if one.stage not in stages]
        self.used -= set(stages)

    def sees_use(self, now_ms: int, use: Use) -> None:
        """Use that counts: read, in this stage, not in the future."""
        if use.use_ppm is not None:
            from_ms, to_ms = max(use.from_ms, self.since_ms), min(use.at_ms, now_ms)
            if to_ms > from_ms:
                self.loads.append((from_ms, to_ms, use.use_ppm))

    def earned_ms(self, above_ppm: int, for_ms: int, index: int) -> int:
        total = sum(to_ms - from_ms for from_ms, to_ms, use in self.loads if use > above_ppm)
        return min(total - self.lost.get(index, 0), for_ms)

    def trigger_holds(self, now_ms: int, standings: dict[str, Standing]) -> bool:
        """Whether all that the next stage waits for holds."""
        when = self.contract.ramp[self.stage + 1].when
        assert when is not None
        index = len(when.soak)
        options = []
        for alternative in when.any:
            options.append(self._alternative_holds(alternative, index, now_ms))
            index += len(alternative.soak)
        return (
            self._alternative_holds(when, 0, now_ms)
            and (not options or any(options))
            and all(self._stands(wanted, standings.get(name)) for name, wanted in when.requires.items())
            and all(self._approved(need, now_ms) for need in when.approval)
        )

    def _alternative_holds(self, when: Alternative, index: int, now_ms: int) -> bool:
        soaks = enumerate(when.soak, index)
        return (
            all(now_ms >= date.utc_ms for date in when.not_before)
            and all(self._happened(match) for match in when.event)
            and all(
                self.advanced or self.earned_ms(soak.above_ppm, soak.for_ms, place) >= soak.for_ms
                for place, soak in soaks
            )
            and not when.metric
        )

    def _happened(self, match: EventMatch) -> bool:
        return any(
            event.type == match.type
            and match.source in (None, event.source)
            and (match.not_after is None or event.at_ms <= match.not_after.utc_ms)
            and (not match.again or event.at_ms > self.since_ms)
            for event in self.events
        )

    def _approved(self, need: ApprovalNeed, now_ms: int) -> bool:
        stage = self.contract.ramp[self.stage + 1].name
        people = {
            one.actor
            for at_ms, one in self.approvals
            if one.stage == stage
            and one.group == need.by
            and one.terms_digest == self.terms
            and one.actor != self.applied_by
            and (stage in self.used or now_ms - at_ms < need.expires_ms)
        }
        return len(people) >= need.need

    @staticmethod
    def _stands(wanted: str | dict[str, int], standing: Standing | None) -> bool:
        if standing is None or standing.over:
            return False
        if isinstance(wanted, dict):
            return all(standing.level_micro[dimension] >= level for dimension, level in wanted.items())
        if standing.pressed or wanted not in standing.names[: standing.index + 1]:
            return False
        return standing.arrived or standing.names[standing.index] != wanted
