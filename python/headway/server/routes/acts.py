"""What changes something: the verbs, an approval, the first version of contracts, a person's word on the clock.

Every act can be asked `?dry_run=1` first and then answers what it would do. A real one answers when the ledger has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.concurrency import run_in_threadpool

from headway.contract.faults import Unreadable
from headway.contract.read import read_text
from headway.ramp.observations import Approval, VerbCall
from headway.server.access import Access, Caller
from headway.server.asks import REASON_MOST, Approve, Ask, ClockYes, Override, Plain, Verb
from headway.server.plain import plain
from headway.server.problems import ServerError
from headway.server.rights import Approver, Operator
from headway.server.routes.described import OUTCOME, WRITE_ERRORS, answers
from headway.server.wishes import approval_of, verb_of, vet_second

if TYPE_CHECKING:
    from headway.engine.engine import Engine

Name = Annotated[str, Path(min_length=1, max_length=200, description="A contract's name.")]
DryRun = Annotated[bool, Query(description="Only say what it would do: a preview, nothing changes.")]
Second = Annotated[
    str | None,
    Header(
        alias="Headway-Second", max_length=512, description="The token of a second person, where a raise wants one."
    ),
]

YAML = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "application/json"})


def acts(engine: Engine, access: Access) -> APIRouter:
    """The changing routes over one engine."""
    router = APIRouter(tags=["act"])

    def told(name: str, observation: Approval | VerbCall, dry_run: bool) -> Any:
        return plain(engine.preview(name, observation) if dry_run else engine.submit(name, observation))

    def second_of(caller: Caller, token: str | None) -> Caller | None:
        if token is None:
            return None
        second = access.caller_of(token)
        if second is None:
            raise ServerError("HW403", "the second person's token is not known")
        vet_second(caller, second)
        return second

    @router.post("/v1/contracts/{name}/approve", responses=answers(OUTCOME, *WRITE_ERRORS))
    def approve(name: Name, body: Approve, caller: Approver, dry_run: DryRun = False) -> Any:
        """Says yes to one stage for one group. It counts for the terms that were read, and expires."""
        return told(name, approval_of(engine.contract(name), body, caller, engine.now_ms()), dry_run)

    @router.post("/v1/contracts/{name}/override", responses=answers(OUTCOME, *WRITE_ERRORS))
    def override(name: Name, body: Override, caller: Operator, second: Second = None, dry_run: DryRun = False) -> Any:
        """Sets another limit until an instant. Above the stage's limit it wants a second person."""
        return act(name, "override", body, caller, second_of(caller, second), dry_run)

    @router.post("/v1/contracts/{name}/{verb}", responses=answers(OUTCOME, *WRITE_ERRORS))
    def verb(
        name: Name, verb: Verb, body: Plain, caller: Operator, second: Second = None, dry_run: DryRun = False
    ) -> Any:
        """hold, resume, advance, step-back, abort or retire. A resume that ends an override which lowers wants a second
        person.
        """
        return act(name, verb, body, caller, second_of(caller, second), dry_run)

    def act(name: str, spelled: str, body: Ask, caller: Caller, second: Caller | None, dry_run: bool) -> Any:
        observation = verb_of(engine.contract(name), spelled, body, caller, engine.now_ms(), second)
        return told(name, observation, dry_run)

    @router.post(
        "/v1/apply",
        responses=answers(OUTCOME, *WRITE_ERRORS),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/yaml": {"schema": {"type": "string"}, "example": SMALLEST}},
            }
        },
    )
    async def apply(
        request: Request,
        caller: Operator,
        reason: Annotated[str, Query(max_length=REASON_MOST)] = "",
        expect: Annotated[str | None, Query(pattern="^[0-9a-f]{8,64}$")] = None,
    ) -> Any:
        """Applies the first version of the contracts in a YAML body of at most 1 MiB; all of them or none."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in YAML:
            raise ServerError("HW415", f"`{kind or 'a body without Content-Type'}` is not application/yaml")
        body = await request.body()
        return plain(await run_in_threadpool(_apply, engine, body, caller.actor, reason, expect))

    @router.post("/v1/clock", responses=answers({"suspect": False}, *WRITE_ERRORS))
    def confirm_clock(body: ClockYes, caller: Operator) -> Any:
        """Confirms that the clock is right: raises go on."""
        engine.confirm_clock(caller.actor, body.reason)
        return plain(engine.clock_status())

    return router


SMALLEST = """\
contract: api
owner: team-web
constraint: {measure: rate, unit: request, per: 1s}
workloads: {other: {}}
ramp: [{stage: now, limit: 100}]
"""


def _apply(engine: Engine, body: bytes, actor: str, reason: str, expect: str | None) -> Any:
    reading = read_text(body, "request", agreed=engine.agreed())
    if not reading.ok:
        raise Unreadable(reading.findings)
    return engine.apply(reading, actor=actor, reason=reason.strip(), expect=expect)
