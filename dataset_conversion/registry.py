"""Every source that can be converted: a table without imports, read by the command, its help and the tests."""

from __future__ import annotations

from dataclasses import dataclass

from medt_pipeline.core.errors import UserError


@dataclass(frozen=True)
class Source:
    """One line of the table.

    Attributes:
        key: what is typed after `medt_convert`.
        module: file in this folder with `convert`; all but `folder` take `(source, target, skip_unpaired)`.
        task: what is to be segmented; `modality`: how the images were made.
        terms: licence or terms of use, the reader's own for own images.
        obtain: where and how to get the files, and how they must lie.
        default_name: name of the data set where -n is not given; None makes -n necessary.
    """

    key: str
    module: str
    title: str
    task: str
    modality: str
    terms: str
    url: str
    obtain: str
    default_name: str | None = None


SOURCES = (
    Source(
        key="glas",
        module="glas",
        title="GlaS@MICCAI2015 (Warwick QU)",
        task="glands",
        modality="histology (H&E) of the colon, RGB",
        terms="research only, no commercial use; cite Sirinukunwattana et al. 2015 and 2017",
        url="https://warwick.ac.uk/fac/sci/dcs/research/tia/glascontest/",
        obtain="download the archive from the page, unpack it; SRC holds train_1.bmp, train_1_anno.bmp, …, Grade.csv",
        default_name="GlaS",
    ),
    Source(
        key="folder",
        module="folder",
        title="your own images and masks",
        task="whatever the masks hold",
        modality="any 2D images, gray or RGB",
        terms="those of your data",
        url="",
        obtain="one folder of images (png, bmp, tif, jpg), one of masks (png, bmp, tif), the same names in both",
    ),
    Source(
        key="medt",
        module="medt_layout",
        title="folders prepared for the published Medical-Transformer code",
        task="one foreground class, cut at 127 as that code does",
        modality="any 2D images, gray or RGB",
        terms="those of your data",
        url="https://github.com/jeya-maria-jose/Medical-Transformer",
        obtain="SRC/img and SRC/labelcol, or SRC/train, SRC/val, SRC/test with both inside",
    ),
)


def source(key: str) -> Source:
    """The line of this key.

    Raises:
        UserError: there is none.
    """
    for line in SOURCES:
        if line.key == key:
            return line
    raise UserError(
        f"There is no source {key!r}; known are {', '.join(line.key for line in SOURCES)} (medt_convert --list)."
    )


def to_text() -> str:
    """The table as `medt_convert --list` prints it."""
    blocks = []
    for line in SOURCES:
        facts = {
            "task": line.task,
            "modality": line.modality,
            "terms": line.terms,
            "page": line.url,
            "files": line.obtain,
        }
        shown = [f"  {title:9} {text}" for title, text in facts.items() if text]
        blocks.append("\n".join([f"{line.key}: {line.title}", *shown]))
    return "\n\n".join(blocks)
