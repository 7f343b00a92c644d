"""medt_find_best: choose the model, or the ensemble, with which new images are predicted."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from medt_pipeline.commands._run import SUCCESS, make_parser, run

if TYPE_CHECKING:
    from medt_pipeline.inference.find_best import BestRecipe

MOST_SHOWN = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = make_parser(
        "Score every cross-validated configuration, and every pair and triple of them as an ensemble, on cases that\n"
        "none of their networks was trained on; write the best as the recipe that medt_predict uses.",
        "medt_find_best 101",
    )
    parser.add_argument("dataset", type=int, metavar="ID", help="id of the data set")
    return run(parser, _find_best, arguments)


def _find_best(options: argparse.Namespace) -> int:
    from medt_pipeline.core.workspace import Workspace
    from medt_pipeline.inference.find_best import find_best

    best = find_best(options.dataset, Workspace.locate(options.workspace).activate())
    for sentence in best.left_out:
        print(f"note: {sentence}, so it is left out.", file=sys.stderr)
    print(_table(best))
    print(f"Recipe: {best.file}\nNext: medt_predict -d {options.dataset} -i IMAGES -o MASKS")
    return SUCCESS


def _table(best: BestRecipe) -> str:
    score, quality = best.content["score"], best.content["quality"]
    lines = [
        f"{score['images']} held-out images of {score['groups']} patients; mean Dice with 95 % intervals:",
        f"  {'model':40}{'Dice':>24}{'behind the best':>28}{'s/image':>9}",
    ]
    for one in best.ranking[:MOST_SHOWN]:
        mark = "*" if one is best.chosen else " "
        dice = f"{one.value:.3f} ({one.interval.low:.3f}–{one.interval.high:.3f})"
        behind = one.behind_best
        gap = f"{behind.value:.3f} ({behind.interval.low:.3f}–{behind.interval.high:.3f})"
        lines.append(f"{mark} {one.candidate.name:40}{dice:>24}{gap:>28}{one.cost:>9.2f}")
    if len(best.ranking) > MOST_SHOWN:
        lines.append(f"  and {len(best.ranking) - MOST_SHOWN} more in {best.file.name}")
    lines.append(f"* is taken. {best.content['rule']}")
    for one in best.content["postprocessing_trials"]:
        if one["taken"]:
            lines.append(f"Post-processing of {one['label']}: {one['step']} (gain {one['gain']:.4f}).")
    smoothing = best.content["smooth_frames_choice"]
    if smoothing is not None:
        taken = "no averaging" if smoothing["window"] == 1 else f"{smoothing['window']} frames averaged"
        lines.append(f"Clips: {taken}; {smoothing['reason']}.")
    if quality is not None:
        found = f"off by {quality['error']:.3f} on average, correlation with the true one {quality['correlation']:.2f}"
        lines.append(f"Estimated Dice of a mask: {found}.")
    return "\n".join(lines)
