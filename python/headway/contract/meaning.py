"""What documents mean together: every rule over every valid document, in one pass.

The rules stand in `rules/`. Rules of one contract look at it alone; rules across documents get the `World`. A contract
whose text is not valid is passed over: its own faults say enough. Abstract contracts are checked where they are taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from headway.contract.documents import Authored
from headway.contract.faults import Finding
from headway.contract.model import Contract
from headway.contract.rules import conditions, links, numbers, questions

__all__ = ["findings_of"]

_ALONE = (*questions.RULES, *numbers.RULES, *conditions.RULES)


def findings_of(documents: Sequence[Authored]) -> list[Finding]:
    """Every finding of meaning, document by document."""
    world = links.World(documents)
    findings: list[Finding] = []
    for document in documents:
        model = document.model
        if isinstance(model, Contract):
            if model.abstract:
                continue
            for alone in _ALONE:
                findings += alone(document, model)
            for together in links.CONTRACT_RULES:
                findings += together(world, document, model)
        elif model is not None:
            for other in links.DOCUMENT_RULES:
                findings += other(world, document, model)
    return findings
