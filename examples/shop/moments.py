"""What is worth a line of its own: the difference between two glances, in words."""

from __future__ import annotations

from collections.abc import Sequence

from examples.shop.glance import Glance


def moments(before: Sequence[Glance], now: Sequence[Glance]) -> list[str]:
    """Notable moments between two looks at the same contracts; on the first (`before` empty) the limits in force."""
    if not before:
        return [f"{one.name}: {one.limit:g} {one.unit} in force, stage {one.stage}" for one in now]
    earlier = {one.name: one for one in before}
    return [line for one in now for line in _of(earlier[one.name], one)]


def _of(before: Glance, now: Glance) -> list[str]:
    said = [
        f"{now.name}: the first refusal of {workload}, at {now.limit:.4g} {now.unit}"
        for workload in sorted(now.refused.keys() - before.refused.keys())
    ]
    entered = now.stage != before.stage
    if entered:
        course = f"from {before.limit:.4g} to {dict(now.stages)[now.stage]:g} {now.unit}"
        said.append(f"{now.name}: stage {now.stage} entered, {'climbing' if now.climbing else 'a step'} {course}")
    elif before.climbing and not now.climbing:
        said.append(f"{now.name}: stage {now.stage} arrived at {now.limit:.4g} {now.unit}")
    if not entered and now.upcoming:
        met = {one.what for one in now.waiting if one.met} - {one.what for one in before.waiting if one.met}
        said.extend(f"{now.name}: for stage {now.upcoming}, now holds: {what}" for what in sorted(met))
        # How long a soak still takes changes all the time; what kind of thing is missing does not.
        left = [one for one in now.waiting if not one.met]
        if len(left) == 1 and [left[0].kind] != [one.kind for one in before.waiting if not one.met]:
            said.append(f"{now.name}: stage {now.upcoming} waits only for: {left[0].waits_for}")
    if now.completed and not before.completed:
        said.append(f"{now.name}: the ramp is complete at {now.limit:.4g} {now.unit}")
    return said
