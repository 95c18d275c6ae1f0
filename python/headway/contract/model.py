"""The documents as the rest of Headway sees them: frozen, typed, every number an integer with its unit in the name.

One set of classes serves the author's text and the canonical form alike: the validators of `scalars` turn `24h`, `60%`
or `2026-12-01T09:00 America/New_York` into integers and instants on the way in, the serializers write them back in one
normal spelling. Shorthands (`approval: dba`) are widened by `shorthand`; `like` and growth laws are resolved before a
`Contract` is built, so a `Contract` always shows its whole ladder of stages.

A contract of one dimension carries it under the empty name: `constraint[""]`, `limit_micro[""]`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    WrapSerializer,
)

from headway.contract import shorthand
from headway.contract.matching import Match
from headway.contract.scalars import (
    Address,
    Amount,
    Amounts,
    Day,
    Dimension,
    Duration,
    Expect,
    Factor,
    Factors,
    Flag,
    Gates,
    Hash,
    Hours,
    Instant,
    Interval,
    Label,
    Link,
    Name,
    Per,
    Plain,
    Portion,
    Portions,
    Requirement,
    Secret,
    Share,
    Span,
    StageName,
    StoreUrl,
    Text,
    Threshold,
    Url,
    Words,
    Zone,
    narrowed,
    whole,
)

Measure = Literal["rate", "concurrency", "quota"]
Window = Literal["hour", "day", "week", "month"]
Priority = Literal["background", "normal", "critical"]
Mode = Literal["observe", "enforce", "record"]


class Frozen(BaseModel):
    """What every part of a document has: no unknown fields, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)


# --- constraint ---------------------------------------------------------------------------------------------------


class Evidence(Frozen):
    link: Link | None = None
    on: Day | None = None


class CostBounds(Frozen):
    """What may be reserved where the cost is not known (`estimate`) and settled at (`max`), in micro-units."""

    estimate_micro: Amount = Field(alias="estimate")
    max_micro: Amount = Field(alias="max")


class Constraint(Frozen):
    """What is bounded, and how it is measured. `per` is milliseconds for a rate, a calendar window for a quota."""

    measure: Measure
    unit: Text = "unit"
    per: Per | None = None
    burst_ms: Span | None = Field(default=None, alias="burst")
    after_crash: Literal["empty", "full"] = "empty"
    max_hold_ms: Span = Field(default=60_000, alias="max_hold")
    zone: Zone | None = None
    capacity_micro: Amount | None = Field(default=None, alias="capacity")
    evidence: Evidence | None = None
    oversubscribe_ppm: Factor = Field(default=1_000_000, alias="oversubscribe")
    because: Text | None = None
    cost: CostBounds | None = None


def _narrowed_constraint(value: dict[str, Constraint], write: SerializerFunctionWrapHandler) -> Any:
    """One dimension is written without its empty name."""
    return narrowed(write(value))


# --- who stresses it, whose capacity it spends --------------------------------------------------------------------


class Workload(Frozen):
    match: Match | None = None
    feature: Name | None = None
    cost_ppm: Factor = Field(default=1_000_000, alias="cost")
    priority: Priority | None = None
    weight: Annotated[int, whole(1, 1_000_000)] | None = None
    guarantee: Portions | None = None
    ceiling: Portions | None = None

    def guaranteed(self, dimension: str) -> Portion | None:
        """What it is guaranteed of one dimension. A share without a dimension's name is that of each."""
        return _portion(self.guarantee, dimension)

    def at_most(self, dimension: str) -> Portion | None:
        """What it may have of one dimension."""
        return _portion(self.ceiling, dimension)


def _portion(portions: dict[str, Portion] | None, dimension: str) -> Portion | None:
    portions = portions or {}
    if dimension in portions:
        return portions[dimension]
    of_each = portions.get("")
    return of_each if of_each is not None and of_each.share_ppm is not None else None


OTHER = "other"
"""The workload that takes the rest."""


def _with_the_rest(workloads: dict[str, Workload]) -> dict[str, Workload]:
    """Whoever no `match` takes is somebody too: where there is one, `other` need not be written."""
    matched = any(workload.match is not None for workload in workloads.values())
    return {**workloads, OTHER: Workload()} if matched and OTHER not in workloads else workloads


class Spend(Frozen):
    """Units of the upstream that one unit of this contract spends (per dimension of this contract)."""

    contract: Name
    spends_ppm: Factors = Field(alias="spends")
    retries: Annotated[int, whole(0, 100)] = 0


class Each(Frozen):
    """The limit holds for every key: at most `count` live ones; `scale` multiplies named keys', `total` is over all."""

    key: Name
    count: Annotated[int, whole(1, 100_000_000)]
    scale_ppm: dict[Text, Factor] = Field(default_factory=dict, alias="scale")
    total_micro: Amounts | None = Field(default=None, alias="total")


# --- conditions: they always state health -------------------------------------------------------------------------


class Soak(Frozen):
    """Total time with use above a share of the limit."""

    for_ms: Span = Field(alias="for")
    above_ppm: Share = Field(default=0, alias="above")


class EventMatch(Frozen):
    type: Text
    source: Text | None = None
    not_after: Instant | None = None
    expect: Expect | None = None
    again: Flag = False


class Measured(Frozen):
    """A reading that must be healthy: strictly `below` or `above`; `relative: previous`: to the stage before."""

    query: Text
    source: Name | None = Field(default=None, alias="from")
    below: Threshold | None = None
    above: Threshold | None = None
    relative: Literal["previous"] | None = None
    for_ms: Duration = Field(default=0, alias="for")
    every_ms: Span = Field(default=15_000, alias="every")


class ApprovalNeed(Frozen):
    by: Name
    need: Annotated[int, whole(1, 100)] = 1
    expires_ms: Span = Field(default=604_800_000, alias="expires")
    expect: Expect | None = None


class Alternative(Frozen):
    """One of `any`: never `requires` or `approval`, which stand at the top."""

    not_before: Annotated[tuple[Instant, ...], BeforeValidator(shorthand.as_list)] = ()
    soak: Annotated[tuple[Soak, ...], BeforeValidator(shorthand.as_list)] = ()
    event: Annotated[tuple[EventMatch, ...], BeforeValidator(shorthand.events)] = ()
    metric: Annotated[tuple[Measured, ...], BeforeValidator(shorthand.as_list)] = ()


class When(Alternative):
    """All of these. `requires` maps a contract to a stage's name, or to its levels by dimension (micro-units)."""

    requires: dict[Name, Requirement] = Field(default_factory=dict)
    approval: Annotated[tuple[ApprovalNeed, ...], BeforeValidator(shorthand.approvals)] = ()
    any: tuple[Alternative, ...] = ()


# --- the ramp -----------------------------------------------------------------------------------------------------


class Stage(Frozen):
    """A limit, and what must be true to enter it. `climb_ms` 0 is a step."""

    name: StageName = Field(alias="stage")
    limit_micro: Amounts = Field(alias="limit")
    climb_ms: Duration = Field(default=0, alias="climb")
    when: When | None = None
    promised: Day | None = None
    was: StageName | None = None
    capacity_micro: Amounts | None = Field(default=None, alias="capacity")


class Guard(Frozen):
    keep: Measured
    breach: Annotated[
        tuple[int, int],
        PlainValidator(shorthand.breach),
        PlainSerializer(lambda pair: f"{pair[0]} of {pair[1]}"),
        WithJsonSchema({"type": "string", "pattern": "^[0-9]+ of [0-9]+$", "examples": ["3 of 5"]}),
    ] = (3, 5)
    then: Literal["hold", "step_back", "floor"] = "hold"
    grace_ms: Duration = Field(default=900_000, alias="grace")
    budget: Annotated[int, whole(0, 1000)] = 2


class Exception_(Frozen):  # noqa: N801 - the glossary's word, which Python has taken
    """A planned, self-ending change of the limit; below the stage's, or above with an approval."""

    during: Interval
    limit_micro: Amounts = Field(alias="limit")
    reason: Text
    approval: Annotated[tuple[ApprovalNeed, ...], BeforeValidator(shorthand.approvals)] = ()
    capacity_micro: Amounts | None = Field(default=None, alias="capacity")


# --- enforcement --------------------------------------------------------------------------------------------------


class Descriptor(Frozen):
    """The descriptor of an Envoy rate-limit request that meets a contract: the same domain, the same entries in any order.

    Where `each` stands for a value, that entry's value is the key. `post_paid`: hits are charged after the fact, into debt, and
    a probe asks before. `refundable`: hits may be given back.
    """

    domain: Text
    descriptor: dict[Text, Text]
    post_paid: Flag = False
    refundable: Flag = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The entries whose value is the key."""
        return tuple(entry for entry, value in self.descriptor.items() if value == "each")


class Bucket(Frozen):
    """The bucket of Envoy's quota service that a contract's rate is divided for: the same domain, the same entries of its
    id, in any order."""

    domain: Text
    bucket: dict[Text, Text]


class Bind(Frozen):
    """Where traffic meets a contract: exactly one of these."""

    rls: Descriptor | None = None
    rlqs: Bucket | None = None
    postgres: Plain | None = None
    http: Plain | None = None

    @property
    def kind(self) -> str:
        """Which one."""
        return next(iter(self.model_fields_set), "")


class Enforce(Frozen):
    mode: Mode = "enforce"
    drain_within_ms: Duration = Field(default=5_000, alias="drain_within")
    recall: Literal["wait", "ask", "idle", "end"] | None = None
    wait_ms: Duration = Field(default=0, alias="wait")
    bind: tuple[Bind, ...] = ()
    floor_micro: Amounts | None = Field(default=None, alias="floor")
    gates: Gates | None = None
    when_cut_off: Literal["floor", "deny", "open"] | None = None
    tell: Literal["full", "public"] | None = None


class Contract(Frozen):
    """The whole agreement, expanded: `like` and `grow` are resolved, dimensions are maps, shorthands are widened."""

    name: Name = Field(alias="contract")
    owner: Name
    about: Text | None = None
    labels: dict[Text, Label] = Field(default_factory=dict)
    links: dict[Text, Link] = Field(default_factory=dict)
    zone: Zone = "UTC"
    abstract: Flag = False
    constraint: Annotated[
        dict[Dimension, Constraint], BeforeValidator(shorthand.dimensions), WrapSerializer(_narrowed_constraint)
    ]
    workloads: Annotated[dict[Name, Workload], AfterValidator(_with_the_rest)] = Field(default_factory=dict)
    upstream: tuple[Spend, ...] = ()
    each: Each | None = None
    ramp: tuple[Stage, ...]
    guards: dict[Name, Guard] = Field(default_factory=dict)
    raise_in: Name | None = None
    exceptions: tuple[Exception_, ...] = ()
    enforce: Enforce = Enforce()
    locked: Day | None = None
    trial_ms: Span | None = Field(default=None, alias="trial")

    def meter(self, dimension: str) -> str:
        """The name of a dimension's meter: the contract's own where there is one, else `contract.dimension`."""
        return f"{self.name}.{dimension}" if dimension else self.name

    def highest_micro(self, dimension: str) -> int:
        """The highest level that the document declares: of its stages, its exceptions, its capacity."""
        levels = [stage.limit_micro[dimension] for stage in self.ramp]
        levels += [exception.limit_micro[dimension] for exception in self.exceptions]
        return max([*levels, self.constraint[dimension].capacity_micro or 0])

    @property
    def attributes(self) -> tuple[str, ...]:
        """What the matches of its workloads look at, sorted."""
        matches = (workload.match or {} for workload in self.workloads.values())
        return tuple(sorted({name for match in matches for name in match}))

    def stage_index(self, name: str) -> int | None:
        """Where a stage stands on the ramp, or None."""
        return next((i for i, stage in enumerate(self.ramp) if stage.name == name), None)


# --- the other documents ------------------------------------------------------------------------------------------


class Prometheus(Frozen):
    url: Url
    token: Secret | None = Field(default=None, repr=False)
    max_age_ms: Span = Field(default=30_000, alias="max_age")


class Source(Frozen):
    name: Name = Field(alias="source")
    prometheus: Prometheus | None = None


class Team(Frozen):
    name: Name = Field(alias="team")
    members: Words = ()
    tell: tuple[Plain, ...] = ()
    escalate: Text | None = None


class Calendar(Frozen):
    """Open hours for raises. `open`/`closed` are kept as authored; `calendars` turns them into instants."""

    name: Name = Field(alias="calendar")
    zone: Zone = "UTC"
    open: Hours = ()
    closed: Hours = ()


class Token(Frozen):
    """A credential by its SHA-256, with what it may do."""

    name: Name
    hash: Hash = Field(repr=False)
    roles: tuple[Literal["viewer", "operator", "approver", "gate"], ...]
    groups: tuple[Name, ...] = ()


class Server(Frozen):
    name: Name = Field(alias="server")
    listen: Address = "127.0.0.1:7700"
    store: StoreUrl | None = None
    tokens: tuple[Token, ...] = ()
    oidc: Plain | None = None
    tls: Plain | None = None
    allowed_hosts: Words = ()
    signers: tuple[Plain, ...] = ()


class RolloutStep(Frozen):
    share_ppm: Share = Field(alias="share")
    requires: dict[Name, Requirement] = Field(default_factory=dict)
    when: When | None = None
    promised: Day | None = None


class Rollout(Frozen):
    name: Name = Field(alias="rollout")
    owner: Name
    about: Text | None = None
    demand_micro: dict[Name, Amounts] = Field(alias="demand")
    steps: tuple[RolloutStep, ...]
    guards: dict[Name, Guard] = Field(default_factory=dict)


Document = Contract | Rollout | Source | Team | Calendar | Server
