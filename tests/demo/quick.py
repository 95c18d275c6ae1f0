"""The shop's own contracts with shorter times and smaller counts, so that a whole ramp fits into seconds."""

from __future__ import annotations

from pathlib import Path

from examples.shop.demo import CONTRACTS

SHORTER = {
    "shop-api.yaml": (
        ("stage: grown\n    limit: 80\n    climb: 10s", "stage: grown\n    limit: 80\n    climb: 2s"),
        ("stage: target\n    limit: 120\n    climb: 15s", "stage: target\n    limit: 120\n    climb: 2s"),
        ("soak: {for: 5s, above: 60%}", "soak: {for: 1s, above: 30%}"),
        ("soak: {for: 8s, above: 60%}", "soak: {for: 2s, above: 30%}"),
    ),
    "orders-cpu.yaml": (("limit: 16", "limit: 15"), ("limit: 40", "limit: 30")),
    "orders-db.yaml": (("soak: {for: 12s, above: 40%}", "soak: {for: 1s, above: 20%}"),),
    # The climb is long: while it lasts a tenant may draw more than the limit is, so only what it remembers holds it back.
    "tenant-exports.yaml": (("limit: 20", "limit: 4"), ("limit: 40", "limit: 8\n    climb: 6s")),
}
"""File -> what is said there -> what is said instead."""


def quick_contracts(folder: Path) -> Path:
    """Writes them into `folder` and returns it. ValueError where the shop's contracts no longer say what is changed."""
    for path in CONTRACTS.glob("*.yaml"):
        name, text = path.name, path.read_text()
        for long, short in SHORTER.get(name, ()):
            if text.count(long) != 1:
                raise ValueError(f"{name} says {long!r} {text.count(long)} times, not once")
            text = text.replace(long, short)
        (folder / name).write_text(text)
    return folder
