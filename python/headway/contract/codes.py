"""The catalogue of faults in documents: HW1xx reading the text, HW2xx what it means, HW308 a limit over its capacity.

One code is one kind of mistake. `why` and `mend` are what a finding says where nothing closer is known; `example` is
the mistake, short, for `headway explain CODE`. The codes are stable; the words may improve.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CODES", "Code"]


@dataclass(frozen=True, slots=True)
class Code:
    """What `headway explain CODE` says."""

    title: str
    why: str
    mend: str
    example: str

    def as_text(self, code: str) -> str:
        example = "\n".join(f"    {line}" for line in self.example.splitlines())
        return f"{code}: {self.title}\n\n{self.why}\n\nFor example:\n\n{example}\n\nTo mend it: {self.mend}"


CODES: dict[str, Code] = {
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
        "`listen` is HOST:PORT; a source's url and a link begin with http:// or https:// and hold no password",
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
    # --- the four questions, and what a contract says about itself ------------------------------------------------
    "HW201": Code(
        "nobody stresses it",
        "a contract answers four questions; this leaves open what stresses the constraint",
        "name the workloads (at least `workloads: {other: {}}`), or let a contract spend it under `upstream`",
        "contract: api    # without workloads, spent by nothing",
    ),
    "HW202": Code(
        "a later stage without a trigger",
        "a contract answers four questions; this leaves open what must be true before the limit grows",
        "add `when:` with a date, a soak, an event, a metric, a requirement or an approval",
        "ramp: [{stage: now, limit: 1}, {stage: later, limit: 2}]",
    ),
    "HW203": Code(
        "a first stage with a trigger",
        "the first stage is the limit in force from the beginning; nothing comes before it that could wait",
        "remove `when` and `climb` there, or add a stage before it",
        "ramp: [{stage: now, limit: 1, when: {approval: dba}}]",
    ),
    "HW204": Code(
        "a stage stands twice",
        "stages are known by name: in approvals, in requirements, in amendments",
        "rename one of them",
        "ramp: [{stage: now, limit: 1}, {stage: now, limit: 2, when: {approval: dba}}]",
    ),
    "HW205": Code(
        "an unknown upstream",
        "capacity that nobody declares cannot be spent",
        "name a contract that exists, or add its document",
        "upstream: [{contract: nowhere, spends: 1}]",
    ),
    "HW206": Code(
        "an unknown contract is required",
        "a stage that waits for something that does not exist never comes",
        "name a contract that exists, or add its document",
        "when: {requires: {nowhere: 80}}",
    ),
    "HW207": Code(
        "an unknown stage or dimension is required",
        "a stage that waits for something that does not exist never comes",
        "name a stage of that contract's ramp, or levels of its dimensions",
        "when: {requires: {cluster-cpu: no-such-stage}}",
    ),
    "HW208": Code(
        "contracts spend each other in a circle",
        "then none of them has capacity of its own",
        "remove one of the links under `upstream`",
        "a spends b, b spends a",
    ),
    "HW209": Code(
        "`requires` or `approval` inside `any`",
        "who must agree and what must stand is never one of several choices",
        "move it up, beside `any`",
        "when: {any: [{approval: dba}, {event: x}]}",
    ),
    "HW210": Code(
        "dimensions that differ",
        "limits, floors, totals, capacities and spends name exactly the dimensions of the constraint",
        "use the names that stand under `constraint`",
        "constraint: {requests: …, tokens: …}\nramp: [{stage: now, limit: {request: 1}}]",
    ),
    "HW211": Code(
        "a rate or quota without `per`",
        "100 is not a rate until it is 100 a second",
        "add `per`: a duration for a rate; hour, day, week or month for a quota",
        "constraint: {measure: rate, unit: request}",
    ),
    "HW212": Code(
        "a `per` of the wrong kind",
        "a rate has a duration, a quota a calendar window, a concurrency neither",
        "write `per: 1s` (up to 31d) for a rate, `per: day` for a quota, nothing for a concurrency",
        "constraint: {measure: quota, per: 24h}",
    ),
    "HW213": Code(
        "a concurrency bound where no end is seen",
        "RLS and RLQS never tell when a request ended, so a slot would never come back",
        "bind a rate or a quota there; bind a concurrency through the library or a gateway",
        "enforce: {bind: [{rls: {domain: edge, descriptor: {service: orders}}}]}",
    ),
    "HW214": Code(
        "over-subscription without a reason",
        "promising more than there is wants a reason that can be read later",
        "add `because`",
        "constraint: {…, oversubscribe: 1.5}",
    ),
    "HW215": Code(
        "over-subscription below 1",
        "it is the ratio by which spenders may exceed the limit; less than 1 would be a lower limit",
        "write 1 or more, or lower the limit",
        "constraint: {…, oversubscribe: 0.5}",
    ),
    "HW216": Code(
        "a floor over a stage",
        "the floor is what is always there, so no stage can be below it",
        "lower the floor to the lowest stage's limit, or raise that stage",
        "ramp: [{stage: now, limit: 10}]\nenforce: {floor: 20}",
    ),
    "HW217": Code(
        "exceptions that overlap",
        "two limits would be in force at once",
        "let one end before the next begins",
        "exceptions: [{during: 2027-02-06T02:00/04:00Z, …}, {during: 2027-02-06T03:00/05:00Z, …}]",
    ),
    "HW218": Code(
        "exceptions out of order",
        "a list in the order of time is read right by people, too",
        "sort them by their start",
        "exceptions: [{during: 2027-03-06T02:00/04:00Z, …}, {during: 2027-02-06T02:00/04:00Z, …}]",
    ),
    "HW219": Code(
        "an exception above the limit without approval",
        "an exception below the stage's limit is caution; one above is a raise, and somebody has to agree to it",
        "add `approval`, or lower its limit to that of the lowest stage",
        "exceptions: [{during: …, limit: 9000, reason: sale}]",
    ),
    "HW220": Code(
        "a burst below one unit",
        "at the lowest limit this burst would not let a single unit through",
        "write a longer burst",
        "constraint: {measure: rate, per: 1s, burst: 1ms}    # at 100 a second",
    ),
    "HW221": Code(
        "a field that this measure does not have",
        "`burst` and `after_crash` belong to a rate, `max_hold` to a concurrency, `cost` to a rate or a quota",
        "remove the field",
        "constraint: {measure: concurrency, burst: 1s}",
    ),
    "HW222": Code(
        "a cost's maximum below its estimate",
        "what is reserved is at most what may be settled",
        "raise `max`, or lower `estimate`",
        "cost: {estimate: 500, max: 100}",
    ),
    "HW223": Code(
        "`each` without a key or a count",
        "the limit holds for each of something, and the proof multiplies by how many there are",
        "write `each: {key: team, count: 40}`",
        "each: {count: 40}",
    ),
    "HW224": Code(
        "more scaled keys than keys",
        "every key in `scale` is one of `count`",
        "raise `count`, or name fewer keys",
        "each: {key: team, count: 1, scale: {a: 2, b: 2}}",
    ),
    "HW225": Code(
        "an unknown calendar",
        "raises that wait for a calendar that does not exist never come",
        "name a `calendar:` that exists, or add its document",
        "raise_in: no-such-hours",
    ),
    "HW226": Code(
        "an unknown source",
        "a measurement that nobody takes never passes",
        "name a `source:` that exists, or add its document",
        "metric: {query: up, from: no-such-source, above: 0}",
    ),
    "HW227": Code(
        "an unknown team",
        "once teams are declared, owners and approvers are among them: an approval by nobody never comes",
        "name a `team:` that exists, or add its document",
        "approval: dbas",
    ),
    "HW228": Code(
        "too many labels",
        "labels go into every metric; 16 is the bound",
        "keep the ones that are searched by",
        "labels: {a: 1, b: 2, …}",
    ),
    "HW229": Code(
        "two documents of one name",
        "one of the two would be lost without a word",
        "rename or remove one",
        "contract: api    # in two files",
    ),
    "HW230": Code(
        "`like` an unknown contract",
        "fields are taken from a contract that exists",
        "name a contract that exists, or add its document",
        "like: no-such-contract",
    ),
    "HW231": Code(
        "`like` in a chain or a circle",
        "fields are taken from one place, one level, so that a reader looks at two documents at most",
        "take `like` out of the contract that is named, or name the one it names",
        "a is like b, b is like c",
    ),
    "HW232": Code(
        "stages and a growth law",
        "`grow` writes the stages; there is one ramp",
        "keep `ramp` or `grow`",
        "ramp: […]\ngrow: {start: 500, step: 50%, every: 5m, until: 100k}",
    ),
    "HW233": Code(
        "a growth law that does not arrive",
        "a law grows from `start` to `until` in at most 500 stages",
        "let `until` be above `start`, or the steps be larger",
        "grow: {start: 1, step: 1, every: 1s, until: 1M}",
    ),
    "HW234": Code(
        "a growth law for several dimensions",
        "a law grows one number",
        "write the stages out under `ramp`",
        "constraint: {requests: …, tokens: …}\ngrow: {…}",
    ),
    "HW235": Code(
        "a soak that can never pass",
        "use is never strictly above the whole limit",
        "write a share below 100%",
        "soak: {for: 1h, above: 100%}",
    ),
    "HW236": Code(
        "a metric without a bound, or with one that cannot hold",
        "a condition states what is healthy: strictly below one number, strictly above another, or both",
        "add `below` or `above`, of one kind, the first the larger",
        "metric: {query: up, from: prom}",
    ),
    "HW237": Code(
        "a percentage where a number is meant",
        "a query gives a plain number: 10% of it could be 0.1 or 10",
        "write 0.1 if the query gives a ratio, 10 if it gives percent; with `relative: previous` a percentage is right",
        "metric: {query: error_ratio, from: prom, below: 10%}",
    ),
    "HW238": Code(
        "an empty trigger",
        "with nothing to wait for, the next stage would come at once",
        "write a condition, or remove the stage before",
        "when: {}",
    ),
    "HW239": Code(
        "an upstream named twice",
        "it is not said whether the two add up",
        "write one entry with the sum",
        "upstream: [{contract: a, spends: 1}, {contract: a, spends: 2}]",
    ),
    "HW240": Code(
        "a limit above what a meter holds",
        "what is in flight is counted in 48 bits of millionths: a concurrency is at most 281 474 976 units",
        "choose a larger unit",
        "constraint: {measure: concurrency}\nramp: [{stage: now, limit: 1G}]",
    ),
    "HW241": Code(
        "an empty ramp",
        "a contract answers four questions; this leaves open what the limit is",
        "write at least one stage: `ramp: [{stage: now, limit: 100}]`",
        "ramp: []",
    ),
    "HW242": Code(
        "promises out of order",
        "stages come one after the other, so a later one is not there before an earlier one",
        "correct one of the dates",
        "ramp: […, {stage: a, promised: 2027-03-01, …}, {stage: b, promised: 2027-02-01, …}]",
    ),
    "HW243": Code(
        "an old name that is still in use",
        "`was` names what a stage was called before; two stages cannot be the same one",
        "remove `was`, or rename the other stage",
        "ramp: [{stage: a, …}, {stage: b, was: a, …}]",
    ),
    "HW244": Code(
        "an abstract contract is used",
        "an abstract contract only lends its fields; it never runs and has no capacity",
        "name a contract that runs, or remove `abstract: true` there",
        "upstream: [{contract: defaults, spends: 1}]",
    ),
    "HW245": Code(
        "more than one server",
        "one set of documents runs on one server",
        "keep one `server:` document",
        "server: a\n---\nserver: b",
    ),
    "HW246": Code(
        "a rollout for an unknown contract",
        "demand on something that does not exist cannot be carried",
        "name a contract that exists, or add its document",
        "rollout: new-checkout\ndemand: {nowhere: 300}",
    ),
    "HW247": Code(
        "a rollout whose steps do not rise",
        "steps are shares of the audience, each above the one before",
        "sort them, and remove the equal ones",
        "steps: [{share: 25%}, {share: 5%}]",
    ),
    "HW248": Code(
        "a token named twice",
        "a token's name is how the ledger says who acted",
        "rename one of them",
        "tokens: [{name: ci, …}, {name: ci, …}]",
    ),
    "HW249": Code(
        "a dimension that could be a field",
        "a dimension named like a field of the constraint would be read as that field",
        "rename the dimension",
        "constraint: {per: {measure: rate, per: 1s}}",
    ),
    "HW250": Code(
        "a guarantee above its ceiling",
        "a workload is never promised more than it may take",
        "lower `guarantee`, or raise `ceiling`",
        "workloads: {a: {guarantee: 60%, ceiling: 40%}}",
    ),
    "HW251": Code(
        "a contract that requires itself",
        "its stage would have to be there before it can come",
        "require another contract, or remove it",
        "contract: a\nramp: [.., {stage: b, when: {requires: {a: b}}, …}]",
    ),
    "HW252": Code(
        "an approver named twice",
        "one yes of a group would count for both entries, so the second asks for nothing",
        "write it once; {by: dba, need: 2} asks for two people of the group",
        "approval: [dba, dba]",
    ),
    "HW290": Code(
        "a field that this version reads and checks, and does not act on yet",
        "running the contract without it would silently do less than was agreed",
        "remove the field to run the contract now, or wait for the version that acts on it",
        "locked: 2027-01-01",
    ),
    # --- shared with the proof ------------------------------------------------------------------------------------
    "HW308": Code(
        "a limit over its capacity",
        "the thing itself does not hold that much",
        "lower the limit, or say under `capacity` of the stage or exception what will hold then",
        "constraint: {…, capacity: 420}\nramp: [{stage: now, limit: 500}]",
    ),
}
