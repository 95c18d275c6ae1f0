"""The canonical form: the whole agreement in one normal spelling, and the digests that identify it.

JSON text with sorted keys (but for `workloads`, where the first match wins and the order is part of the agreement),
the field names that authors write, normal spellings, defaults left out, `like` and `grow` resolved. It is itself a
document: reading it gives an equal contract. The digest says what was agreed; the terms digest covers only what
approvals and soaks bind to, so that mending `about` restarts nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from headway.contract.build import built
from headway.contract.documents import Authored
from headway.contract.faults import Finding, Unreadable, finding
from headway.contract.model import Contract, Frozen
from headway.contract.text import Source, documents_of

__all__ = ["canonical", "digest", "from_canonical", "terms_digest"]

TERMS = frozenset({"constraint", "workloads", "upstream", "ramp", "guards", "exceptions", "each"})
"""What approvals and soaks bind to. Source: design, section 2; `each` multiplies every limit, so it belongs to them."""

# YAML reads these inside quotes as line breaks, or not at all; escaped, both readers agree.
_ESCAPED = re.compile("[\\x7f-\\x9f\\u2028\\u2029\\ufeff]")


def canonical(document: Frozen) -> str:
    """A document's canonical JSON text, without a final line break."""
    return _text(_authored(document))


def digest(document: Frozen) -> str:
    """SHA-256 of the canonical form, 64 hexadecimal digits: what was agreed."""
    return _sha256(canonical(document))


def terms_digest(contract: Contract) -> str:
    """SHA-256 over the terms, 64 hexadecimal digits: what approvals, events and soaks bind to.

    The contract's zone is part of them where a bare date or a quota's window depends on it: it is always included.
    """
    whole = _authored(contract)
    terms = {key: value for key, value in whole.items() if key in TERMS}
    return _sha256(_text({**terms, "zone": contract.zone}))


def from_canonical(text: str) -> Contract:
    """The contract of a canonical text, as the ledger keeps it.

    Raises:
        Unreadable: The text is not one document that is one valid contract. Rules across documents are not checked.
    """
    findings: list[Finding] = []
    source = Source("<canonical>", text.encode("utf-8", "surrogatepass"))
    trees = list(documents_of(source, findings))
    if not findings and len(trees) == 1 and "contract" in trees[0]:
        document = Authored("contract", str(trees[0]["contract"]), source, trees[0])
        findings = built(document)
        if isinstance(document.model, Contract):
            return document.model
    raise Unreadable(findings or [finding("HW121", "this is not one contract", where=source.where((1, 1)))])


def _authored(document: Frozen) -> dict[str, Any]:
    written: dict[str, Any] = document.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return written


def _text(whole: dict[str, Any]) -> str:
    ordered = {key: _ordered(value, keep=key == "workloads") for key, value in sorted(whole.items())}
    text = json.dumps(ordered, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def _ordered(value: Any, *, keep: bool = False) -> Any:
    """The value with its keys sorted below, and here unless their order is to be kept."""
    if isinstance(value, dict):
        items = value.items() if keep else sorted(value.items())
        return {key: _ordered(item) for key, item in items}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
