"""The reader under a coverage-guided fuzzer: any bytes give a reading or an Unreadable, fast, in little memory.

    python fuzz/reader_fuzz.py --seconds 3600 [--seed 1] [--corpus DIR] [--result FILE]

The corpus is seeded from `tests/contracts`. Three promises are asserted on every case: nothing escapes but `Unreadable`;
no case takes more than a second of processor time; the process stays under 200 MiB. What is valid is also sent through its
canonical form. The last line printed, and the result file, is one JSON object; exit code 0 iff no promise broke.

atheris ends its process when it is done, so the fuzzing runs in a child, which leaves its counts in a file.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
CASE_S = 1.0
RSS_MIB = 200
COUNTS = "HEADWAY_FUZZ_COUNTS"
"""The environment variable that tells the child where to count."""
COUNTS_EVERY = 500
"""Cases between two writes of the counts; a slow case or a crash is written at once."""


class Counts:
    """What the child has seen so far, kept in a file that outlives it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cases = 0
        self.valid = 0
        self.slowest_s = 0.0

    def add(self, took_s: float, valid: bool) -> None:
        self.cases += 1
        self.valid += valid
        self.slowest_s = max(self.slowest_s, took_s)
        if self.cases % COUNTS_EVERY == 0 or took_s > CASE_S:
            self.write()

    def write(self) -> None:
        rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        counts = {"cases": self.cases, "valid": self.valid, "slowest_s": round(self.slowest_s, 3), "rss_mib": rss_mib}
        self.path.write_text(json.dumps(counts))


def child(seconds: int, seed: int, corpus: Path, counts: Counts) -> None:
    """Fuzzes until the time is over or a promise breaks; does not return."""
    import atheris

    with atheris.instrument_imports(include=["headway.contract"]):
        from headway.contract.canonical import canonical, from_canonical
        from headway.contract.faults import Unreadable
        from headway.contract.read import read_text

    def one(data: bytes) -> None:
        began = time.process_time()
        valid, said = False, "ok"
        try:
            contracts = read_text(data).require().contracts
            valid = bool(contracts)
            for contract in contracts.values():
                assert from_canonical(canonical(contract)) == contract
        except Unreadable as unreadable:
            said = str(unreadable)
        took_s = time.process_time() - began
        counts.add(took_s, valid)
        assert said, "an Unreadable that says nothing"
        assert took_s <= CASE_S, f"a case took {took_s:.2f} s"

    flags = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-rss_limit_mb={RSS_MIB}",
        "-timeout=20",
        "-max_len=8192",
        "-print_final_stats=1",
    ]
    artifacts = f"-artifact_prefix={corpus.parent}/"
    atheris.Setup([sys.argv[0], *flags, artifacts, str(corpus)], one)
    atheris.Fuzz()


def seeded(corpus: Path) -> None:
    """Puts every small document of the tests into the corpus."""
    corpus.mkdir(parents=True, exist_ok=True)
    for path in sorted((ROOT / "tests" / "contracts").glob("*/*.[yj]*")):
        if path.stat().st_size <= 8192:
            (corpus / f"seed-{path.stem}").write_bytes(path.read_bytes())


def main(seconds: int, seed: int, corpus: Path, result: Path) -> int:
    """Runs the child and judges it."""
    seeded(corpus)
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "counts.json"
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), COUNTS: str(counts)}
        began = time.monotonic()
        arguments = ["--seconds", str(seconds), "--seed", str(seed), "--corpus", str(corpus)]
        done = subprocess.run([sys.executable, __file__, *arguments], env=environment, check=False)
        seen = json.loads(counts.read_text()) if counts.exists() else {}
    kept = seen.get("rss_mib", RSS_MIB + 1) <= RSS_MIB and seen.get("slowest_s", CASE_S + 1) <= CASE_S
    told = {
        "what": "reader_fuzz",
        "seed": seed,
        "seconds": round(time.monotonic() - began),
        "exit": done.returncode,
        **seen,
        "ok": done.returncode == 0 and kept,
    }
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(told) + "\n")
    print(json.dumps(told))
    return 0 if told["ok"] else 1


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, default=ROOT / "target" / "fuzz" / "reader" / "corpus")
    parser.add_argument("--result", type=Path, default=ROOT / "benches" / "results" / "reader-fuzz.json")
    return parser.parse_args()


if __name__ == "__main__":
    given = asked()
    if COUNTS in os.environ:
        child(given.seconds, given.seed, given.corpus, Counts(Path(os.environ[COUNTS])))
    sys.exit(main(given.seconds, given.seed, given.corpus, given.result))
