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
    if now.stage != before.stage:
        to = dict(now.stages)[now.stage]
        how = f"climbing from {before.limit:g} to {to:g}" if now.climbing else f"a step from {before.limit:g} to {to:g}"
        said.append(f"{now.name}: stage {now.stage} entered, {how} {now.unit}")
    elif before.climbing and not now.climbing:
        said.append(f"{now.name}: stage {now.stage} arrived at {now.limit:g} {now.unit}")
    met = {one.what for one in now.waiting if one.met} - {one.what for one in before.waiting if one.met}
    if now.upcoming == before.upcoming:
        said.extend(f"{now.name}: for stage {now.upcoming}, now holds: {what}" for what in sorted(met))
    left = [one for one in now.waiting if not one.met]
    if now.upcoming and len(left) == 1 and left != [one for one in before.waiting if not one.met]:
        said.append(f"{now.name}: stage {now.upcoming} waits only for: {left[0].waits_for}")
    if now.completed and not before.completed:
        said.append(f"{now.name}: the ramp is complete at {now.limit:g} {now.unit}")
    return said
