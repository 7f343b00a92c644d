"""Kills a command at random moments, runs it again to the end, and compares with a run that was left alone.

    python -m tests.faults.kill --command train plan predict convert find_best --times 10

Works in a temporary folder on a small drawn set. Each command is killed up to three times, by SIGKILL or SIGTERM, at a
moment drawn evenly from the processor time that it takes, so that a busy machine changes nothing; then it runs to the
end. A kill is survived if the command then ends
with 0, nothing that it read has changed, and what it wrote is what an undisturbed run wrote, byte for byte but for
times; weights and losses too.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.faults.comparison import differences, snapshot
from tests.faults.stages import STAGES, Stage, copied, made_ready

SIGNALS = (signal.SIGKILL, signal.SIGTERM)
IN_A_ROW = 3
"""Kills before the command may run to the end."""
LOOK = 0.05
"""Seconds between two looks at a process."""


@dataclass
class Tally:
    """Kills of one command."""

    injected: Counter[str] = field(default_factory=Counter)
    survived: int = 0
    lost: list[str] = field(default_factory=list)

    def row(self, command: str) -> str:
        """Of the Markdown table."""
        kills = " | ".join(str(self.injected[one.name]) for one in SIGNALS)
        total = sum(self.injected.values())
        return f"| `{command}` | {kills} | {total} | {self.survived} | {total - self.survived} |"


HEADER = (
    f"| command | {' | '.join(one.name for one in SIGNALS)} | injected | survived | lost |\n|---|---|---|---|---|---|"
)


def main() -> int:
    """Run the command; ends with 1 where anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--times", type=int, default=10, metavar="N", help="kills of each command (default: 10)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tallies = {}
    for name in options.command:
        with tempfile.TemporaryDirectory() as folder:
            tallies[name] = kill(name, options.times, random.Random(options.seed), Path(folder))
        for reason in tallies[name].lost:
            print(f"lost: {name}: {reason}", file=sys.stderr)
        print(tallies[name].row(name), file=sys.stderr, flush=True)
    print("\n".join([HEADER, *(tally.row(name) for name, tally in tallies.items())]))
    return int(any(tally.lost for tally in tallies.values()))


def kill(name: str, times: int, rng: random.Random, folder: Path) -> Tally:
    """Kill the stage `name` at least `times` times, in `folder`.

    Raises:
        RuntimeError: two undisturbed runs differ, so that nothing can be compared.
    """
    stage, base = STAGES[name], folder / "base"
    base.mkdir()
    made_ready(name, base)
    # Of a copy: in the files of what ran before stands the path of `base`, wherever they are copied.
    before = snapshot(copied(base, folder / "killed"), stage.inputs)
    shutil.rmtree(folder / "killed")
    expected, seconds = _undisturbed(stage, base, folder)
    tally = Tally()
    while sum(tally.injected.values()) < times:
        root = copied(base, folder / "killed")
        kills: Counter[str] = Counter()
        for _ in range(min(IN_A_ROW, times - sum(tally.injected.values()))):
            kills += _killed_once(stage, root, rng.choice(SIGNALS), rng.uniform(0, seconds))
        wrong = _wrong(stage, root, before, expected)
        tally.injected += kills
        tally.survived += 0 if wrong else sum(kills.values())
        tally.lost += [f"after {dict(kills)}: {one}" for one in wrong]
        shutil.rmtree(root)
    return tally


def _undisturbed(stage: Stage, base: Path, folder: Path) -> tuple[dict[str, str], float]:
    """What two runs in the same folder leave that nothing disturbs, and the processor time of one, in seconds."""
    found = []
    for _ in range(2):
        # Under the same name: paths stand in some files.
        root = copied(base, folder / "killed")
        process = stage.start(root)
        seconds = 0.0
        while process.poll() is None:
            seconds = max(seconds, _processor_seconds(process.pid))
            time.sleep(LOOK)
        if process.returncode:
            raise RuntimeError(f"Undisturbed it ended with {process.returncode}: {stage.printed(root)}")
        found.append(snapshot(root, stage.outputs))
        shutil.rmtree(root)
    if not found[0]:
        raise RuntimeError("Undisturbed it wrote nothing.")
    if found[0] != found[1]:
        raise RuntimeError(f"Two undisturbed runs differ: {differences(*found)}")
    return found[0], seconds


def _killed_once(stage: Stage, root: Path, sign: signal.Signals, moment: float) -> Counter[str]:
    """Start the command and kill it when it has computed for `moment` seconds; if it has ended by then, none counts."""
    process = stage.start(root)
    while process.poll() is None and _processor_seconds(process.pid) < moment:
        time.sleep(LOOK)
    alive = process.poll() is None
    process.send_signal(sign)
    process.wait()
    return Counter({sign.name: 1}) if alive else Counter()


def _processor_seconds(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _wrong(stage: Stage, root: Path, before: dict[str, str], expected: dict[str, str]) -> list[str]:
    """What is not as it should be after the command has run to the end."""
    status, printed = stage.run(root)
    if status:
        return [f"ended with {status}: {printed[-500:]}"]
    changed = [f"input changed: {one}" for one in differences(snapshot(root, stage.inputs), before)]
    return changed + differences(snapshot(root, stage.outputs), expected)


if __name__ == "__main__":
    raise SystemExit(main())
