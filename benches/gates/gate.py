"""`gate.py PORT CONTRACT THREADS DEMANDS`: asks over one stream, and prints what that took as one JSON object.

A process of its own, so that its CPU is the gate's alone. The token is the first line of its standard input. Each thread
asks as soon as its demand before is answered, and returns at once what it was admitted to hold.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import headway

WARM_UP = 200


def asked(limiter: headway.Limiter, demands: int, lapses_ns: list[int]) -> None:
    """Asks so many times; adds the ns of each round trip. AssertionError where one is refused."""
    for _ in range(demands):
        begun = time.perf_counter_ns()
        permit = limiter.try_acquire()
        lapses_ns.append(time.perf_counter_ns() - begun)
        assert isinstance(permit, headway.Permit), permit
        permit.release()


def main() -> None:
    port, contract, threads, demands = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with headway.connect(f"http://127.0.0.1:{port}", token=sys.stdin.readline().strip()) as hw:
        limiter = hw.limiter(contract)
        asked(limiter, WARM_UP, [])
        print("warm", flush=True)
        # The one that measures reads the server's CPU now, and lets this go on.
        sys.stdin.readline()
        lapses: list[list[int]] = [[] for _ in range(threads)]
        crew = [threading.Thread(target=asked, args=(limiter, demands // threads, mine)) for mine in lapses]
        cpu_ns, begun = time.process_time_ns(), time.perf_counter_ns()
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        seconds, cpu_ns = (time.perf_counter_ns() - begun) / 1e9, time.process_time_ns() - cpu_ns
        every = sorted(lapse for mine in lapses for lapse in mine)
        print(json.dumps({"demands": len(every), "seconds": seconds, "cpu_ns": cpu_ns, "sorted_ns": every}), flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main()
