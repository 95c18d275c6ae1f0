"""What documents mean together: every rule over every valid document, in one pass.

The rules stand in `rules/`. Rules of one contract look at it alone; rules across documents get the `World`. A contract
whose text is not valid is passed over: its own faults say enough. Abstract contracts are checked where they are taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from headway.contract.documents import Authored
from headway.contract.faults import FAULTS, Finding
from headway.contract.model import Contract, Document
from headway.contract.rules import conditions, divided, floors, links, matches, numbers, questions

__all__ = ["findings_of"]

_ALONE = (*questions.RULES, *numbers.RULES, *conditions.RULES, *matches.RULES, *divided.RULES, *floors.RULES)
_TOGETHER = (*links.CONTRACT_RULES, *divided.CONTRACT_RULES, *floors.CONTRACT_RULES)


def findings_of(documents: Sequence[Authored], agreed: Sequence[Document] = ()) -> list[Finding]:
    """Every finding of meaning, document by document; `agreed` runs already and is only linked to."""
    world = links.World(documents, agreed)
    findings: list[Finding] = []
    for document in documents:
        model = document.model
        if isinstance(model, Contract):
            if model.abstract:
                continue
            found = [one for alone in _ALONE for one in alone(document, model)]
            found += [one for together in _TOGETHER for one in together(world, document, model)]
        elif model is not None:
            found = [one for other in links.DOCUMENT_RULES for one in other(world, document, model)]
        else:
            continue
        findings += found[:FAULTS]
        if len(found) > FAULTS:
            findings.append(document.finding("HW129", f"and {len(found) - FAULTS} more faults", ()))
    return findings
