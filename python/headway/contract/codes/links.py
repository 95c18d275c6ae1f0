"""Faults between documents: names that nothing has, circles, two of one kind. Of HW2xx."""

from __future__ import annotations

from headway.contract.codes.code import Code

__all__ = ["LINKS"]

LINKS: dict[str, Code] = {
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
    "HW251": Code(
        "a contract that requires itself",
        "its stage would have to be there before it can come",
        "require another contract, or remove it",
        "contract: a\nramp: [.., {stage: b, when: {requires: {a: b}}, …}]",
    ),
}
