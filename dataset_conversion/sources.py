"""What a converter finds in a source folder, before any picture is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medt_pipeline.core.archives import RUBBISH_FOLDERS
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import require_folder
from medt_pipeline.core.images import IMAGE_ENDINGS, ending_of, list_images, stem_of

from .masks import MaskSource
from .pairing import Pairing
from .pictures import Picture
from .problems import Problems, count, some

OWN_GROUP = "each case is its own group; those whose images show the same or nearly the same are one"
"""Rule of a selection whose cases have no group."""


@dataclass(frozen=True)
class SourceCase:
    """One image with its mask.

    Attributes:
        name: case name in the raw data set.
        image: source image; `mask`: its mask, None for a test case without one.
        group: patient or the like; None where nothing is known.
        test: True puts it into imagesTs instead of imagesTr.
        facts: what the source knows of the case beside its pixels, such as {"grade": "malignant"}; kept in
            medt_cases.json. Nothing that names a person.
    """

    name: str
    image: Picture
    mask: MaskSource | None
    group: str | None = None
    test: bool = False
    facts: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """The cases of a data set, how groups were found and masks were read, and remarks for the summary.

    Attributes:
        files: what the source keeps in the data set beside the files that all have: JSON by the name of the file.
    """

    cases: tuple[SourceCase, ...]
    group_rule: str
    mask_reading: str = "as stored"
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    files: Mapping[str, Any] = field(default_factory=dict)


def folder_with(root: Path, *names: str) -> Path:
    """The folder that holds all of `names`: `root`, else the only one of up to three levels below it.

    Archives put their files into folders of their own, and so do programs that unpack them.

    Raises:
        UserError: there is none, or more than one.
    """
    level = [root]
    for _ in range(4):
        found = [folder for folder in level if all((folder / name).exists() for name in names)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(f"{some([str(folder) for folder in found])} all hold {', '.join(names)}; give one of them.")
        inner = (one for folder in level for one in sorted(folder.iterdir()) if one.is_dir())
        level = [folder for folder in inner if folder.name not in RUBBISH_FOLDERS]
    raise UserError(f"{root} holds no folder with {', '.join(names)}; give the folder or archive as it was downloaded.")


def images_in(folder: Path, what: str) -> tuple[list[Path], list[str]]:
    """List the images of `folder`, with a note on files of other endings.

    Raises:
        UserError: the folder is absent, a file, or without any image.
    """
    files = list_images(require_folder(folder, what))
    if not files:
        others = sorted(_endings(folder, ()))
        seen = f"; it holds {some(others)}" if others else "; it holds no files"
        raise UserError(f"There are no {what} in {folder} ({', '.join(IMAGE_ENDINGS)} are read{seen}).")
    return files, left_alone(folder, files)


def left_alone(folder: Path, taken: Collection[Path]) -> list[str]:
    """A note on the files in `folder` that were not taken, if there are any; hidden ones are not told."""
    others = _endings(folder, taken)
    if not others:
        return []
    return [f"{count(others.total(), 'file')} of other kinds in {folder.name} left alone: {some(sorted(others))}"]


def _endings(folder: Path, without: Collection[Path]) -> Counter[str]:
    return Counter(
        ending_of(path) or path.name
        for path in folder.iterdir()
        if path.is_file() and not path.name.startswith(".") and path not in without
    )


def report_unpaired(pairing: Pairing, skip_unpaired: bool, problems: Problems) -> list[str]:
    """Add what `pair` could not match to `problems`; with `skip_unpaired`, return it as a list of what is left out."""
    for sentence in pairing.ambiguous:
        problems.add(f"{sentence[0].upper()}{sentence[1:]}; keep one of them or rename.")
    images = [f"image {path.name}: no mask" for path in pairing.images_alone]
    masks = [f"mask {path.name}: no image" for path in pairing.masks_alone]
    if skip_unpaired:
        return images + masks
    if images or masks:
        problems.add(_unpaired(pairing.images_alone, pairing.masks_alone))
    return []


def _unpaired(images: Sequence[Path], masks: Sequence[Path]) -> str:
    parts = [
        f"{count(len(paths), one)} without {other} ({some([path.name for path in paths])})"
        for paths, one, other in ((images, "image", "a mask"), (masks, "mask", "an image"))
        if paths
    ]
    folded = {stem_of(path).casefold() for path in images} & {stem_of(path).casefold() for path in masks}
    case = "; some names differ in upper and lower case only, which counts" if folded else ""
    found = " and ".join(parts)
    verb = "is" if found.startswith("1 ") else "are"
    return f"There {verb} {found}{case}; rename them to the same stem or leave them out with --skip-unpaired."
