"""DDTI: nodules of the thyroid in ultrasound, in the layout of the original archive: outlines in JSON inside XML.

Source: Pedraza et al., SIPAIM 2014; the archive at https://www.kaggle.com/datasets/dasmehdixtr/ddti-thyroid-ultrasound-images
as public code reads it, some of which names 197.xml and 205.xml as the two files whose outlines break off.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from medt_pipeline.core.errors import UserError

from .annotations.mask import AnnotatedMask
from .annotations.reading import Annotations, require_readable, to_points
from .annotations.shapes import Outline
from .label_mapping import parse_labels
from .pictures import PictureFile
from .problems import Problems
from .registry import source as registered
from .released import files_in
from .sources import Selection, SourceCase, folder_with
from .summary import Summary
from .target import Target
from .writer import write_dataset

NODULE = "nodule"
_FIRST = "1.xml"


@dataclass(frozen=True)
class CaseFile:
    """What the XML file of a case tells.

    Attributes:
        outlines: by the number of an image, the texts of its marks.
        tirads: the class of TI-RADS, "" where there is none.
    """

    outlines: Mapping[str, tuple[str, ...]]
    tirads: str


def convert(source: Path, target: Target) -> Summary:
    """Convert N_M.jpg, image M of case N, with the outlines in N.xml; the group is the case.

    Images without outlines, or whose outlines break off, as in two files of the release, are left out and
    told: that nothing was drawn does not mean that there is no nodule.

    Raises:
        UserError: the folder is not that of DDTI, or its files have problems, all told together.
    """
    with target.opened(source, "DDTI") as folder:
        problems = Problems()
        selection = select(folder_with(folder, _FIRST), problems)
        return write_dataset(selection, parse_labels(f"{NODULE}=1"), registered("ddti"), target, problems)


def select(root: Path, problems: Problems) -> Selection:
    """Find the cases; what is wrong with files goes to `problems`.

    Raises:
        UserError: there are no images or no XML files.
    """
    images = files_in(root, r"(\d+_\d+)\.jpg", "images of DDTI")
    files = files_in(root, r"(\d+)\.xml", "XML files of DDTI")
    told: dict[str, CaseFile] = {}
    for number, path in files.items():
        with problems.collecting():
            told[number] = read_case(path)
    cases: list[SourceCase] = []
    left_out: list[str] = []
    for name in sorted(images, key=lambda name: [int(part) for part in name.split("_")]):
        number, image = name.split("_")
        case = told.get(number)
        texts = case.outlines.get(image, ()) if case else ()
        if case is None or not texts or not all(_is_whole(text) for text in texts):
            left_out.append(f"{name}.jpg ({'outlines that break off' if texts else 'without outlines'})")
            continue
        load = partial(read_outlines, files[number], image)
        mask = AnnotatedMask(files[number], load, {NODULE: 1}, f"image {image}")
        facts = {"TI-RADS": case.tirads} if case.tirads else {}
        cases.append(SourceCase(name, PictureFile(images[name]), mask, number, facts=facts))
    return Selection(tuple(cases), "number of the case", "outlines of nodules, filled", left_out=tuple(left_out))


def read_case(path: Path) -> CaseFile:
    """Read the XML file of a case.

    Raises:
        UserError: it is not such XML, or holds a document type or entities.
    """
    try:
        root: Element = defusedxml.ElementTree.parse(require_readable(path), forbid_dtd=True).getroot()
    except DefusedXmlException:
        raise UserError(f"{path} holds a document type or entities; take it from the archive.") from None
    except (ParseError, LookupError) as error:
        raise UserError(f"{path} is not valid XML ({error}); take it from the archive.") from None
    outlines: dict[str, tuple[str, ...]] = {}
    for mark in root.iter("mark"):
        number, text = (mark.findtext("image") or "").strip(), (mark.findtext("svg") or "").strip()
        if text not in ("", "[]"):
            outlines[number] = (*outlines.get(number, ()), text)
    return CaseFile(outlines, (root.findtext("tirads") or "").strip())


def read_outlines(path: Path, image: str) -> Annotations:
    """Read the outlines of one image of a case.

    Coordinates are pixels of the image, counted from the outer corner of the first.

    Raises:
        UserError: as for `read_case`; the text is not a list of regions with points.
    """
    where = f"image {image}"
    lists: list[Any] = [json.loads(text) for text in read_case(path).outlines[image]]
    try:
        rings = [
            [(float(point["x"]), float(point["y"])) for point in region["points"]]
            for regions in lists
            for region in regions
        ]
    except (TypeError, KeyError, ValueError):
        raise UserError(
            f"{path}, {where}: the outlines are no regions with points of x and y; mend the file."
        ) from None
    return Annotations(tuple(Outline(NODULE, to_points(ring, path, where)) for ring in rings))


def _is_whole(text: str) -> bool:
    try:
        json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return False
    return True
