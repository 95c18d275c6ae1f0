"""Faults of single values: numbers, spans, shares, time, words. HW130 to HW168."""

from __future__ import annotations

from headway.contract.codes.code import Code

__all__ = ["VALUES"]

VALUES: dict[str, Code] = {
    # --- numbers ----------------------------------------------------------------------------------------------------
    "HW130": Code(
        "not a number",
        "this field takes a number of units; k, M, G, Ki, Mi, Gi may follow it",
        "write a number such as 100, 2.5 or 10k",
        "limit: many",
    ),
    "HW131": Code(
        "a comma in a number",
        "YAML and people disagree on what a comma in a number means",
        "write it without the comma: 10000 or 10k",
        "limit: 10,000",
    ),
    "HW132": Code(
        "not a finite number",
        "a limit is a number; unlimited and unknown are not numbers here",
        "write a number",
        "limit: .inf",
    ),
    "HW133": Code(
        "a number out of bounds",
        "amounts are whole millionths up to 2^53 of them: at most 9 007 199 254.740992 units",
        "write a smaller number, or choose a larger unit",
        "limit: 1e400",
    ),
    "HW134": Code(
        "a negative number",
        "there is no less than nothing to give out",
        "write a number above zero",
        "limit: -5",
    ),
    "HW135": Code(
        "zero",
        "zero is not a limit but a ban, and hides that nothing can ever pass",
        "write a number above zero",
        "limit: 0",
    ),
    "HW136": Code(
        "a number that is too fine",
        "amounts and factors are exact to a millionth",
        "round it to six decimals",
        "spends: 0.12345678",
    ),
    "HW137": Code(
        "an unknown unit",
        "this unit is not one of those that the field takes",
        "numbers take k, M, G, Ki, Mi, Gi; durations ms, s, min, h, d, w; sizes B, kB, MB, GB, KiB, MiB, GiB",
        "wait: 5parsecs",
    ),
    "HW138": Code(
        "an `m` that could mean two things",
        "`500m` is 500 minutes to one reader and half a unit to another",
        "write 500ms, 500min or 0.5",
        "limit: 500m",
    ),
    "HW139": Code(
        "not true or false",
        "this field is a yes or a no",
        "write true or false",
        "abstract: perhaps",
    ),
    "HW140": Code(
        "not a whole number",
        "this field counts things",
        "write a whole number",
        "need: 1.5",
    ),
    # --- spans, shares ----------------------------------------------------------------------------------------------
    "HW141": Code(
        "not a duration",
        "a duration is a number with its unit: ms, s, min (or m), h, d, w; several may follow each other",
        "write something like 500ms, 30s, 24h or 1h30m",
        "wait: soon",
    ),
    "HW142": Code(
        "a duration without a unit",
        "5 could be seconds or minutes",
        "add the unit: 5s, 5min, 5h",
        "wait: 5",
    ),
    "HW143": Code(
        "a bare `M` in a duration",
        "it could be minutes or months, and a month has no fixed length",
        "write min for minutes, or days: 30d",
        "every: 5M",
    ),
    "HW144": Code(
        "a duration out of bounds",
        "durations are whole milliseconds, up to 3 660 days; where nothing would happen at zero, above zero",
        "write a duration within the bounds",
        "max_hold: 100000d",
    ),
    "HW145": Code(
        "not a share",
        "this field takes a part of a whole: a percentage from 0% to 100%",
        "write a percentage such as 60%",
        "above: most",
    ),
    "HW146": Code(
        "a percentage where a number is meant",
        "a percentage needs something that it is a part of",
        "write the number itself",
        "limit: 10%",
    ),
    "HW147": Code(
        "a threshold of no known form",
        "a reading is compared with a number, a duration, a size or (with `relative`) a percentage",
        "write something like 0.01, 250ms, 5GiB",
        "below: fast",
    ),
    # --- time -------------------------------------------------------------------------------------------------------
    "HW148": Code(
        "not an instant or a date",
        "instants are written as YYYY-MM-DDTHH:MM and a zone, dates as YYYY-MM-DD",
        "write something like 2026-12-01T09:00 America/New_York, or 2026-12-01T14:00Z",
        "not_before: next tuesday",
    ),
    "HW149": Code(
        "no such date or time",
        "the calendar does not have it",
        "write a date that exists",
        "not_before: 2027-02-30T09:00Z",
    ),
    "HW150": Code(
        "a time without a zone",
        "without a zone it is 24 different instants",
        "add a zone: Z, +02:00, or a name such as America/New_York",
        "not_before: 2026-12-01T09:00",
    ),
    "HW151": Code(
        "an unknown zone",
        "zones are named as in the IANA time zone database",
        "write a name such as Europe/Berlin or UTC",
        "zone: Europe/Springfield",
    ),
    "HW152": Code(
        "not an interval",
        "an interval is a start, a slash, an end after the start, and a zone",
        "write something like 2027-02-06T02:00/04:00 America/New_York",
        "during: 2027-02-06",
    ),
    "HW153": Code(
        "an interval that ends before it starts",
        "nothing lies in it",
        "swap the two, or write the date of the end",
        "during: 2027-02-06T22:00/04:00 UTC",
    ),
    "HW154": Code(
        "not a period",
        "`per` is a duration for a rate; hour, day, week or month for a quota",
        "write something like 1s, or day",
        "per: fortnight",
    ),
    "HW155": Code(
        "calendar text that cannot be read",
        "open hours are days and times; closed ones dates, or dates from/to",
        "write something like `Mon-Fri 09:00-17:00` or `2026-12-24/2027-01-02`",
        "open: office hours",
    ),
    # --- words ------------------------------------------------------------------------------------------------------
    "HW160": Code(
        "not a name",
        "names are lower-case letters, digits, `-` and `_`, at most 63, beginning and ending with a letter or digit",
        "write a name such as orders-db",
        "contract: Orders DB",
    ),
    "HW161": Code(
        "not a stage's name",
        "a stage's name is letters, digits, `.`, `-` and `_`, at most 63, beginning with a letter or digit",
        "write a name such as replica or 1687.5",
        "stage: the big one",
    ),
    "HW162": Code(
        "text that is too long or has control characters",
        "texts are shown in terminals, headers and dashboards: 1 to 4 096 printable characters, line breaks allowed",
        "shorten it, or remove what cannot be seen",
        'about: "\\e[31mred"',
    ),
    "HW163": Code(
        "not one of the words this field takes",
        "this field takes one of a few words",
        "write one of them",
        "measure: throughput",
    ),
    "HW164": Code(
        "a secret in the open",
        "documents are reviewed, stored and shown; a secret in one is a secret no more",
        "write env:NAME or file:PATH, and change the secret if this one was real",
        "token: (the token itself)",
    ),
    "HW165": Code(
        "a breach that is not `m of n`",
        "a guard acts when m of its last n measurements failed",
        "write something like 3 of 5, with 1 <= m <= n <= 100",
        "breach: often",
    ),
    "HW166": Code(
        "an address that cannot be used",
        "`listen` is HOST:PORT; urls and links begin with http:// or https://, stores with sqlite:/// or postgresql://; "
        "none holds a password",
        "write something like 127.0.0.1:7700, or https://prometheus.example:9090",
        "listen: everywhere",
    ),
    "HW167": Code(
        "a token's hash that is none",
        "a token is kept as the SHA-256 of itself: 64 hexadecimal digits, with or without `sha256:` before them",
        "write the hash, never the token",
        "hash: hunter2",
    ),
    "HW168": Code(
        "a count or a list out of bounds",
        "counts, lists and maps are bounded",
        "write a number, or as many entries, as there may be",
        "need: 1000",
    ),
    "HW169": Code(
        "an attribute that is none",
        "a `match` looks at what is said of whoever asks: `user`, `application`, `path`, `header.x-tenant`",
        "write a letter, then letters, digits, `.`, `-`, `_`, at most 64 in all; a header's name in lower case",
        "workloads: {checkout: {match: {header.X-Tenant: shop}}}",
    ),
}
