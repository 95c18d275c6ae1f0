"""What goes wrong while Headway runs: one class a kind, with a stable code, what, why and how to mend.

Nobody parses prose: `code`, `where`, `problem`, `because` and `mend` are fields. `HW4xx` is access, `HW5xx` running.
Faults of documents are `contract.faults`; refusals of demands are answers and live in the core.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, ClassVar, Self


class HeadwayError(Exception):
    """The parent of every error that Headway raises on purpose outside documents and demands.

    Attributes:
        code: `HW…`, stable.
        where: A contract, a file or a folder; empty where there is none.
        problem: What went wrong, one sentence without a full stop.
        because: Why that is so.
        mend: What to do about it.
    """

    default_code: ClassVar[str] = "HW500"

    def __init__(
        self, problem: str, *, because: str = "", mend: str = "", where: str = "", code: str | None = None
    ) -> None:
        super().__init__(problem)
        self.code = code or self.default_code
        self.where = where
        self.problem = problem
        self.because = because
        self.mend = mend

    def __str__(self) -> str:
        lines = [f"error[{self.code}]: {self.problem}"]
        lines += [f"  --> {self.where}"] * bool(self.where)
        lines += [f"   | {self.because}"] * bool(self.because)
        lines += [f"   = mend: {self.mend}"] * bool(self.mend)
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.problem, self.because, self.mend, self.where, self.code)

    def as_json(self) -> dict[str, str]:
        """The fields, as the API and `--json` show them."""
        return {
            "code": self.code,
            "where": self.where,
            "problem": self.problem,
            "because": self.because,
            "mend": self.mend,
        }


def of_keeper(code: str, problem: str) -> HeadwayError:
    """What a keeper says is wrong with a gate or a limiter, as it is raised here."""
    mends = {
        "HW401": "pass `token=` or `token_file=`, or set HEADWAY_TOKEN to a token with the role gate or operator",
        "HW403": "use a token with the role gate or operator",
        "HW404": "apply it first: headway apply PATH",
        "HW445": "pass `ca_file=` with the certificate of who signed the server's, and connect to a name it is for",
    }
    return HeadwayError(problem, code=code, mend=mends.get(code, ""))


def _rebuild(kind: type[HeadwayError], problem: str, because: str, mend: str, where: str, code: str) -> HeadwayError:
    return kind(problem, because=because, mend=mend, where=where, code=code)


def _nearest(name: str, known: Iterable[str]) -> str:
    """What to try instead of an unknown name."""
    names = sorted(known)
    near = get_close_matches(name, names, n=3)
    if near:
        return "did you mean " + " or ".join(f"`{one}`" for one in near) + "?"
    if not names:
        return "apply a contract first: headway apply PATH"
    return "there are: " + ", ".join(names[:8]) + ("…" if len(names) > 8 else "")


class _Unknown(HeadwayError):
    what: ClassVar[str] = "name"

    @classmethod
    def of(cls, name: str, known: Iterable[str], *, where: str = "") -> Self:
        """The error for one name, with the nearest known ones in `mend`."""
        shown = name if len(name) <= 80 else name[:79] + "…"
        return cls(f"there is no {cls.what} `{shown}`", mend=_nearest(name, known), where=where)


class UnknownContract(_Unknown):
    """No contract of that name is in the ledger."""

    default_code = "HW404"
    what = "contract"


class UnknownStage(_Unknown):
    """The contract has no such stage."""

    default_code = "HW405"
    what = "stage"


class UnknownWorkload(_Unknown):
    """The contract names no such workload, and `other` is not what was meant."""

    default_code = "HW406"
    what = "workload"


class UnknownRef(HeadwayError):
    """A refusal's `ref` that is not, or no longer, known (the last 4,096 are)."""

    default_code = "HW407"


class Recalled(HeadwayError):
    """A scope was ended, for its slot is above a cut (`recall: end`)."""

    default_code = "HW533"

    @classmethod
    def of(cls, contract: str) -> Self:
        """The error for a scope of one contract."""
        return cls(
            f"the slot of {contract} was asked back, and what held it has been ended",
            because="the limit was cut below what was in flight, and the contract has `recall: end`",
            mend="catch headway.Recalled and try again later, or raise the limit: "
            f"`headway explain {contract}` says where it stands",
            where=contract,
        )


class Busy(HeadwayError):
    """Another process, or the parent of this forked child, holds the data folder."""

    default_code = "HW501"


class LedgerStopped(HeadwayError):
    """The ledger cannot take an entry now: nothing moves until it can; what was published stays enforced."""


class LedgerBroken(LedgerStopped):
    """The ledger's file is damaged, cut short, not ours, or says something that its own chain contradicts."""

    default_code = "HW502"


class LedgerReadOnly(LedgerStopped):
    """The ledger may not be written."""

    default_code = "HW503"


class LedgerFull(LedgerStopped):
    """There is no room for another entry."""

    default_code = "HW504"


class LedgerFailing(LedgerStopped):
    """The disk answers with errors, or another program keeps the ledger locked."""

    default_code = "HW505"


class Fenced(LedgerStopped):
    """A later run has taken the ledger over; this one may not write any more."""

    default_code = "HW506"


class VerbRefused(HeadwayError):
    """A verb, approval or event that cannot be taken now (terminal state, other terms, second person missing)."""

    default_code = "HW507"


class OverPromised(HeadwayError):
    """What was asked for would let spenders admit more than their upstream guarantees."""

    default_code = "HW508"


class ClockSuspected(HeadwayError):
    """The clock is not trusted: raises wait until it is stable or confirmed."""

    default_code = "HW509"


class NotYet(HeadwayError):
    """Something that a later version brings."""

    default_code = "HW520"


class Closed(HeadwayError):
    """The engine was closed."""

    default_code = "HW521"


class DataFolder(HeadwayError):
    """The data folder cannot be made, or is not a folder, or may not be written."""

    default_code = "HW522"
