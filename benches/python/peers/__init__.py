"""The limiters people use today, one file each: how it is called where ours is called."""

from benches.python.peers import (
    aiolimiter,
    floodgate,
    limits,
    pyrate,
    rust_py,
    throttled,
    token_bucket,
)
from benches.python.subject import Peer

PEERS: tuple[Peer, ...] = (
    floodgate.PEER,
    rust_py.PEER,
    token_bucket.PEER,
    limits.PEER,
    throttled.PEER,
    pyrate.PEER,
    aiolimiter.PEER,
)

NATIVE = frozenset({"floodgate-rs", "rust-py-rate-limit"})
"""Those whose decision is compiled code."""
