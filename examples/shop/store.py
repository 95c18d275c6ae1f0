"""The shop's own database, and the pool of connections to it whose size Headway decides.

The pool has no size of its own: a connection is lent to whoever holds a slot of `orders-db`, and idle ones above the
limit of the moment are closed. SQLite answers faster than any real database, so a query is given the time that one on a
network takes.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from examples.shop.count import Count
from headway import Limiter, Refusal

SCHEMA = """
CREATE TABLE IF NOT EXISTS product (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price_cents INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS cart_item (
    cart TEXT NOT NULL, product INTEGER NOT NULL REFERENCES product(id), pieces INTEGER NOT NULL,
    PRIMARY KEY (cart, product)
);
CREATE TABLE IF NOT EXISTS sale (
    id INTEGER PRIMARY KEY, cart TEXT NOT NULL, total_cents INTEGER NOT NULL, pieces INTEGER NOT NULL
);
"""

PRODUCTS = 200

IDLE_MOST = 32
"""Connections kept open without use, at most, whatever the limit."""


class PoolFull(Exception):
    """No slot of the pool was free; `refusal` says everything."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class Pool:
    """Connections to one SQLite file, lent out under a concurrency contract.

    Args:
        path: The database; made and filled with products when absent.
        limiters: The contract's limiter for each workload that uses the pool.
        count: Where each decision is stamped.
    """

    def __init__(self, path: Path, limiters: dict[str, Limiter], count: Count) -> None:
        self._path = path
        self._limiters = limiters
        self._count = count
        self._idle: list[sqlite3.Connection] = []
        with self._open() as db:
            db.executescript(SCHEMA)
            rows = [(number, f"product {number}", 199 + 37 * number) for number in range(1, PRODUCTS + 1)]
            db.executemany("INSERT OR IGNORE INTO product VALUES (?, ?, ?)", rows)
        db.close()

    @asynccontextmanager
    async def connection(self, workload: str, *, takes_s: float) -> AsyncIterator[sqlite3.Connection]:
        """A connection for one unit of work that takes `takes_s` seconds beside its queries. Raises `PoolFull`.

        The slot is held until the block is left, on every way out, cancellation included.
        """
        answer = self._count.decide(self._limiters[workload])
        if isinstance(answer, Refusal):
            raise PoolFull(answer)
        with answer:
            db = self._idle.pop() if self._idle else self._open()
            try:
                await asyncio.sleep(takes_s)
                with db:
                    yield db
            finally:
                self._put_back(db)

    def close(self) -> None:
        """Closes what is idle; what is lent is closed as it comes back."""
        while self._idle:
            self._idle.pop().close()

    def _put_back(self, db: sqlite3.Connection) -> None:
        if len(self._idle) < IDLE_MOST:
            self._idle.append(db)
        else:
            db.close()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=5.0)
        # A shop for show: a lost sale after a power cut is no loss, and the disk belongs to Headway's ledger.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = OFF")
        return db


def page(db: sqlite3.Connection, number: int) -> list[tuple[int, str, int]]:
    """Ten products: (id, name, price in cents)."""
    rows = db.execute("SELECT id, name, price_cents FROM product ORDER BY id LIMIT 10 OFFSET ?", (number * 10,))
    return rows.fetchall()


def buy(db: sqlite3.Connection, cart: str, products: list[int]) -> tuple[int, int]:
    """Puts products into a cart and turns the cart into a sale: (sale, total in cents)."""
    for product in products:
        db.execute(
            "INSERT INTO cart_item VALUES (?, ?, 1) ON CONFLICT (cart, product) DO UPDATE SET pieces = pieces + 1",
            (cart, product),
        )
    (total, pieces) = db.execute(
        "SELECT sum(price_cents * pieces), sum(pieces) FROM cart_item JOIN product ON id = product WHERE cart = ?",
        (cart,),
    ).fetchone()
    sale = db.execute("INSERT INTO sale (cart, total_cents, pieces) VALUES (?, ?, ?)", (cart, total, pieces)).lastrowid
    db.execute("DELETE FROM cart_item WHERE cart = ?", (cart,))
    if sale is None:
        raise sqlite3.DatabaseError("a sale was written and has no number")
    return sale, total


def sales(db: sqlite3.Connection) -> tuple[int, int]:
    """(number of sales, turnover in cents)."""
    row = db.execute("SELECT count(*), coalesce(sum(total_cents), 0) FROM sale").fetchone()
    return row[0], row[1]
