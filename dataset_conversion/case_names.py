"""Case names that nnU-Net, every file system and every shell can bear."""

from __future__ import annotations

import re
from collections.abc import Sequence

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")
_CHANNEL = "_0000"


def case_name(stem: str) -> str:
    """Replace characters outside [A-Za-z0-9_-] by `_` and take off nnU-Net's channel number `_0000`.

    A case name that ends in it would give `a_0000_0000.png` and a label that looks like an image.
    """
    name = _FORBIDDEN.sub("_", stem)
    return name.removesuffix(_CHANNEL) or name


def unique_case_names(stems: Sequence[str]) -> list[str]:
    """The case name of every stem, in their order; where two would be the same, `_2`, `_3`, … is added.

    Upper and lower case count as the same, because some file systems cannot tell them apart. Stems that are valid as
    they stand keep their name, whatever the others need; the rest is numbered in the order given.
    """
    names: dict[int, str] = {}
    taken: set[str] = set()
    for place in sorted(range(len(stems)), key=lambda place: case_name(stems[place]) != stems[place]):
        wanted = name = case_name(stems[place])
        number = 2
        while name.lower() in taken:
            name = f"{wanted}_{number}"
            number += 1
        taken.add(name.lower())
        names[place] = name
    return [names[place] for place in range(len(stems))]
