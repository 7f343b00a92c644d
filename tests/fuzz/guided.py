"""Breaks files of every format where that leads to new branches of our readers, and prints what became of them.

    pip install atheris
    python -m tests.fuzz.guided --files 20000 [--formats geojson plans] [--keep FOLDER]

Atheris (libFuzzer for Python) watches which branches of `medt_pipeline` and `dataset_conversion` a file reaches, and
goes on with those that reach new ones; `python -m tests.fuzz` breaks valid files blindly. Each format is read in a
process of its own; the first failure ends it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

OWN = ["medt_pipeline", "dataset_conversion"]
LONGEST = 2**16
"""Bytes of a broken file."""
ENDS = 77
"""Exit status that libFuzzer has where a file failed."""


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20000, help="of each format")
    parser.add_argument("--formats", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--keep", type=Path, default=Path(), help="folder for files that failed")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        raise SystemExit("atheris is not installed; pip install atheris (Linux or macOS).")
    if options.worker:
        work(options.formats[0], options.files, options.keep.absolute())
        return 0
    from tests.fuzz.formats import FORMATS

    print("| format | files | answered | refused | failed |\n|---|---|---|---|---|", flush=True)
    failed = 0
    for name in options.formats or FORMATS:
        command = [sys.executable, "-m", "tests.fuzz.guided", "--worker", "--formats", name]
        command += ["--files", str(options.files), "--keep", str(options.keep)]
        worker = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        told = [json.loads(line) for line in worker.stdout.splitlines() if line.startswith("{")]
        counts = told[-1] if told else {}
        bad = int(worker.returncode != 0)
        failed += bad
        if bad:
            print(worker.stderr[-2000:], file=sys.stderr)
        seen = counts.get("answered", 0), counts.get("refused", 0)
        print(f"| {name} | {sum(seen) + bad} | {seen[0]} | {seen[1]} | {bad} |", flush=True)
    return 1 if failed else 0


def work(name: str, files: int, keep: Path) -> None:
    """Read files of a format until one fails, and print how many were answered and refused."""
    import atheris

    with atheris.instrument_imports(include=OWN):
        from tests.fuzz.formats import FORMATS
        from tests.fuzz.trial import attempt, path_in, seeds_of

    form, counts = FORMATS[name], Counter[str]()
    folder = Path(tempfile.mkdtemp())
    for part in ("seeds", "valid", "broken"):
        (folder / part).mkdir()
    for number, seed in enumerate(seeds_of(form, folder / "seeds")):
        (folder / "valid" / str(number)).write_bytes(seed)
    path = path_in(folder / "broken", form)

    def read(data: bytes) -> None:
        path.write_bytes(data)
        trial = attempt(form, path)
        counts[trial.outcome] += 1
        total = sum(counts.values())
        if trial.outcome == "failed":
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{name.replace(' ', '_')}_{total}{path.name}").write_bytes(data)
            raise RuntimeError(trial.reason)
        if total % 100 == 0:
            print(json.dumps(counts), flush=True)

    arguments = [f"-runs={files}", f"-max_len={LONGEST}", "-rss_limit_mb=0", "-seed=1", f"-error_exitcode={ENDS}"]
    atheris.Setup([sys.argv[0], *arguments, f"-artifact_prefix={folder}/", str(folder / "valid")], read)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
