"""What `--help` says: one text a command, with examples. `docs/commands.md` holds the same names, by test."""

from __future__ import annotations

ABOUT = """Explicit limits that move on evidence and are enforced.

\b
  headway check contracts/        is what is written sound?
  headway serve contracts/        run it
  headway explain orders-db       why this number, and what does it wait for?

Exit codes: 0 ok, 1 errors or refused, 2 unusable input, 3 server unreachable, 4 no access.
"""

LEDGER = "Reads the ledger: verify, tail, replay."


def _help(text: str, *examples: str) -> str:
    """A text and its examples, in a block that is not wrapped."""
    return text + "\n\n\b\nExamples:\n" + "\n".join(f"  {example}" for example in examples)


def _many(verb: str) -> tuple[str, ...]:
    return (
        f"headway {verb} orders-db",
        f"headway {verb} orders-db --yes --reason 'load test'",
        f"headway {verb} --label service=orders",
        f"headway {verb} --spending cluster-cpu",
    )


HELPS: dict[str, str] = {
    "check": _help(
        "Reports every fault of documents, with its line and its mend.",
        "headway check contracts/",
        "headway check contracts/ --strict --format github",
        "headway check contracts/ --format sarif > headway.sarif",
    ),
    "schema": _help("Prints the JSON Schema of the documents, for editors.", "headway schema > headway.schema.json"),
    "explain": _help(
        "Explains a file, a running contract, a refusal, or a code.",
        "headway explain contracts/orders-db.yaml",
        "headway explain orders-db",
        "headway explain hw:7f3a",
        "headway explain HW202",
    ),
    "serve": _help(
        "Runs the engine and its API until a signal.",
        "headway serve contracts/",
        "headway serve contracts/ --listen 127.0.0.1:7700 --data /var/lib/headway",
        "headway serve contracts/ --store 'postgresql://headway@db.example/headway?password=env:DB' --standby",
        "headway serve contracts/ --watch",
    ),
    "apply": _help(
        "Applies the first version of contracts, all of them or none.",
        "headway apply contracts/orders-db.yaml",
        "headway apply contracts/ --yes --reason 'first version'",
    ),
    "approve": _help(
        "Says yes to a stage, for a group. It counts for the terms that were shown.",
        "headway approve orders-db",
        "headway approve orders-db --stage replica --as dba --yes --reason 'replica checked'",
    ),
    "hold": _help("Stops a ramp where it is, until resumed. No climb and no next stage meanwhile.", *_many("hold")),
    "resume": _help(
        "Ends a hold: a climb that was stopped goes on. Where there is none, it ends an override before its time; "
        "where that raises the limit it wants a second person.",
        *_many("resume"),
        "headway resume orders-db --second bo.token",
    ),
    "advance": _help(
        "Skips what is left of the next stage's soak, once. Everything else must hold.", *_many("advance")
    ),
    "step-back": _help("Goes back to the stage before; in the first one, to the floor.", *_many("step-back")),
    "override": _help(
        "Sets another limit until an instant. Above the stage's limit it wants a second person.",
        "headway override orders-db 40 --until 2h",
        "headway override search requests=100 tokens=5k --until '2026-12-01T09:00 Europe/Paris'",
    ),
    "abort": _help(
        "Ends a ramp at its floor, else its first stage. It stays there until a new version.", *_many("abort")
    ),
    "retire": _help("Ends a contract; refused while something spends it.", *_many("retire")),
    "event": _help(
        "Sends an event, as a pipeline would. The same source and id count once.",
        "headway event replica.promoted --source https://ci.example/orders --id build-4711",
    ),
    "attach": _help(
        "Prints what puts a front before a contract, or tries one. Each front has a page: docs/attach/FRONT.md.",
        "headway attach nginx orders-api",
        "headway attach envoy orders-api --data-plane 10.0.0.7:7701 > ratelimit.yaml",
        "headway attach caddy orders-api --test http://127.0.0.1:8080/",
    ),
    "ledger verify": _help(
        "Checks chain, order, and states by their replay.",
        "headway ledger verify",
        "headway ledger verify --data /var/lib/headway",
        "headway ledger verify --store postgresql://headway@db.example/headway",
    ),
    "ledger tail": _help(
        "Shows the latest entries: what changed, who, why.",
        "headway ledger tail",
        "headway ledger tail -n 50 --contract orders-db",
    ),
    "ledger replay": _help("Folds all entries and shows the states they lead to.", "headway ledger replay --json"),
    "version": _help("Prints the versions of Headway and its core.", "headway version --json"),
}
