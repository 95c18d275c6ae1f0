"""The catalogue of faults in documents: HW1xx reading the text, HW2xx what it means, HW3xx safety over the
whole ramp.

One code is one kind of mistake. `why` and `mend` are what a finding says where nothing closer is known; `example` is
the mistake, short, for `headway explain CODE`. The codes are stable; the words may improve. Each family has a file;
here they are one list.
"""

from __future__ import annotations

from headway.contract.codes.code import Code
from headway.contract.codes.contracts import CONTRACTS
from headway.contract.codes.links import LINKS
from headway.contract.codes.text import READING
from headway.contract.codes.values import VALUES

__all__ = ["CODES", "Code"]

CODES: dict[str, Code] = dict(sorted((READING | VALUES | CONTRACTS | LINKS).items()))
"""Every code, in order. No two families share one, by test."""
