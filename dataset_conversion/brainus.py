"""Brain US, the ultrasound set of the MedT publication, in the layout of the published code, for those who have it.

Source: https://github.com/jeya-maria-jose/Medical-Transformer; its issue 80 tells that the set will not be released.
"""

from __future__ import annotations

from pathlib import Path

from .label_mapping import parse_labels
from .masks import MaskReading
from .medt_layout import select
from .problems import Problems
from .registry import source as registered
from .summary import Summary
from .target import Target
from .writer import write_dataset


def convert(source: Path, target: Target, labels: str | None = None, skip_unpaired: bool = False) -> Summary:
    """Convert the layout of `medt_layout` with the gray levels of the masks as classes, instead of a cut at 127.

    Args:
        labels: `name=value,…` as `label_mapping.parse_labels` reads it; None leaves the gray levels to its rules.

    Raises:
        UserError: the folders are not there, or their files have problems, all told together.
    """
    declared = () if labels is None else parse_labels(labels)
    with target.opened(source, "img and labelcol") as folder:
        problems = Problems()
        selection = select(folder, skip_unpaired, problems, MaskReading())
        return write_dataset(selection, declared, registered("brainus"), target, problems)
