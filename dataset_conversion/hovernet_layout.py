"""The layout in which the authors of HoVer-Net keep sets of nuclei: PART/Images with PART/Labels/*.mat.

Source: `dataset.py` of https://github.com/vqdang/hover_net, in its older branch with the folders, and the description
that comes with CoNSeP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from .matlab_masks import MatlabMask
from .pictures import PictureFile
from .problems import Problems
from .released import files_in, keep_pairs
from .sources import SourceCase

IMAGES, MASKS = "Images", "Labels"


def select_parts(
    root: Path,
    parts: Mapping[str, bool],
    ending: str,
    kinds: bool,
    group_of: Callable[[str], str | None],
    skip_unpaired: bool,
    problems: Problems,
    prefixed: bool = False,
) -> tuple[list[SourceCase], tuple[str, ...]]:
    """Find the cases of the parts that are there, and what is left out; a name in two parts is a problem.

    Args:
        parts: folders, and whether they are for testing.
        ending: of the images, without the dot.
        kinds: take the kinds of the nuclei from "type_map".
        group_of: group of a name.
        prefixed: put the part in front of the names, for sets whose parts count from the same number.

    Raises:
        UserError: a folder is absent or holds no files.
    """
    cases: dict[str, SourceCase] = {}
    left_out: tuple[str, ...] = ()
    for part, test in parts.items():
        if not (root / part).is_dir():
            continue
        images = files_in(root / part / IMAGES, rf"(.+)\.{ending}", "images")
        masks = files_in(root / part / MASKS, r"(.+)\.mat", "labels")
        names, alone = keep_pairs(images, masks, skip_unpaired, problems)
        left_out += alone
        for name in names:
            case = f"{part}_{name}" if prefixed else name
            if case in cases:
                problems.add(f"{images[name]} is in another part too; keep it in one of them.")
            mask = MatlabMask(masks[name], "type_map" if kinds else "")
            cases[case] = SourceCase(case, PictureFile(images[name]), mask, group_of(name), test)
    return list(cases.values()), left_out
