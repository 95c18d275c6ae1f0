"""The HW4xx and HW5xx codes: what can go wrong between a caller and a running Headway, and how to mend it.

One table serves the API's statuses, `headway explain CODE` and the index in `docs/errors.md`; tests compare them, and
see that no error class has a code that is not here. Where a HTTP status says the same thing, the code's last two digits
are the status's, so that a person who knows one knows the other.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of mistake: its HTTP status (0 where the server never answers it), what it is, why, how to mend it."""

    status: int
    title: str
    because: str
    mend: str


CODES: dict[str, Code] = {
    "HW400": Code(
        400,
        "the request is not one the server can take apart",
        "A header or the CloudEvents attributes in it are missing, doubled or malformed; nothing was changed.",
        "Mend what the problem names and send it again; `/openapi.json` shows every call with an example.",
    ),
    "HW401": Code(
        401,
        "no token, or one that is not known",
        "Every call but /healthz and /readyz is authenticated, on loopback too: whoever can raise a limit can take "
        "down what it protects.",
        "Send `Authorization: Bearer TOKEN`; on one machine the tokens stand in `tokens/local` and `tokens/approver` "
        "of the server's folder, and `headway` reads them by itself.",
    ),
    "HW403": Code(
        403,
        "the token may not do this",
        "Reads want the role viewer, verbs and events want operator, an approval wants approver with that group.",
        "Use a token that has the role or the group named in the problem, or ask its owner.",
    ),
    "HW404": Code(
        404,
        "there is no contract of that name",
        "The ledger holds none; a file that was not applied does not count.",
        "Take one of the nearest names the problem lists, or apply the contract: `headway apply PATH`.",
    ),
    "HW405": Code(
        404,
        "the contract has no stage of that name",
        "Stages are known by the names in `ramp:`; those of a growth law by their level.",
        "Take one of the nearest names the problem lists; `headway explain NAME` shows the ramp.",
    ),
    "HW406": Code(
        404,
        "the contract names no such workload",
        "A program names one of the contract's `workloads`; for what a request calls itself, `other` takes the rest.",
        "Take one of the nearest names, or declare it; add `other: {}` for requests that may call themselves anything.",
    ),
    "HW407": Code(
        404,
        "the reference of a refusal is not known, or no longer",
        "The last 4,096 refusals that were asked about are remembered, and none over a restart.",
        "Provoke the refusal again and ask at once; what changed the limit stays in `headway ledger tail`.",
    ),
    "HW408": Code(
        408,
        "the body took too long to arrive",
        "A body has to arrive within 30 seconds, so that slow senders cannot hold the server.",
        "Send it again.",
    ),
    "HW410": Code(
        404,
        "the API has no such path",
        "The path, or its version, is not one of this server's.",
        "`GET /` names the paths, `/openapi.json` describes them.",
    ),
    "HW411": Code(
        405,
        "the path is known, but not with this method",
        "Reads are GET, changes are POST.",
        "Use the method in the `Allow` header.",
    ),
    "HW412": Code(
        404,
        "this token has no such lease",
        "It was ended, its time is over, or another token took it; a restart ends the names of leases, not what they hold.",
        "Take a slot anew with `hold`; renew a lease before its end.",
    ),
    "HW413": Code(
        413,
        "the body is too large",
        "A body is read whole, so its size is bounded: 1 MiB for `/v1/apply`, 64 KiB for everything else.",
        "Apply fewer documents at once; put an event's payload elsewhere and send a link.",
    ),
    "HW414": Code(
        409,
        "this lease is asked back",
        "The limit was cut below what is in flight, and the contract asks slots back: as many leases as come to what is above "
        "the limit are not renewed.",
        "End the work and the lease; what is still held at its end is given back then.",
    ),
    "HW415": Code(
        415,
        "the body is of a kind this path does not take",
        "Verbs take application/json, `/v1/apply` takes application/yaml, `/v1/events` one CloudEvent in binary or "
        "structured mode; a batch is not taken because its events could not be answered one by one.",
        "Set `Content-Type` to a kind the problem names; send the events of a batch one at a time.",
    ),
    "HW416": Code(
        421,
        "the server does not answer to this host name",
        "A page on another site could otherwise point a name of its own at this address and act as you.",
        "Use the address the server listens on, or add the name to `allowed_hosts` of the `server:` document.",
    ),
    "HW417": Code(
        403,
        "a change was asked for by a page of another site",
        "The `Origin` header names another site than the one that was called; a browser sends it, commands do not.",
        "Make the change with `headway`, or from a page this server itself serves.",
    ),
    "HW422": Code(
        422,
        "the body or a parameter does not say what is needed",
        "A field is missing, unknown, or not of its kind; nothing was changed.",
        "Mend the fields the problem lists; `/openapi.json` shows an example of each call.",
    ),
    "HW428": Code(
        409,
        "the contract is not the version that was expected",
        "It was changed since the digest that came with the request was read, so the yes may be for other terms.",
        "Read it again with `headway explain NAME`, and repeat the command if it still is what you want.",
    ),
    "HW429": Code(
        503,
        "too many streams are open",
        "Each live stream holds a connection and a queue, so their number is bounded.",
        "Close one, or try again after the seconds in `Retry-After`.",
    ),
    "HW430": Code(
        0,
        "the server cannot be reached",
        "Nothing answers at the address, or it does not answer in time.",
        "Start one with `headway serve PATH`, or name another with `--server` or HEADWAY_URL.",
    ),
    "HW431": Code(
        0,
        "there is no token to call the server with",
        "Every call is authenticated; no `--token-file`, no HEADWAY_TOKEN, and no `.headway/tokens/` here.",
        "Run it where the server's folder is, or give `--token-file FILE`, or set HEADWAY_TOKEN.",
    ),
    "HW432": Code(
        0,
        "the command would change something and nobody said yes",
        "There is no terminal to ask on.",
        "Look at what it says it will do, and add `--yes --reason TEXT`.",
    ),
    "HW433": Code(
        0,
        "what was asked for cannot be understood",
        "An argument of the command is missing, unknown, or contradicts another one.",
        "`headway COMMAND --help` shows the arguments with examples.",
    ),
    "HW434": Code(
        0,
        "the server answered something that is not Headway's",
        "Another program listens there, or a proxy in between answered in its place.",
        "Check the address given by `--server` or HEADWAY_URL.",
    ),
    "HW440": Code(
        0,
        "refuses to listen beyond this machine without tokens",
        "On another address than loopback anybody on the network can call, and the two local tokens are one person's.",
        "Add a `server:` document with `tokens:`, or listen on 127.0.0.1.",
    ),
    "HW441": Code(
        0,
        "refuses to listen beyond this machine without TLS",
        "Tokens would cross the network in the clear.",
        "Give `--tls-cert` and `--tls-key`, or say `--insecure-no-tls` where something in front ends TLS.",
    ),
    "HW442": Code(
        0,
        "a token file can be read by others, or is not a token",
        "A token is as good as its owner's word; a file that others can read is nobody's secret any more.",
        "Delete the file and start again: a new token is made. Keep the folder at mode 0700.",
    ),
    "HW443": Code(
        0,
        "the address to listen on cannot be used",
        "It is not HOST:PORT, or the port is taken or not allowed.",
        "Give `--listen 127.0.0.1:7700`, or another free port.",
    ),
    "HW444": Code(
        0,
        "a token's hash is not a SHA-256",
        "Tokens are kept as 64 hexadecimal digits, with or without `sha256:` before them.",
        'Take the output of `printf %s "$TOKEN" | sha256sum`.',
    ),
    "HW445": Code(
        0,
        "the server's certificate is not believed",
        "Nobody this machine believes vouches for it, or it is for another name; the token was not sent.",
        "Pass `ca_file=` with the certificate of who signed it, and connect to a name it is for.",
    ),
    "HW451": Code(
        0,
        "a front that cannot enforce this contract",
        "A front knows when a request comes, and neither when it ends nor what its own configuration does not tell it.",
        "Take the front that the message names, or enforce the contract in the application.",
    ),
    "HW452": Code(
        0,
        "a front that lets through what is refused",
        "The request was refused by the check, and the front did not answer 429.",
        "Compare its configuration with what `headway attach FRONT NAME` prints.",
    ),
    "HW500": Code(
        500,
        "something went wrong inside Headway",
        "This is a mistake of Headway's, not of the caller's; nothing was half changed.",
        "Look into the server's log at this instant, and report it with what it says.",
    ),
    "HW501": Code(
        503,
        "another process, or the parent of this forked one, holds the folder",
        "One data folder has one engine: two would each hand out the whole limit.",
        "Open a folder of its own, or run `headway serve` once and call it over HTTP.",
    ),
    "HW502": Code(
        503,
        "the ledger is damaged, cut short, or not a ledger",
        "Its chain of hashes, or the file itself, contradicts what it says; nothing moves on such a ground.",
        "`headway ledger verify` names the first bad entry; restore the folder from a copy made before it.",
    ),
    "HW503": Code(
        503,
        "the ledger may not be written",
        "Every change is in the ledger before it takes effect, so without writing nothing rises or falls.",
        "Make the folder writable for the user the server runs as; the limits in force stay enforced meanwhile.",
    ),
    "HW504": Code(
        503,
        "there is no room for another entry of the ledger",
        "Every change is in the ledger before it takes effect, so a full disk stops all moves.",
        "Free space; the engine goes on by itself, and the limits in force stay enforced meanwhile.",
    ),
    "HW505": Code(
        503,
        "the disk fails, or another program keeps the ledger locked",
        "The write did not reach the disk, so what it would have recorded did not happen.",
        "Look at the disk's own errors; close the program that has the file open.",
    ),
    "HW506": Code(
        503,
        "a later run has taken the ledger over",
        "Two writers would each think they are alone; the older one is shut out.",
        "Stop this process; the later one goes on.",
    ),
    "HW507": Code(
        409,
        "the verb, approval or event cannot be taken now",
        "The contract's state does not allow it: it has ended, or it is not the one that was expected.",
        "`headway explain NAME` says where it stands and what it waits for.",
    ),
    "HW508": Code(
        409,
        "the move would promise more than an upstream guarantees",
        "What all spenders may admit together would exceed the upstream's limit in force.",
        "Raise the upstream first, or another spender has to fall.",
    ),
    "HW509": Code(
        409,
        "the clock is suspected, so raises wait",
        "Wall and monotonic time parted, or the clock was not synchronised at start; cuts still proceed.",
        "Let the clock be stable for five minutes, or confirm it: `POST /v1/clock`.",
    ),
    "HW510": Code(
        409,
        "the ramp has ended",
        "An aborted, superseded or retired ramp does not move any more; its limit stays until something replaces it.",
        "Apply a new version of the contract.",
    ),
    "HW511": Code(
        404,
        "the approval names no stage of this contract",
        "Stages are known by the names in `ramp:`, an exception as `exception:0` for the first one.",
        "Name one of the stages the problem lists.",
    ),
    "HW512": Code(
        409,
        "the approval is for other terms",
        "An approval counts for exactly the terms its giver read: constraint, workloads, ramp and what goes with them.",
        "Read `headway explain NAME` and approve what is in force.",
    ),
    "HW513": Code(
        409,
        "the stage does not ask this group",
        "An approval counts where the contract asks for it, and nowhere else.",
        "Approve for one of the groups the problem lists.",
    ),
    "HW514": Code(
        409,
        "a second person is needed",
        "Who applied a version or asked for a raise cannot also say yes to it.",
        "Ask another person; an override, and a resume that ends one, takes their token with `--second`.",
    ),
    "HW515": Code(
        409,
        "this person has approved already",
        "One person counts once, however often they say yes.",
        "Nothing is to be done; ask another member of the group if more are needed.",
    ),
    "HW516": Code(
        409,
        "there is nothing for this verb to do",
        "The contract already stands where the verb would bring it, or has no such place.",
        "`headway explain NAME` says where it stands.",
    ),
    "HW517": Code(
        422,
        "an override without a usable limit or end",
        "It replaces the limit by a number for a bounded time, so it needs both.",
        "Give a number from 0 up for a dimension of the contract, and an end within a year.",
    ),
    "HW518": Code(
        409,
        "a raise has to wait",
        "The clock is suspected, or an upstream has no room for it; cuts still proceed.",
        "Do what the problem names, then ask again.",
    ),
    "HW519": Code(
        422,
        "a verb wants a reason",
        "The ledger keeps who changed what, and why.",
        "Say it with `--reason`.",
    ),
    "HW520": Code(
        422,
        "a later version of Headway brings this",
        "The documents may already say it, but nothing acts on it yet, and silence would be a lie.",
        "Leave it out for now; the problem says what works today.",
    ),
    "HW521": Code(
        503,
        "the engine was closed",
        "Nothing is decided after `close`, so that no permit outlives its books.",
        "Open it again.",
    ),
    "HW522": Code(
        503,
        "the data folder cannot be used",
        "It cannot be made, is not a folder, or may not be written.",
        "Give another one with `--data`, or mend its permissions.",
    ),
    "HW530": Code(
        0,
        "a limit in one line that cannot be read",
        "`headway.limit` takes a number and what it counts: a rate, a quota of a window, or what is held at once.",
        "Write it like 100/minute, 5/s, 1000/day or 10 concurrent.",
    ),
    "HW531": Code(
        0,
        "a demand was refused",
        "`acquire`, `with` and decorators raise what `try_acquire` answers; the refusal inside says why and when to try again.",
        "Catch headway.Refused and read its `refusal`, or ask with `try_acquire()`, which answers instead of raising.",
    ),
    "HW532": Code(
        0,
        "workloads that are not known yet",
        "A process that connects to a server learns a contract's workloads from it, and it could not be asked.",
        "Start the server, or name the workload where it is asked for.",
    ),
    "HW533": Code(
        0,
        "a slot that was asked back and taken",
        "The limit was cut below what was in flight, and the contract has `recall: end`: a coroutine's scope that is still open "
        "when `drain_within` has passed is cancelled, and headway.Recalled leaves it.",
        "Catch headway.Recalled around the scope and try again later; work that must not be cut short belongs under "
        "`recall: ask`.",
    ),
}
