"""Every twin behind one door: limiters over several meters, all or nothing, with keys, reservations and restarts.

The same calls as the compiled `Meters`, in plain values, so that one history can be told to both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.model.counts import Concurrency, Quota
from tests.model.curves import MICRO, Plan
from tests.model.lean import LeanRate
from tests.model.meters import When

Measure = Literal["rate", "concurrency", "quota"]


@dataclass(frozen=True, slots=True)
class Spec:
    """What a meter is. `scales`: keys whose limit is multiplied, in ppm."""

    name: str
    measure: Measure
    grains_log2: int = 0
    per_ns: int = 1
    is_keyed: bool = False
    keys_max: int = 1 << 20
    scales: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Way:
    """A limiter's way: (meter, factor in ppm) in order, and what a demand weighs. `settle_max`: units."""

    steps: tuple[tuple[str, int], ...]
    cost_ppm: int = MICRO
    settle_max: int = 0


@dataclass(slots=True)
class Charge:
    """One step of a held demand: what it charged, and where it left a rate's mark and sum of give-backs."""

    meter: Meter
    key: str | None
    amount: int
    mark1: int = 0
    given_back1: int = 0
    window_ns: int = 0


@dataclass(slots=True)
class Held:
    """An admitted demand."""

    way: Way
    units: int
    charges: list[Charge]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which meter stood in the way first, why, and when the whole demand fits."""

    meter: str
    why: str
    retry: When


class Meter:
    """One meter with its scaled keys, each of which is a twin of its own."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        scales: dict[str | None, int] = {None: MICRO}
        scales.update(spec.scales)
        self.twins: dict[str | None, LeanRate | Concurrency | Quota]
        if spec.measure == "rate":
            self.twins = {key: LeanRate(spec.per_ns, spec.grains_log2, scale) for key, scale in scales.items()}
        elif spec.measure == "concurrency":
            self.twins = {key: Concurrency(scale) for key, scale in scales.items()}
        else:
            self.twins = {key: Quota(scale) for key, scale in scales.items()}

    def twin(self, key: str | None) -> LeanRate | Concurrency | Quota:
        """The twin that decides for a key."""
        return self.twins[key if key in self.spec.scales else None]

    def amount(self, units: int, way: Way, factor_ppm: int) -> int:
        """What a demand charges here, rounded up once: grains of a rate, micro-units of the others."""
        weight = units * way.cost_ppm * factor_ppm
        if self.spec.measure == "rate":
            return -(-(weight << self.spec.grains_log2) // (MICRO * MICRO))
        return -(-weight // MICRO)

    def is_live(self, at_ns: int, key: str | None) -> bool:
        """Whether a key differs from one that never asked."""
        twin = self.twin(key)
        if isinstance(twin, LeanRate):
            return twin.marks.get(key, twin.spent_floor(at_ns)) > twin.spent_floor(at_ns)
        if isinstance(twin, Quota):
            return twin.used_micro(at_ns, key) > 0
        return twin.by_key.get(key, 0) > 0

    def has_room_for(self, at_ns: int, key: str | None) -> bool:
        """Whether the key is live, or may become so under `keys_max`; scaled keys have their place for good."""
        if not self.spec.is_keyed or key in self.spec.scales or self.is_live(at_ns, key):
            return True
        plain = self.twins[None]
        known = plain.marks if isinstance(plain, LeanRate) else plain.by_key
        live = sum(self.is_live(at_ns, other) for other in known)
        return live + len(self.spec.scales) < self.spec.keys_max

    def forget_brinks(self, at_ns: int) -> bool:
        """Drops keys that are one grain from being as good as new; whether there were any.

        E and B are rounded each on its own, so K, which in exact numbers never falls, may by one grain. A key that was
        dropped while K stood on its mark does not come back when it steps off.
        """
        plain = self.twins[None]
        if not isinstance(plain, LeanRate):
            return False
        floor = plain.spent_floor(at_ns)
        brinks = [key for key, mark in plain.marks.items() if mark == floor + 1]
        for key in brinks:
            del plain.marks[key]
        return bool(brinks)

    def admit(self, at_ns: int, amount: int, key: str | None) -> Charge | None:
        """Charges if it fits; the receipt undoes or settles it."""
        twin = self.twin(key)
        if not twin.admit(at_ns, amount, key):
            return None
        if isinstance(twin, LeanRate):
            return Charge(self, key, amount, twin.marks[key], twin.given_back[key])
        if isinstance(twin, Quota):
            return Charge(self, key, amount, window_ns=twin.by_key[key].window_ns)
        return Charge(self, key, amount)

    def give_back(self, at_ns: int, charge: Charge, amount: int) -> None:
        """Gives part of a charge back, by its measure's rule."""
        twin = self.twin(charge.key)
        if isinstance(twin, LeanRate):
            twin.give_back(at_ns, amount, charge.mark1, charge.given_back1, charge.key)
        elif isinstance(twin, Quota):
            twin.give_back(amount, charge.window_ns, charge.key)
        else:
            twin.release(amount, charge.key)


class World:
    """The meters of one process. Instants are on the meters' clock."""

    def __init__(self, specs: Sequence[Spec]) -> None:
        self.meters = {spec.name: Meter(spec) for spec in specs}

    def publish(
        self, plans: Mapping[str, Plan], offset_ns: int, at_ns: int, *, born: Literal["full", "empty"] = "full"
    ) -> None:
        """Joins a version of each meter named. `born` matters to rates that never had one."""
        for name, plan in plans.items():
            for twin in self.meters[name].twins.values():
                if isinstance(twin, LeanRate):
                    twin.publish(plan, offset_ns, at_ns, born=born)
                else:
                    twin.publish(plan, offset_ns, at_ns)

    def try_acquire(self, way: Way, at_ns: int, units: int, key: str | None) -> Held | Refusal:
        """All steps or none: on the first refusal the earlier ones are given back in turn."""
        held = Held(way, units, [])
        for name, factor_ppm in way.steps:
            meter = self.meters[name]
            own_key = key if meter.spec.is_keyed else None
            why = "full" if meter.has_room_for(at_ns, own_key) else "too_many_keys"
            charge = meter.admit(at_ns, meter.amount(units, way, factor_ppm), own_key) if why == "full" else None
            if charge is None:
                for done in reversed(held.charges):
                    done.meter.give_back(at_ns, done, done.amount)
                retry = self.earliest(way, at_ns, units, key) if why == "full" else "unknown"
                return Refusal(name, "never_fits" if retry == "never" else why, retry)
            held.charges.append(charge)
        return held

    def earliest(self, way: Way, at_ns: int, units: int, key: str | None) -> When:
        """The first instant at which every step fits at once."""
        while True:
            found = [self._earliest_of(way, step, at_ns, units, key) for step in way.steps]
            if "never" in found:
                return "never"
            instants = [when for when in found if isinstance(when, int)]
            if len(instants) < len(found):
                return "unknown"
            if max(instants) == at_ns:
                return at_ns
            at_ns = max(instants)

    def _earliest_of(self, way: Way, step: tuple[str, int], at_ns: int, units: int, key: str | None) -> When:
        meter = self.meters[step[0]]
        own_key = key if meter.spec.is_keyed else None
        return meter.twin(own_key).earliest(at_ns, meter.amount(units, way, step[1]), own_key)

    def settle(self, held: Held, at_ns: int, actual: int) -> None:
        """Sets what a reservation cost: less is given back, more is owed, at most the larger of `settle_max` and it."""
        actual = min(actual, max(held.way.settle_max, held.units))
        for charge, (_, factor_ppm) in zip(held.charges, held.way.steps, strict=True):
            settled = charge.meter.amount(actual, held.way, factor_ppm)
            if settled < charge.amount:
                charge.meter.give_back(at_ns, charge, charge.amount - settled)
            elif settled > charge.amount:
                twin = charge.meter.twin(charge.key)
                assert not isinstance(twin, Concurrency)
                twin.owe(at_ns, settled - charge.amount, charge.key)

    def release(self, held: Held) -> None:
        """Gives back what a demand held at once; rates and quotas keep their charge."""
        for charge in held.charges:
            twin = charge.meter.twin(charge.key)
            if isinstance(twin, Concurrency):
                twin.release(charge.amount, charge.key)

    def stop_cleanly(self) -> None:
        """A clean stop and start: marks and use stay, what was held at once is gone."""
        for meter in self.meters.values():
            for twin in meter.twins.values():
                if isinstance(twin, Concurrency):
                    twin.by_key.clear()
