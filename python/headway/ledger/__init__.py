"""What survives.

The append-only, hash-chained record from which any ramp can be replayed, and the durable counts beside it.
"""

from headway.ledger.chain import Record
from headway.ledger.ledger import Ledger, Loaded
from headway.ledger.mandate import Held
from headway.ledger.moves import AtGates, Begun, Draw, Event, Move, NewVersion, Run
from headway.ledger.postgres import Database
from headway.ledger.reading import Verdict
from headway.ledger.writer import Writer

__all__ = [
    "AtGates",
    "Begun",
    "Database",
    "Draw",
    "Event",
    "Held",
    "Ledger",
    "Loaded",
    "Move",
    "NewVersion",
    "Record",
    "Run",
    "Verdict",
    "Writer",
]
