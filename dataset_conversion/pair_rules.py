"""Which mask belongs to which image where the owner says it: by a regular expression or by a table."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import stem_of

from .pairing import Pairing
from .problems import some
from .tables import read_rows

_HEADER = "image"


def pair_by_pattern(pattern: str, images: Sequence[Path], masks: Sequence[Path]) -> Pairing:
    """Match files for which the first group of `pattern` finds the same text in the name without its ending.

    A file that the pattern does not fit stays alone.

    Raises:
        UserError: the pattern is no regular expression or has no group.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"--pair {pattern!r} is no regular expression ({error}) and no file of that name exists."
        ) from None
    if not expression.groups:
        raise UserError(f'--pair {pattern!r} needs a group for what both names share, such as "^(.*)_(?:img|mask)$".')
    images_of, images_alone = _by_key(expression, images)
    masks_of, masks_alone = _by_key(expression, masks)
    several = [
        f"--pair finds {what} for {key!r}: {some([path.name for path in files])}"
        for found, what in ((images_of, "several images"), (masks_of, "several masks"))
        for key, files in found.items()
        if len(files) > 1
    ]
    both = sorted(images_of.keys() & masks_of.keys())
    return Pairing(
        pairs=tuple((images_of[key][0], masks_of[key][0]) for key in both),
        images_alone=(*images_alone, *(images_of[key][0] for key in sorted(images_of.keys() - masks_of.keys()))),
        masks_alone=(*masks_alone, *(masks_of[key][0] for key in sorted(masks_of.keys() - images_of.keys()))),
        ambiguous=tuple(several),
    )


def _by_key(expression: re.Pattern[str], files: Sequence[Path]) -> tuple[dict[str, list[Path]], list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    alone = []
    for file in files:
        match = expression.search(stem_of(file))
        if match and match[1]:
            found[match[1]].append(file)
        else:
            alone.append(file)
    return found, alone


def pair_by_table(table: Path, images: Path, masks: Path) -> tuple[Pairing, dict[Path, str]]:
    """Read rows of image, mask and perhaps group; names are relative to the folders `images` and `masks`.

    A first row that begins with "image" is a header. What the table does not list is left alone.

    Returns:
        The pairs sorted by image, and the group of every image that has one.

    Raises:
        UserError: the table is no such table, lists a file twice or one that does not exist, or is empty.
    """
    rows = read_rows(table, (2, 3), "image, mask and perhaps group")
    if rows and rows[0][0].lower() == _HEADER:
        rows = rows[1:]
    if not rows:
        raise UserError(f"{table} lists no image; write one row of image and mask for each.")
    pairs = [(images / row[0], masks / row[1]) for row in rows]
    missing = [str(path) for pair in pairs for path in pair if not path.is_file()]
    if missing:
        raise UserError(f"{table} lists files that do not exist: {some(missing)}; mend the table.")
    for what, files in zip(("image", "mask"), zip(*pairs, strict=True), strict=True):
        twice = sorted({file.name for file in files if files.count(file) > 1})
        if twice:
            raise UserError(f"{table} lists the {what} {some(twice)} twice; keep one row.")
    groups = {pair[0]: row[2] for pair, row in zip(pairs, rows, strict=True) if len(row) > 2 and row[2]}
    return Pairing(tuple(sorted(pairs)), (), (), ()), groups
