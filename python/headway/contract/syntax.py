"""What a parser's complaint means to an author: the code, the place and the mend of a syntax error.

libyaml says what it expected; people want to know what they mistyped. The common slips (a tab, PromQL inside braces,
a bare `*`) are recognised from the complaint and the text around it; everything else is HW106 with the parser's words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["explained", "looks_like_promql"]

Position = tuple[int, int]

_PROMQL = re.compile(r"[a-z_:][a-z0-9_:]*\s*[({\[]|[=!]~|[a-z_]\s*=\s*\"|\[\d+[smhd]\]", re.IGNORECASE)


def looks_like_promql(text: str) -> bool:
    """Whether a stretch of text has what only a query has: a call, a selector, a matcher, a range."""
    return _PROMQL.search(text[:500]) is not None


def explained(
    why: str, at: Position, began: Position, lines: Sequence[str], first_line: int
) -> tuple[str, str, Position, str | None]:
    """Code, problem, place and mend (None: the catalogue's) of a syntax error.

    Args:
        why: The parser's words.
        at, began: Where it stopped, and where the construct it was reading began; lines from 1, of the file.
        lines: The document's lines; `lines[0]` is line `first_line` of the file.
    """
    line = _line(lines, at[0] - first_line)
    before, rest = line[: at[1] - 1], line[at[1] - 1 :]

    if "nesting depth" in why:
        return "HW113", "this is nested deeper than 64 levels", at, None
    first = next((index for index, text in enumerate(lines) if text.strip() and not text.startswith("#")), None)
    if first is not None and lines[first].startswith("%"):
        return "HW119", "a directive (a line that begins with `%`) is not allowed", (first + first_line, 1), None
    tabbed = at[0] - first_line if before.strip() == "" and "\t" in before + rest[:1] else None
    if tabbed is None:
        tabbed = _tabbed(lines, at[0] - first_line, began[0] - first_line)
    if tabbed is not None:
        place = (tabbed + first_line, _line(lines, tabbed).find("\t") + 1)
        return "HW107", "a tab stands where spaces are needed", place, None
    if "alias" in why or "alphabetic or numeric" in why:
        star = line.rfind("*", 0, at[1])
        if star >= 0:
            return "HW109", "a `*` without quotes is read as an alias", (at[0], star + 1), None
    query = _query_at(lines, at[0] - first_line, began[0] - first_line)
    if query is not None:
        number, column = query
        return "HW108", "a query without quotes breaks the mapping it stands in", (number + first_line, column), None
    if "cannot start any token" in why and rest[:1] in {"@", "`", "%"}:
        mark = "a backtick" if rest[0] == "`" else f"`{rest[0]}`"
        return "HW110", f"a value cannot begin with {mark}", at, None
    return _other(why, at if line.strip() else began, began)


def _other(why: str, at: Position, began: Position) -> tuple[str, str, Position, str | None]:
    """A syntax error of no known slip, in the parser's words."""
    if "end of stream" in why or "document indicator" in why:
        return "HW106", "this is not YAML: what begins here never ends", began, "close the quote or the bracket"
    if "mapping values are not allowed" in why:
        mend = "if the colon belongs to the text, put the text in quotes; else check the indentation"
        return "HW106", "this is not YAML: a second colon in one line", at, mend
    return "HW106", f"this is not YAML: {why}", at, None


def _line(lines: Sequence[str], index: int) -> str:
    return lines[index] if 0 <= index < len(lines) else ""


def _tabbed(lines: Sequence[str], index: int, began: int) -> int | None:
    """The line nearest to the error whose indentation holds a tab."""
    for number in range(min(index, len(lines) - 1), max(began, index - 3) - 1, -1):
        text = _line(lines, number)
        if "\t" in text[: len(text) - len(text.lstrip())]:
            return number
    return None


def _query_at(lines: Sequence[str], index: int, began: int) -> tuple[int, int] | None:
    """Where the unquoted query nearest to the error stands: line index, column from 1."""
    for number in range(min(index, len(lines) - 1), max(began - 1, index - 5, -1), -1):
        found = re.search(r"\bquery:[ \t]*(?![\"'|>])(\S.*)", lines[number])
        if found is not None and (looks_like_promql(found.group(1)) or found.group(1).startswith("{")):
            return number, found.start(1) + 1
    return None
