"""Faults of reading: a file, its syntax, its shape. HW101 to HW129."""

from __future__ import annotations

from headway.contract.codes.code import Code

__all__ = ["READING"]

READING: dict[str, Code] = {
    # --- the file ---------------------------------------------------------------------------------------------------
    "HW101": Code(
        "a file is not UTF-8",
        "documents are read as UTF-8 only, so that every reader sees the same text",
        "save the file as UTF-8",
        "about: caf\\xe9    # Latin-1",
    ),
    "HW102": Code(
        "a file holds no document",
        "an empty file would silently mean that nothing is agreed",
        "write a document, or remove the file",
        "# only a comment",
    ),
    "HW103": Code(
        "a file is too large",
        "a file is read whole, so its size is bounded: 16 MiB",
        "split it into several files of one folder",
        "(a file of 100 MiB)",
    ),
    "HW104": Code(
        "a document is too large",
        "one document is at most 1 MiB",
        "move what is not part of the agreement elsewhere and link to it under `links`",
        "(a document of 2 MiB)",
    ),
    "HW105": Code(
        "a path cannot be read",
        "what cannot be read cannot be checked",
        "check the path and its permissions",
        "headway check no-such-folder",
    ),
    # --- the syntax -------------------------------------------------------------------------------------------------
    "HW106": Code(
        "the text is not YAML",
        "the document cannot be read past this place, so nothing further in it was checked",
        "check the indentation, the colons and the brackets here and on the line above",
        "ramp: [{stage: now, limit: 100]",
    ),
    "HW107": Code(
        "a tab where spaces are needed",
        "YAML takes indentation in spaces only, because a tab has no width of its own",
        "replace the tab with spaces",
        "constraint:\n\tmeasure: rate",
    ),
    "HW108": Code(
        "a query without quotes",
        "braces, brackets, commas and colons of a query are read as YAML unless it is quoted",
        "put the query in single quotes: query: 'rate(http_requests_total{code=\"500\"}[5m])'",
        'metric: {query: rate(http_requests_total{code="500"}[5m]), from: prom}',
    ),
    "HW109": Code(
        "a `*` without quotes",
        "YAML reads a value that begins with `*` as an alias of something named before with `&`",
        "put it in quotes: '*'",
        "match: {user: *}",
    ),
    "HW110": Code(
        "a value begins with a reserved character",
        "`@`, `%` and the backtick have no meaning at the beginning of a value in YAML",
        "put the value in quotes",
        "members: [@ana]",
    ),
    "HW111": Code(
        "a key stands twice",
        "one of the two would be lost without a word",
        "keep one of them",
        "owner: team-a\nowner: team-b",
    ),
    "HW112": Code(
        "a document has too many nodes or aliases",
        "aliases multiply what they stand for, so they are bounded: 100 a document, 50 000 nodes with everything they "
        "stand for, 20 000 documents a file",
        "write fewer and plainer documents; `like: NAME` shares fields between contracts",
        "a: &a [x, x]\nb: &b [*a, *a]    # and so on",
    ),
    "HW113": Code(
        "a document is nested too deep",
        "no field is nested deeper than a few levels; 64 is the bound",
        "remove the extra brackets or indentation",
        "[[[[[[[[ … ]]]]]]]]",
    ),
    "HW114": Code(
        "a tag",
        "the field that receives a value decides its type, so a tag could only contradict it",
        "remove the tag",
        "limit: !!int 100",
    ),
    "HW115": Code(
        "a merge key",
        "there is one way to share fields, and it is visible in the agreement: `like`",
        "write the fields out, or use `like: NAME` with a contract that is `abstract: true`",
        "<<: *defaults",
    ),
    "HW116": Code(
        "a key that is not a word",
        "keys name fields or things; a list or a mapping cannot",
        "write a word before the colon",
        "? [a, b]\n: 1",
    ),
    "HW117": Code(
        "an alias inside what it stands for",
        "it would never end",
        "remove the alias",
        "a: &a [*a]",
    ),
    "HW118": Code(
        "a character that cannot stand in a document",
        "control characters are invisible and change what other tools read",
        "remove the character, or write it as an escape in double quotes",
        "about: bell\\x07",
    ),
    "HW119": Code(
        "a directive",
        "lines that begin with `%` change how the rest is read; documents here are all read alike",
        "remove the line",
        "%YAML 1.1",
    ),
    # --- the shape --------------------------------------------------------------------------------------------------
    "HW120": Code(
        "a document that is not a mapping",
        "every document is a mapping that begins with its kind",
        "begin with `contract: NAME` (or rollout, source, team, calendar, server)",
        "- contract: api",
    ),
    "HW121": Code(
        "a document of no known kind",
        "a document says what it is by its first field",
        "add `contract: NAME` (or rollout, source, team, calendar, server)",
        "owner: team-web\nramp: []",
    ),
    "HW122": Code(
        "a document of two kinds",
        "one document is one thing",
        "separate the two with a line `---`",
        "contract: api\nteam: dba",
    ),
    "HW123": Code(
        "an unknown field",
        "a misspelled field would silently do nothing",
        "remove it, or write it as `x-…` if it is for other tools",
        "contract: api\nownr: team-web",
    ),
    "HW124": Code(
        "a field is missing",
        "there is no safe default for it",
        "add the field",
        "ramp: [{stage: now}]",
    ),
    "HW125": Code(
        "a mapping where something else is meant",
        "this field takes another shape",
        "write a single value",
        "owner: {name: team-web}",
    ),
    "HW126": Code(
        "a mapping is meant",
        "this field holds named fields",
        "write `name: value` pairs",
        "constraint: rate",
    ),
    "HW127": Code(
        "a list is meant, or none is",
        "this field takes another shape",
        "write the items in brackets, or as lines that begin with `- `; or a single value where no list is meant",
        "ramp: now",
    ),
    "HW128": Code(
        "an empty value",
        "an empty value would be a guess at what was meant",
        "write the value, or remove the field",
        "owner:",
    ),
    "HW129": Code(
        "more faults than are shown",
        "one document shows at most 100 faults",
        "mend the ones shown and check again",
        "(a document with 1 000 unknown fields)",
    ),
}
