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
    rest = line[at[1] - 1 :]
    before = line[: at[1] - 1]

    if (first := next((text for text in lines if text.strip() and not text.startswith("#")), "")).startswith("%"):
        return "HW119", "a directive (a line that begins with `%`) is not allowed", (_index(lines, first) + first_line, 1), None
    if rest.startswith("\t") or (before.strip() == "" and "\t" in before + rest[:1]):
        return "HW107", "a tab stands where spaces are needed", (at[0], line.find("\t") + 1), None
    if (tabbed := _tabbed(lines, at[0] - first_line, began[0] - first_line)) is not None:
        return "HW107", "a tab stands where spaces are needed", (tabbed + first_line, lines[tabbed].find("\t") + 1), None

    if "alias" in why or "alphabetic or numeric" in why:
        place = line.rfind("*", 0, at[1]) if "*" in line[: at[1]] else -1
        if place >= 0:
            return "HW109", "a `*` without quotes is read as an alias", (at[0], place + 1), None
    query = _query_at(lines, at[0] - first_line, began[0] - first_line)
    if query is not None:
        number, column, text = query
        if looks_like_promql(text) or text.lstrip().startswith("{"):
            return "HW108", "a query without quotes breaks the mapping it stands in", (number + first_line, column), None
    if "cannot start any token" in why and rest[:1] in {"@", "`", "%"}:
        return "HW110", f"a value cannot begin with `{rest[0]}`" if rest[0] != "`" else "a value cannot begin with a backtick", at, None
    return "HW106", f"this is not YAML: {why}", at, None


def _line(lines: Sequence[str], index: int) -> str:
    return lines[index] if 0 <= index < len(lines) else ""


def _index(lines: Sequence[str], text: str) -> int:
    return list(lines).index(text)


def _tabbed(lines: Sequence[str], index: int, began: int) -> int | None:
    """The line nearest to the error whose indentation holds a tab."""
    for number in range(min(index, len(lines) - 1), max(began, index - 3) - 1, -1):
        text = _line(lines, number)
        if "\t" in text[: len(text) - len(text.lstrip())]:
            return number
    return None


def _query_at(lines: Sequence[str], index: int, began: int) -> tuple[int, int, str] | None:
    """The unquoted `query:` value nearest to the error: line index, column from 1, text."""
    for number in range(min(index, len(lines) - 1), max(began - 1, index - 5, -1), -1):
        found = re.search(r"\bquery:[ \t]*(?![\"'|>])(\S.*)", lines[number])
        if found is not None:
            return number, found.start(1) + 1, found.group(1)
    return None
