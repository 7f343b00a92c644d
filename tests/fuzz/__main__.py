"""Breaks files of every format and prints what became of them.

    python -m tests.fuzz --files 1000 [--formats png dicom] [--keep FOLDER]

Each format is read in a process of its own, so that a crash is counted and the rest goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.fuzz.formats import FORMATS
from tests.fuzz.trial import attempt, broken, seeds_of


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000, help="of each format")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--keep", type=Path, help="folder for files that failed")
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.formats[0], options.first, options.files, options.keep)
        return 0
    print("| format | files | answered | refused | failed |\n|---|---|---|---|---|", flush=True)
    failed = 0
    for name in options.formats:
        counts, reasons = examine(name, options.files, options.keep)
        failed += counts["failed"]
        print(f"| {name} | {options.files} | {counts['answered']} | {counts['refused']} | {counts['failed']} |")
        for reason, count in reasons.most_common():
            print(f"{count} × {reason}", file=sys.stderr)
        sys.stdout.flush()
    return 1 if failed else 0


def examine(name: str, files: int, keep: Path | None) -> tuple[Counter[str], Counter[str]]:
    """Outcomes of `files` broken files of a format, and the reasons of failures."""
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    first = 0
    while first < files:
        command = [sys.executable, "-m", "tests.fuzz", "--worker", "--formats", name, "--first", str(first)]
        command += ["--files", str(files), *(["--keep", str(keep)] if keep else [])]
        # Libraries write to the error output past Python.
        worker = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        lines = [json.loads(line) for line in worker.stdout.decode().splitlines() if line.startswith("{")]
        for line in lines:
            counts[line["outcome"]] += 1
            if line["reason"]:
                reasons[line["reason"]] += 1
        first += len(lines)
        if first < files:
            counts["failed"] += 1
            reasons[f"the process ended with {worker.returncode} at file {first}"] += 1
            first += 1
    return counts, reasons


def work(name: str, first: int, files: int, keep: Path | None) -> None:
    """Read broken files from `first` on and print a line of JSON for each."""
    form = FORMATS[name]
    with tempfile.TemporaryDirectory() as folder:
        for part in ("seeds", "broken"):
            (Path(folder) / part).mkdir()
        seeds = seeds_of(form, Path(folder) / "seeds")
        for number in range(first, files):
            path = broken(form, seeds, number, Path(folder) / "broken")
            trial = attempt(form, path)
            if keep and trial.outcome == "failed":
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, keep / f"{name.replace(' ', '_')}_{number}_{path.name}")
            print(json.dumps(vars(trial)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
