"""A user's program with types throughout: every way to ask, checked by mypy --strict and pyright.

Run it: `python examples/typed_user.py`.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import headway

CONTRACT = """
contract: mails
owner: team-mail
about: The relay takes 5 mails a minute from us.
constraint: {measure: rate, unit: mail, per: 1m}
workloads: {newsletter: {}, other: {}}
ramp: [{stage: now, limit: 5}]
"""


def ask(mails: headway.Limiter) -> str:
    """An answer is true or false, and the false one says everything."""
    answer = mails.try_acquire()
    if isinstance(answer, headway.Permit):
        return "sent"
    seconds: float | None = answer.retry_after_s
    again = "never" if answer.retry_at_ns is headway.NEVER else "unknown" if seconds is None else f"{seconds:.0f} s"
    return f"{answer} (again: {again}, {answer.limit:g} {answer.unit}, {answer.why}, {answer.ref})"


def insist(mails: headway.Limiter) -> str:
    """`acquire` waits at most two seconds and raises what stood in the way."""
    try:
        with mails.acquire(timeout=0.0):
            return "sent"
    except headway.Refused as refused:
        return str(refused.refusal)


async def fetch(slots: headway.Limiter, page: int) -> int:
    """A coroutine holds one of the slots for as long as it works."""
    async with slots:
        await asyncio.sleep(0)
    permit = await slots.acquire_async(timeout=1.0)
    permit.release()
    return page


def main() -> None:
    """Asks in every way."""
    slots = headway.limit("2 concurrent", wait=5.0)

    @slots
    def render(name: str, *, copies: int = 1) -> list[str]:
        return [name] * copies

    @slots
    async def store(name: str) -> int:
        return len(name)

    pages: list[str] = render("invoice", copies=2)
    stored: int = asyncio.run(store("invoice"))
    print(pages, stored)

    async def fetch_all() -> list[int]:
        return await asyncio.gather(*(fetch(slots, page) for page in range(10)))

    print(sum(asyncio.run(fetch_all())))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mails.yaml")
        path.write_text(CONTRACT, encoding="utf-8")
        with headway.open(path, data=Path(folder, "data")) as hw:
            mails = hw.limiter("mails", "newsletter")
            print([ask(mails) for _ in range(6)][-1])
            print(insist(mails))
            print(hw.explain("mails")["why"])


if __name__ == "__main__":
    main()
