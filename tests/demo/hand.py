"""The hand of a person who gives verbs while the demo is killed, and who keeps a journal of what was answered.

The journal lives outside of the lives that end: what it holds as acknowledged must still be true after any kill, and
what it holds without an answer is wholly there or wholly not (`told` judges that). What to give is chosen by `choose`,
a pure function of what Headway says stands and of a seed; giving it over HTTP is the thin edge.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import httpx

from examples.shop import clock
from examples.shop.app import EXPORTS, POOL
from examples.shop.person import GROUP

MS = 1_000_000

PAUSE_S = (0.03, 0.5)
"""Between two verbs of a busy life."""

AGAIN_S = 0.01
"""Until the hand knocks again at a life that does not answer yet."""

OVERRIDE_MS = (150, 2_500)
"""How long an override is to last: some end in the life they were given in, some in a later one, some between."""

LESS, MORE = (0.25, 0.5, 0.75), 1.25
"""What an override makes of the limit: less, or sometimes more."""

NEVER_ABORTED = POOL
"""The demo's own person gives its approval unattended; its ramp goes on to the end."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A verb to be given, spelled as its command is; `fields` are those of its body beside the reason."""

    contract: str
    verb: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Given:
    """A verb that was sent, and what came back.

    Attributes:
        number: Its place in the journal, from 1; its reason says it, so the ledger can be searched for it.
        sent_ms: UTC just before it was sent.
        ended_ms: UTC just after it was answered, or found to have no answer.
        answered_ns: The boot clock just after the answer; None: none came.
        status: Of the answer; None: none came, so it was done or not.
        answer: The answer's document; empty without one.
    """

    number: int
    wish: Wish
    sent_ms: int
    ended_ms: int
    answered_ns: int | None
    status: int | None
    answer: Mapping[str, Any]

    @property
    def mark(self) -> str:
        """What only its own entries carry in their reason."""
        return mark_of(self.number)

    @property
    def acknowledged(self) -> bool:
        return self.status == 200


@dataclass(frozen=True, slots=True)
class FirstUse:
    """What a life said of its use of the exports before it was a moment old; of the tenant that used most."""

    now_ms: int
    use_micro: int


@dataclass(slots=True)
class Journal:
    """All that one history was told and answered, over all of its lives."""

    given: list[Given] = field(default_factory=list)
    first_use: FirstUse | None = None
    """Of the latest life that was asked for it."""


def mark_of(number: int) -> str:
    return f"[given {number}]"


def choose(rows: Sequence[Mapping[str, Any]], chance: random.Random, *, approves: bool, aborts: bool) -> Wish:
    """What a person might do next, from the rows of `GET /v1/contracts`.

    Args:
        rows: At least one contract, not all of them over.
        chance: Draws; the same rows and draws give the same wish.
        approves: Whether it may approve the pool's next stage itself.
        aborts: Whether a ramp may be ended for good.
    """
    weighed = list(_wishes(rows, chance, approves=approves, aborts=aborts))
    return chance.choices([wish for wish, _ in weighed], [weight for _, weight in weighed])[0]


def _wishes(
    rows: Sequence[Mapping[str, Any]], chance: random.Random, *, approves: bool, aborts: bool
) -> Iterator[tuple[Wish, float]]:
    for row in rows:
        name = row["contract"]
        if row["status"] not in ("running", "completed"):
            continue
        # A hold is taken back soon, or the ramps would stand still for most of a history.
        yield (Wish(name, "resume"), 12.0) if row["held"] else (Wish(name, "hold"), 0.7)
        if row["stage"]["index"] > 0:
            yield Wish(name, "step-back"), 0.7
        if row["next_stage"]:
            yield Wish(name, "advance"), 0.5
        if approves and name == POOL and row["next_stage"]:
            yield Wish(name, "approve", {"stage": row["next_stage"], "group": GROUP}), 2.0
        if not row["overridden"]:
            share, lasts_ms = chance.choice((*LESS, *LESS, MORE)), chance.randint(*OVERRIDE_MS)
            value = max(1, int(row["limit"][""]["limit_micro"] * share) // 1_000_000)
            yield Wish(name, "override", {"value": value, "until": f"{lasts_ms}ms"}), 0.7
        if aborts and name != NEVER_ABORTED:
            yield Wish(name, "abort"), 0.5


class Hand:
    """Gives verbs to one life, until told to stop or until the life is gone.

    Args:
        api: Where the life listens, or will.
        tokens: Its folder of tokens, there once it has started.
        journal: Where to write down.
        chance: Of what is given and when.
        busy: Whether it gives verbs at all, or only asks for the use.
        approves, aborts: As `choose` takes them.
    """

    def __init__(
        self,
        api: str,
        tokens: Path,
        journal: Journal,
        chance: random.Random,
        *,
        busy: bool,
        approves: bool,
        aborts: bool,
    ) -> None:
        self._api = api
        self._tokens = tokens
        self._journal = journal
        self._chance = chance
        self.busy = busy
        self._approves = approves
        self._aborts = aborts
        self.stop = Event()
        self.sending = Event()
        """Set just before each verb is sent; who wants to hear of the next one clears it."""

    def live(self) -> None:
        """Returns once it was told to stop, or nobody answers any more."""
        with httpx.Client(base_url=self._api, timeout=20.0) as client:
            try:
                self._asks_use(client)
                while self.busy and not self.stop.wait(self._chance.uniform(*PAUSE_S)):
                    self._gives(client)
            except httpx.TransportError:
                # The life was killed, which is what lives here are for.
                return

    def _asks_use(self, client: httpx.Client) -> None:
        """Waits until the life answers, then asks at once how much of the exports is used."""
        path = f"/v1/contracts/{EXPORTS}/explain"
        while not self.stop.is_set():
            try:
                answer = client.get(path, headers=self._bearer("local"))
            except (httpx.ConnectError, FileNotFoundError):
                self.stop.wait(AGAIN_S)
                continue
            said = answer.raise_for_status().json()
            self._journal.first_use = FirstUse(said["now_ms"], round(said["limit"][""]["use"] * 1_000_000))
            return

    def _gives(self, client: httpx.Client) -> None:
        listed = client.get("/v1/contracts", headers=self._bearer("local")).raise_for_status().json()["contracts"]
        wish = choose(listed, self._chance, approves=self._approves, aborts=self._aborts)
        number = len(self._journal.given) + 1
        body = {"reason": f"{wish.verb} {mark_of(number)}", **wish.fields}
        token = self._bearer("approver" if wish.verb == "approve" else "local")
        sent_ms = clock.utc_ns() // MS
        self.sending.set()
        status: int | None = None
        answered_ns: int | None = None
        said: Mapping[str, Any] = {}
        try:
            answer = client.post(f"/v1/contracts/{wish.contract}/{wish.verb}", json=body, headers=token)
            answered_ns, status = clock.boot_ns(), answer.status_code
            said = json.loads(answer.content)
        finally:
            # Whether it was answered or not, it was sent: it may be in the ledger.
            ended_ms = clock.utc_ns() // MS
            self._journal.given.append(Given(number, wish, sent_ms, ended_ms, answered_ns, status, said))

    def _bearer(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {(self._tokens / token).read_text('ascii').strip()}"}
