"""Every source that can be converted: a table without imports, read by the command, its help and the tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from medt_pipeline.core.errors import UserError

if TYPE_CHECKING:
    from .summary import Summary
    from .target import Target


@dataclass(frozen=True)
class Option:
    """One input or option of a source, as the command offers it.

    Attributes:
        flag: such as "--classes"; a word without dashes, such as "SRC", is a necessary input without a flag.
        kind: "switch" is given or not, "number" a whole number, "path" a file or folder.
        choices: the only values that are allowed; the first is the default.
        required: a flag that must be given.
        excludes: options of one source with the same word here exclude each other.
    """

    flag: str
    help: str
    kind: Literal["switch", "text", "number", "path"] = "switch"
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    required: bool = False
    excludes: str = ""

    @property
    def keyword(self) -> str:
        """Name of the parameter of `convert`: "skip_unpaired" for --skip-unpaired, "src" for SRC."""
        return self.flag.lstrip("-").replace("-", "_").lower()


SRC = Option("SRC", "the folder with the files, or the archive (zip, tar.gz) as it was downloaded", "path")
LABELS = Option(
    "--labels",
    "what the mask values mean: name=value,… or name=#RRGGBB,…; any other value is an error",
    "text",
    "NAME=VALUE,…",
)
THRESHOLD = Option(
    "--threshold", "mask values above N are foreground, all others background", "number", "N", excludes="reading"
)
SKIP_UNPAIRED = Option("--skip-unpaired", "leave out images without mask and masks without image")


@dataclass(frozen=True)
class Source:
    """One line of the table.

    Attributes:
        key: what is typed after `medt_convert`.
        module: file in this folder with `convert(*inputs, target, **options)`.
        task: what is to be segmented; `modality`: how the images were made; `size`: how many images there are.
        terms: licence or terms of use, the reader's own for own images.
        obtain: where and how to get the files, and how they must lie.
        default_name: name of the data set where -n is not given; None makes -n necessary.
        inputs: given to `convert` in this order; `options`: given by their keywords.
        record: dataclass in `module` that the options make up together, given to `convert` as `options`; "" gives them
            one by one.
        example: inputs and options of an example.
        tried: the converter was run on the released files; False: only on a drawn copy of their described layout.
    """

    key: str
    module: str
    title: str
    task: str
    modality: str
    size: str
    terms: str
    url: str
    obtain: str
    default_name: str | None = None
    inputs: tuple[Option, ...] = (SRC,)
    options: tuple[Option, ...] = (SKIP_UNPAIRED,)
    record: str = ""
    example: str = "SRC"
    tried: bool = True


SOURCES = (
    Source(
        key="glas",
        module="glas",
        title="GlaS@MICCAI2015 (Warwick QU)",
        task="glands",
        modality="histology (H&E) of the colon, RGB",
        size="85 training and 80 test images of 16 patients, most 775×522",
        terms="research only, no commercial use; cite Sirinukunwattana et al. 2015 and 2017",
        url="https://warwick.ac.uk/fac/sci/dcs/research/tia/glascontest/",
        obtain="download the archive from the page; it holds train_1.bmp, train_1_anno.bmp, …, Grade.csv",
        default_name="GlaS",
    ),
    Source(
        key="folder",
        module="folder",
        title="your own images and masks",
        task="whatever the masks hold",
        modality="any 2D images, gray or RGB",
        size="any",
        terms="those of your data",
        url="",
        obtain="one folder of images (png, bmp, tif, jpg), one of masks (png, bmp, tif), the same names in both",
        inputs=(
            Option("--images", "folder of images: png, bmp, tif, jpg", "path", "DIR", required=True),
            Option("--masks", "folder of masks: png, bmp, tif", "path", "DIR", required=True),
        ),
        options=(
            LABELS,
            Option(
                "--groups",
                "patients: a regular expression on the name, or a CSV file with the columns name, group",
                "text",
                "REGEX|CSV",
            ),
            THRESHOLD,
            Option("--instances", "every nonzero mask value is one object of one class", excludes="reading"),
            SKIP_UNPAIRED,
        ),
        record="FolderOptions",
        example='--images images --masks masks --groups "^(P[0-9]+)_"',
    ),
    Source(
        key="medt",
        module="medt_layout",
        title="folders prepared for the published Medical-Transformer code",
        task="one foreground class, cut at 127 as that code does",
        modality="any 2D images, gray or RGB",
        size="any",
        terms="those of your data",
        url="https://github.com/jeya-maria-jose/Medical-Transformer",
        obtain="SRC/img and SRC/labelcol, or SRC/train, SRC/val, SRC/test with both inside",
    ),
    Source(
        key="dicom",
        module="dicom",
        title="your own ultrasound in DICOM",
        task="whatever DICOM segmentations or masks hold",
        modality="ultrasound images and clips",
        size="any",
        terms="those of your data",
        url="",
        obtain="DICOM files of any name, in a folder or archive, with DICOM segmentations or masks named after them",
        options=(
            Option("--masks", "folder of masks (default: what the source holds)", "path", "DIR"),
            LABELS,
            THRESHOLD,
            Option("--every", "take only one frame in N of those that have a mask", "number", "N"),
            Option("--crop-region", "cut to the ultrasound region, which leaves the banner out"),
            Option("--group-by", "what no split may part", "text", choices=("patient", "study", "clip")),
            Option("--unmarked-empty", "frames without a mask count as empty in clips that have some masks"),
            Option("--key", "write which file and frame became which case; keep it to yourself", "path", "CSV"),
            Option("--skip-unpaired", "leave out clips without masks or region, and masks without a clip"),
        ),
        record="DicomOptions",
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


def convert(line: Source, target: Target, values: Mapping[str, Any]) -> Summary:
    """Run the converter of `line`.

    Args:
        values: by keyword what was given for its inputs and options; an option that is missing has its default.

    Raises:
        UserError: as the converter raises.
    """
    module = import_module(f"{__package__}.{line.module}")
    options = {option.keyword: values[option.keyword] for option in line.options if option.keyword in values}
    if line.record:
        options = {"options": getattr(module, line.record)(**options)}
    summary: Summary = module.convert(*(values[one.keyword] for one in line.inputs), target, **options)
    return summary


def to_text() -> str:
    """The table as `medt_convert --list` prints it."""
    return "\n\n".join(_describe(line) for line in SOURCES)


def _describe(line: Source) -> str:
    facts = {
        "task": line.task,
        "modality": line.modality,
        "size": line.size,
        "terms": line.terms,
        "page": line.url,
        "files": line.obtain,
        "note": "" if line.tried else "from its description, not yet run on the release",
    }
    shown = [f"  {title:9} {text}" for title, text in facts.items() if text]
    return "\n".join([f"{line.key}: {line.title}", *shown])
