"""COCO: one JSON file for many pictures.

Coordinates count from the outer corner of the first pixel, as COCO's own code has it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from medt_pipeline.core.errors import UserError

from .reading import Annotations, left_out_note, load_json, to_length, to_list, to_points
from .run_lengths import check_counts, decode_counts, decode_text
from .shapes import Outline, PixelMask, Shape


@dataclass(frozen=True, eq=False)
class CocoFile:
    """What one COCO file says.

    Attributes:
        pictures: the annotations of every picture by its file name as written, pictures without annotation included.
        categories: names in the order of their ids.
    """

    pictures: Mapping[str, Annotations]
    categories: tuple[str, ...]


def read_coco(path: Path) -> CocoFile:
    """Read polygons, several a shape, and run lengths, compressed or not.

    The polygons of one annotation are parts of one object; COCO has no holes but in run lengths. A crowd region
    (`iscrowd`) belongs to its class like any other, is one object, and is told in the notes; so are annotations that
    have a box and no outline.

    Raises:
        UserError: the file is not COCO, lists a picture twice, or refers to a picture or category that is not listed.
    """
    content = load_json(path)
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= content.keys():
        raise UserError(f"{path} is not a COCO file: it needs 'images', 'annotations' and 'categories'.")
    categories = _categories(content["categories"], path)
    sizes, names = _pictures(content["images"], path)
    shapes: dict[Any, list[Shape]] = defaultdict(list)
    remarks: dict[Any, Counter[str]] = defaultdict(Counter)
    for number, entry in enumerate(to_list(content["annotations"], path, "'annotations'"), start=1):
        where = f"annotation {entry.get('id', number)}"
        picture, category = _key(entry.get("image_id")), _key(entry.get("category_id"))
        if picture not in sizes or category not in categories:
            raise UserError(f"{path}, {where} refers to a picture or category that is not listed; export it again.")
        found = _shapes(entry.get("segmentation"), categories[category], where, path, sizes[picture])
        shapes[picture] += found
        remarks[picture]["crowds"] += bool(entry.get("iscrowd"))
        remarks[picture]["box"] += not found
    pictures = {name: Annotations(tuple(shapes[key]), sizes[key], _notes(remarks[key])) for key, name in names.items()}
    return CocoFile(pictures, tuple(dict.fromkeys(categories.values())))


def _notes(remarks: Counter[str]) -> tuple[str, ...]:
    crowds = remarks["crowds"]
    told = (f"{crowds} crowd region{'' if crowds == 1 else 's'} counted as one object each",) if crowds else ()
    return told + left_out_note(Counter({"box": remarks["box"]}) if remarks["box"] else Counter())


def _key(value: Any) -> Any:
    """Ids are numbers or texts; anything else is none."""
    return value if isinstance(value, int | str) else None


def _categories(entries: Any, path: Path) -> dict[Any, str]:
    """Names by id, in the order of the ids."""
    listed = to_list(entries, path, "'categories'")
    names = {_key(entry.get("id")): str(entry.get("name") or "").strip() for entry in listed}
    if len(names) < len(listed) or None in names or "" in names.values():
        raise UserError(f"{path}: every category needs an id of its own and a name; mend 'categories'.")
    return dict(sorted(names.items(), key=lambda item: (isinstance(item[0], str), item[0])))


def _pictures(entries: Any, path: Path) -> tuple[dict[Any, tuple[int, int]], dict[Any, str]]:
    sizes: dict[Any, tuple[int, int]] = {}
    names: dict[Any, str] = {}
    taken: set[str] = set()
    for number, entry in enumerate(to_list(entries, path, "'images'"), start=1):
        where = f"image {entry.get('id', number)}"
        key, name = _key(entry.get("id")), entry.get("file_name")
        if key is None or not isinstance(name, str) or key in names or name in taken:
            raise UserError(f"{path}, {where} lacks an id or a file name of its own; mend 'images'.")
        names[key] = name
        taken.add(name)
        sizes[key] = to_length(entry.get("height"), path, where), to_length(entry.get("width"), path, where)
    return sizes, names


def _shapes(segmentation: Any, name: str, where: str, path: Path, size: tuple[int, int]) -> list[Shape]:
    if isinstance(segmentation, dict):
        return [_run_lengths(segmentation, name, where, path, size)]
    if segmentation is not None and not isinstance(segmentation, list):
        raise UserError(f"{path}, {where}: the segmentation is neither polygons nor run lengths; export it again.")
    part_of = where if segmentation and len(segmentation) > 1 else None
    return [Outline(name, to_points(polygon, path, where), part_of=part_of) for polygon in segmentation or []]


def _run_lengths(coded: Mapping[str, Any], name: str, where: str, path: Path, size: tuple[int, int]) -> PixelMask:
    counts = coded.get("counts")
    if coded.get("size") != list(size):
        raise UserError(f"{path}, {where}: the run lengths are for another size than the picture's; export it again.")
    try:
        runs = check_counts(decode_text(counts) if isinstance(counts, str) else counts or [], size)
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{path}, {where}: {error}; export the file again.") from None
    return PixelMask(name, float(runs[1::2].sum()), partial(decode_counts, runs, size))
