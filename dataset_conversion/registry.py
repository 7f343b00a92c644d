"""Every source that can be converted: a table without imports, read by the command, its help and the tests."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from medt_pipeline.core.errors import UserError

from .described_sets import DESCRIBED
from .registry_line import LABELS, SKIP_UNPAIRED, THRESHOLD, Option, Source, classes_option

if TYPE_CHECKING:
    from .summary import Summary
    from .target import Target


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
        traps=("object numbers in _anno.bmp: kept beside the label", "Grade.csv with blanks in its header: groups"),
    ),
    Source(
        key="monuseg",
        module="monuseg",
        title="MoNuSeg 2018 (MICCAI challenge)",
        task="nuclei",
        modality="histology (H&E) of several organs, RGB",
        size="30 training and 14 test tiles of 1000×1000 pixels",
        terms="CC BY-NC-SA 4.0; cite Kumar et al. 2017 and 2020",
        url="https://monuseg.grand-challenge.org/Data/",
        obtain="download both archives and unpack them into one folder: Tissue Images/*.tif with Annotations/*.xml, "
        "and MoNuSegTestData with both",
        default_name="MoNuSeg",
        options=(
            SKIP_UNPAIRED,
            Option(
                "--border", "make the outermost N pixels of each nucleus a class of their own", "number", metavar="N"
            ),
        ),
        traps=(
            "outlines in Aperio XML: filled exactly, overlaps resolved and counted, object numbers kept",
            "groups: TCGA patient",
        ),
    ),
    Source(
        key="busi",
        module="busi",
        title="Breast Ultrasound Images (BUSI)",
        task="lesions, as one class or as benign and malignant",
        modality="ultrasound of the breast, RGB files that are gray but for a few marks",
        size="780 images (437 benign, 210 malignant, 133 normal), most about 500×500; patients are not named",
        terms="copies name different licences: read the page; cite Al-Dhabyani et al. 2020 (Data in Brief 28, 104863)",
        url="https://scholar.cu.edu.eg/?q=afahmy/pages/dataset",
        obtain="download the archive from the page; it holds benign/benign (1).png, benign/benign (1)_mask.png, …",
        default_name="BUSI",
        options=(
            classes_option("lesion", "benign+malignant"),
            Option("--drop-normals", "leave out the images without lesion; else they stay, with empty masks"),
            SKIP_UNPAIRED,
        ),
        traps=(
            "one to three masks an image, of 1 bit, RGB or RGBA: united, each kept as an object",
            "normal images have empty masks and are kept, or left out with --drop-normals",
            "pictures that occur twice, one with two diagnoses, and many near-duplicates: told, and kept in one group",
        ),
    ),
    Source(
        key="usgra",
        module="usgra",
        title="usgra-seg: ultrasound-guided regional anaesthesia",
        task="nerves and vessels",
        modality="ultrasound (Mindray TE7, linear probe), gray and RGB files mixed",
        size="204 training and 40 test images, most 534×512; volunteers are not named",
        terms="CC BY 4.0",
        url="https://github.com/tmkand/usgra-seg",
        obtain="download the repository as zip; it holds dataset/images, dataset/masks, dataset/test",
        default_name="USGRA",
        traps=(
            "masks are palette pictures: the index is the label",
            "gray and RGB images mixed: all become RGB",
            "pictures that occur twice and near-duplicates: kept in one group",
        ),
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
        obtain="one folder of images, one of masks or annotations of the same names, or a COCO file",
        inputs=(
            Option(
                "--images",
                "folder of images: png, bmp, tif, jpg, jp2, npy, nii, mha, nrrd",
                "path",
                "DIR",
                required=True,
            ),
            Option(
                "--masks",
                "folder of masks (png, bmp, tif, npy, nii, mha, nrrd; also one a class: a_gland.png or gland/a.png), "
                "of LabelMe JSON, QuPath GeoJSON or Aperio XML, or one COCO JSON file",
                "path",
                "DIR|JSON",
                required=True,
            ),
        ),
        options=(
            Option(
                "--labels",
                "what the mask values mean: name=value,… or name=#RRGGBB,…, any other value is an error; or which "
                "named classes count: name,… or name=CLASS,…, others are left out",
                "text",
                "NAME=VALUE,…",
            ),
            Option(
                "--pair",
                "which mask belongs to which image: a regular expression whose first group both names share, or a CSV "
                "file with the columns image, mask and perhaps group; default: the same stem",
                "text",
                "REGEX|CSV",
            ),
            Option(
                "--mask-format",
                "what --masks holds, where that is in doubt",
                "text",
                choices=("auto", "pictures", "class-files", "class-folders", "coco", "labelme", "geojson", "aperio"),
            ),
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
        key="slides",
        module="slides",
        title="your own whole slides with regions annotated in QuPath",
        task="whatever the annotations name",
        modality="histology slides that OpenSlide or tifffile reads, RGB or gray of 8 bits",
        size="any",
        terms="those of your data",
        url="",
        obtain="one folder with slides and QuPath GeoJSON of the same names (a.svs, a.geojson)",
        options=(
            Option("--microns-per-pixel", "of the training images; default: level 0 as it is", "decimal", "UM"),
            Option(
                "--labels",
                "which classes count: name,… or name=CLASS,…; others are left out",
                "text",
                "NAME=CLASS,…",
            ),
            Option(
                "--groups",
                "patients: a regular expression on the slide's name, or a CSV file with the columns name, group; "
                "default: each slide",
                "text",
                "REGEX|CSV",
            ),
            Option("--skip-unpaired", "leave out slides without GeoJSON and GeoJSON without a slide"),
        ),
        record="SlidesOptions",
        example="SRC --microns-per-pixel 0.5",
        traps=(
            "regions: rectangles of the class Region*, or locked ones without a class; what lies in none is left out",
            "slides of several pixel sizes: refused without --microns-per-pixel",
            "regions of a slide are one group",
        ),
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
        module="dicom.converter",
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
        example="SRC --crop-region",
        traps=(
            "files without an ending, reports and DICOMDIR among them: told by content",
            "gray stored as colours: becomes gray",
            "banners with names: cut with --crop-region",
            "patients: groups and case names are salted hashes",
        ),
    ),
    *DESCRIBED,
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
