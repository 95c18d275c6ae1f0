"""The data plane's decoders under libFuzzer, on the stable compiler: coverage without a sanitizer.

    python fuzz/wire_fuzz.py --seconds 3600 [--seed 1] [--at-once 1] [--result FILE]

Each target gets its share of the time, so many run at once. A case that breaks a promise stops its target and is left in
`target/fuzz/`. The last line printed, and the result file, is one JSON object; exit code 0 iff no promise broke.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benches.provenance import commit_of_checkout  # noqa: E402 - this file is run as a script

TARGETS = ("wire_rls", "wire_rlqs", "wire_check", "wire_grpc", "wire_frames", "wire_hold")
CASE_S = 1
"""The longest a case may take."""
RSS_MIB = 512
COVERAGE = (
    "--cfg fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
)


def built() -> Path:
    """Builds the targets; the folder they are in. A triple is named so that only they are instrumented, no build script."""
    said = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    triple = re.search(r"^host: (\S+)$", said, re.MULTILINE)
    assert triple is not None, said
    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target" / "fuzz"))
    subprocess.run(
        ["cargo", "build", "--release", "--locked", "--target", triple[1], "--manifest-path", "fuzz/Cargo.toml"],
        check=True,
        cwd=ROOT,
        env={**os.environ, "RUSTFLAGS": " ".join(COVERAGE), "CARGO_TARGET_DIR": str(folder)},
    )
    return folder / triple[1] / "release"


def run(target: Path, seconds: int, seed: int) -> dict[str, object]:
    """One target for its time: how many cases it saw, how much of the code they reached, whether a promise broke."""
    corpus = ROOT / "target" / "fuzz" / "corpus" / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [
            target,
            corpus,
            f"-max_total_time={seconds}",
            f"-seed={seed}",
            f"-timeout={CASE_S}",
            f"-rss_limit_mb={RSS_MIB}",
            "-print_final_stats=1",
            f"-artifact_prefix={ROOT / 'target' / 'fuzz'}/{target.name}-",
        ],
        capture_output=True,
        text=True,
        errors="replace",
    )
    cases = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    coverage = re.findall(r"cov: (\d+)", done.stderr)
    if done.returncode != 0:
        print(done.stderr[-4_000:], file=sys.stderr)
    return {
        "target": target.name,
        "seconds": seconds,
        "cases": int(cases[1]) if cases else 0,
        "coverage": int(coverage[-1]) if coverage else 0,
        "broken": done.returncode != 0,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=1, help="targets that run beside each other")
    parser.add_argument("--result", type=Path)
    told = parser.parse_args()

    commit, folder = commit_of_checkout(), built()
    each = max(1, told.seconds // len(TARGETS))
    with ThreadPoolExecutor(told.at_once) as lanes:
        results = list(lanes.map(lambda name: run(folder / name, each, told.seed), TARGETS))
    broken = any(result["broken"] for result in results)
    line = json.dumps({"seed": told.seed, "commit": commit, "targets": results, "broken": broken})
    if told.result is not None:
        told.result.write_text(line + "\n")
    print(line)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
