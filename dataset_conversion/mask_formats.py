"""What lies in the folder or file that was given as masks: looked at, said, and refused where it may be two things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import require_folder
from medt_pipeline.core.images import IMAGE_ENDINGS, ending_of, list_images

from .annotations.reading import load_json
from .class_files import looks_like_class_files, looks_like_class_folders
from .problems import some

FORMATS: Mapping[str, str] = {
    "pictures": "mask pictures",
    "class-files": "one mask picture a class (a_gland.png, a_lumen.png)",
    "class-folders": "one folder of mask pictures a class",
    "coco": "a COCO JSON file",
    "labelme": "LabelMe JSON files",
    "geojson": "QuPath GeoJSON files",
    "aperio": "Aperio ImageScope XML files",
}
"""What --mask-format takes beside "auto", and what it is called."""
AUTO = "auto"

JSON_ENDINGS = (".json", ".geojson")
XML_ENDINGS = (".xml",)


@dataclass(frozen=True)
class FoundMasks:
    """The format, a key of `FORMATS`, and its files; for class folders the folders."""

    format: str
    files: tuple[Path, ...]


def find_masks(masks: Path, images: Sequence[Path], in_shared_folder: Sequence[Path] | None, wanted: str) -> FoundMasks:
    """Look what `masks` holds.

    Args:
        masks: a folder, or a COCO file.
        images: the images, whose names tell whole masks from files of one class.
        in_shared_folder: the mask pictures in `masks` where it is the folder of the images as well; else None.
        wanted: the format that the user names, or `AUTO`, where one alone must fit.

    Raises:
        UserError: nothing that can be read lies there, not what is wanted, or what may be of two formats.
    """
    if masks.is_file() and ending_of(masks) in JSON_ENDINGS:
        found = by_format([masks])
        if found and "coco" not in found:
            raise UserError(f"{masks} is for one picture; give the folder that holds it and those of the others.")
    else:
        files = sorted(path for path in require_folder(masks, "masks").iterdir() if path.is_file())
        found = by_format([file for file in files if not file.name.startswith(".")])
        if in_shared_folder is None:
            found = _with_classes(found, masks, images, wanted)
        else:
            found["pictures"] = tuple(in_shared_folder)
        found = {key: files for key, files in found.items() if files}
    return choose(found, masks, wanted)


def choose(found: Mapping[str, tuple[Path, ...]], where: Path, wanted: str) -> FoundMasks:
    """The one format of `found`, or the wanted one.

    Raises:
        UserError: there is none, not the wanted one, or there are several.
    """
    if wanted not in (AUTO, *FORMATS):
        raise UserError(f"--mask-format must be one of {', '.join((AUTO, *FORMATS))}, got {wanted!r}.")
    there = " and ".join(f"{FORMATS[key]} ({some([file.name for file in files], 2)})" for key, files in found.items())
    if wanted != AUTO:
        if wanted not in found:
            raise UserError(f"{where} does not hold {FORMATS[wanted]}, but {there or 'nothing that can be read'}.")
        return FoundMasks(wanted, found[wanted])
    if not found:
        readable = "; ".join(FORMATS.values())
        raise UserError(
            f"There are no masks in {where} ({readable} are read; pictures are {', '.join(IMAGE_ENDINGS)})."
        )
    if len(found) > 1:
        raise UserError(f"{where} holds {there}; say which one counts with --mask-format {' or '.join(found)}.")
    return FoundMasks(*next(iter(found.items())))


def by_format(files: Sequence[Path]) -> dict[str, tuple[Path, ...]]:
    """Part files by format; those of other kinds are left out.

    The first JSON file that is one of annotations tells the format of all after it; the readers refuse those that
    differ.

    Raises:
        UserError: a JSON file is none, or several may be COCO.
    """
    found = {
        "pictures": [file for file in files if ending_of(file) in IMAGE_ENDINGS],
        "aperio": [file for file in files if ending_of(file) in XML_ENDINGS],
    }
    json_files = [file for file in files if ending_of(file) in JSON_ENDINGS]
    for place, file in enumerate(json_files):
        format = _sniff(file)
        if format:
            found[format] = json_files[place:]
            break
    if len(found.get("coco", ())) > 1:
        names = some([file.name for file in json_files])
        raise UserError(f"{json_files[0].parent} holds several JSON files ({names}); give the one COCO file itself.")
    return {format: tuple(files) for format, files in found.items() if files}


def _with_classes(
    found: dict[str, tuple[Path, ...]], masks: Path, images: Sequence[Path], wanted: str
) -> dict[str, tuple[Path, ...]]:
    """Pictures and folders of pictures that are, or are said to be, one a class."""
    pictures = found.get("pictures", ())
    if pictures and (wanted == "class-files" or (wanted == AUTO and looks_like_class_files(images, pictures))):
        found = {("class-files" if key == "pictures" else key): files for key, files in found.items()}
    folders = _folders(masks)
    if not folders or (found and wanted != "class-folders"):
        return found
    if wanted == AUTO and not looks_like_class_folders(images, folders):
        raise UserError(
            f"{masks} holds folders ({some([folder.name for folder in folders])}), but no image has masks in two; "
            "give the one folder that counts, or --mask-format class-folders if each is a class."
        )
    return {**found, "class-folders": folders}


def _folders(masks: Path) -> tuple[Path, ...]:
    return tuple(
        folder
        for folder in sorted(masks.iterdir())
        if folder.is_dir() and not folder.name.startswith(".") and list_images(folder)
    )


def _sniff(path: Path) -> str | None:
    """The format of a JSON file, None where it holds no annotations."""
    content = load_json(path)
    if isinstance(content, list):
        return "geojson"
    if isinstance(content, dict):
        if "annotations" in content and "images" in content:
            return "coco"
        if "shapes" in content:
            return "labelme"
        if content.get("type") in ("FeatureCollection", "Feature"):
            return "geojson"
    return None
