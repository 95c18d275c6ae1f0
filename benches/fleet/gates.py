"""A process with some of the gates: asks when the demand says so, and stamps what was admitted.

Reads its task as one line of JSON: {"by": ..., "port": ..., "token": ..., "gates": [[seconds, ...], ...]}, says "ready",
waits for a line with the start on the monotonic clock (ns), and answers with a line: {"asked": [ns], "got": [ns], "late": n,
"cpu_s": s} of its admissions.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence

from benches.fleet.demand import BURST_S, GATES, LIMIT

Ask = Callable[[], bool]

SCRIPT = """
local t = redis.call('TIME'); local now = t[1] * 1000000 + t[2]
local s = redis.call('HMGET', KEYS[1], 'n', 'at')
local n = tonumber(s[1] or ARGV[2]); local at = tonumber(s[2] or now)
n = math.min(tonumber(ARGV[2]), n + (now - at) * tonumber(ARGV[1]) / 1000000)
local ok = 0
if n >= 1 then n = n - 1; ok = 1 end
redis.call('HSET', KEYS[1], 'n', n, 'at', now)
return ok
"""


def asks(by: str, port: int, token: str, count: int) -> Sequence[Ask]:
    """One way to ask for each gate."""
    if by == "redis":
        import redis

        def of_redis() -> Ask:
            script = redis.Redis(port=port).register_script(SCRIPT)
            return lambda: script(keys=["api"], args=[LIMIT, LIMIT * BURST_S]) == 1

        return [of_redis() for _ in range(count)]
    import headway

    if by == "split":
        return [Bucket(LIMIT / GATES).take for _ in range(count)]
    url = f"http://127.0.0.1:{port}"
    # A limit with keys is asked demand by demand: a counter in the middle.
    key = "all" if by == "central" else None
    contract = "central" if by == "central" else "api"
    limiters = [headway.connect(url, token=token) for _ in range(count)]
    KEPT.extend(limiters)
    found = [one.limiter(contract) for one in limiters]
    return [lambda one=one: bool(one.try_acquire(key=key)) for one in found]  # type: ignore[misc]


KEPT: list[object] = []
"""Ways to a server, for as long as they are asked."""


class Bucket:
    """A gate's even part, which nobody else can use."""

    def __init__(self, per_s: float) -> None:
        self._per_s, self._tokens, self._at = per_s, per_s * BURST_S, time.monotonic()

    def take(self) -> bool:
        """Whether one more is let in."""
        now = time.monotonic()
        self._tokens = min(self._per_s * BURST_S, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def main() -> None:
    """One run."""
    task = json.loads(sys.stdin.readline())
    ways = asks(task["by"], task["port"], task["token"], len(task["gates"]))
    due = sorted((at, gate) for gate, instants in enumerate(task["gates"]) for at in instants)
    for way in ways:
        way()
    print("ready", flush=True)
    start = int(sys.stdin.readline())
    asked, got, late = [], [], 0
    cpu = time.process_time()
    for at, gate in due:
        when = start + int(at * 1e9)
        now = time.monotonic_ns()
        if now < when:
            time.sleep((when - now) / 1e9)
        elif now > when + 20_000_000:
            late += 1
        before = time.monotonic_ns()
        if ways[gate]():
            asked.append(before)
            got.append(time.monotonic_ns())
    print(json.dumps({"asked": asked, "got": got, "late": late, "cpu_s": time.process_time() - cpu}), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
