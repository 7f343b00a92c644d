"""What a raw data set says of itself, and which files it has: the part of its check that opens no picture."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json, write_json

from .stored_pixels import PICTURE_ENDINGS, VOLUME_ENDINGS

DESCRIPTION = "dataset.json"
ENDINGS = (*PICTURE_ENDINGS, *VOLUME_ENDINGS)

READERS = {
    "NaturalImage2DIO": PICTURE_ENDINGS,
    "SimpleITKIO": (".nii.gz", ".nrrd", ".mha", ".gipl"),
    "NibabelIO": (".nii.gz", ".nii"),
    "NibabelIOWithReorient": (".nii.gz", ".nii"),
}
"""nnU-Net's readers of 2D images, with the endings that they take."""

_IMAGE_LIKE = (*ENDINGS, ".jpg", ".jpeg", ".tiff", ".jp2", ".gif", ".webp", ".npy", ".dcm", ".mhd", ".svs")
_NUMBERED = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        file: its path in the data set, or where there is none the folder's.
        what: what is wrong with it, to be read after its name.
        remedy: what to do.
        fix: does that; None where a person must.
    """

    file: str
    what: str
    remedy: str
    fix: Callable[[], object] | None = None


@dataclass(frozen=True)
class Description:
    """What dataset.json says.

    Attributes:
        channels: their number.
        labels: all values that label maps may hold.
        ending: that of all files, such as ".png".
        training: number of training cases as it stands there, whatever that is.
        listed: files of the training cases where they are named one by one, else None.
    """

    channels: int
    labels: frozenset[int]
    ending: str
    training: Any
    listed: Any = None


@dataclass(frozen=True)
class RawCase:
    """Files of a case, the images in the order of their channels; `labels` is None for a test case without."""

    name: str
    images: tuple[Path, ...]
    labels: Path | None


def read_description(raw: Path) -> tuple[Description | None, list[Finding]]:
    """Read and check dataset.json; no description where it lacks what is needed to go on."""
    try:
        content = read_json(raw / DESCRIPTION)
    except UserError as error:
        return None, [Finding(DESCRIPTION, str(error).rstrip("."), "restore it, or convert the data set again")]
    if not isinstance(content, dict):
        return None, [Finding(DESCRIPTION, "is no JSON object", "restore it, or convert the data set again")]
    missing = [key for key in ("channel_names", "labels", "numTraining", "file_ending") if key not in content]
    if "modality" in content and "channel_names" in missing:
        remedy = "run nnUNetv2_convert_old_nnUNet_dataset"
        return None, [Finding(DESCRIPTION, "has the format of nnU-Net's first version", remedy)]
    if missing:
        return None, [Finding(DESCRIPTION, f"lacks {', '.join(missing)}", "add them as nnU-Net's documentation says")]
    channels, ending = content["channel_names"], str(content["file_ending"])
    labels, findings = _check_labels(content["labels"])
    findings += _check_ending(ending, str(content.get("overwrite_image_reader_writer", "None")))
    if not isinstance(channels, dict) or not channels:
        findings.append(
            Finding(DESCRIPTION, "has no names of channels", 'write them as {"0": "R", "1": "G", "2": "B"}')
        )
        return None, findings
    return Description(len(channels), labels, ending, content["numTraining"], content.get("dataset")), findings


def _check_labels(declared: Any) -> tuple[frozenset[int], list[Finding]]:
    """All label values, of regions and the ignore label too."""
    try:
        values = [int(one) for value in declared.values() for one in (value if isinstance(value, list) else [value])]
    except (TypeError, ValueError, AttributeError):
        remedy = 'write them as {"background": 0, "gland": 1}'
        return frozenset(), [Finding(DESCRIPTION, "has labels that are not name: whole number", remedy)]
    findings = []
    if declared.get("background") != 0:
        findings.append(Finding(DESCRIPTION, "does not declare background as label 0", 'add "background": 0'))
    if sorted(set(values)) != list(range(len(set(values)))):
        what = f"declares the labels {sorted(set(values))}, which are not consecutive from 0"
        findings.append(Finding(DESCRIPTION, what, "renumber the labels, in the label maps too"))
    return frozenset(values), findings


def _check_ending(ending: str, reader: str) -> Iterator[Finding]:
    if ending.lower() not in ENDINGS:
        what = f"says that files end in {ending}, which nnU-Net cannot read as 2D images"
        yield Finding(DESCRIPTION, what, f"convert them to one of {', '.join(ENDINGS)} with medt_convert folder")
    elif reader in READERS and ending.lower() not in READERS[reader]:
        what = f"names the reader {reader}, which cannot read {ending}"
        yield Finding(DESCRIPTION, what, "delete the line overwrite_image_reader_writer")


def list_cases(raw: Path, description: Description, split: str) -> tuple[list[RawCase], list[Finding]]:
    """The cases of a split, and what is wrong with the names of files.

    Args:
        split: "Tr", where every image must have labels, or "Ts", where none has to.
    """
    if split == "Tr" and description.listed is not None:
        return _listed_cases(raw, description.listed)
    images, labels = raw / f"images{split}", raw / f"labels{split}"
    if split == "Tr":
        absent = [folder.name for folder in (images, labels) if not folder.is_dir()]
        if absent:
            return [], [Finding(name, "is missing", "convert the data set again") for name in absent]
    files, findings = _files(images, description.ending)
    label_files, more = _files(labels, description.ending)
    findings += more
    channels: dict[str, list[Path]] = defaultdict(list)
    for stem, file in files.items():
        match = _NUMBERED.fullmatch(stem)
        if match:
            channels[match[1]].append(file)
        else:
            findings.append(_without_channel(raw, file, description.ending))
    findings += _unmatched(channels, label_files, None if split == "Ts" else description.ending)
    cases = [RawCase(name, tuple(channels[name]), label_files.get(name)) for name in sorted(channels)]
    return cases, findings


def _listed_cases(raw: Path, listed: Any) -> tuple[list[RawCase], list[Finding]]:
    """Cases whose files dataset.json names one by one, as it may."""
    cases, findings = [], []
    try:
        named = {
            name: (tuple(raw / one for one in files["images"]), raw / files["label"]) for name, files in listed.items()
        }
    except (TypeError, KeyError, AttributeError):
        remedy = 'write each as "NAME": {"images": [FILE], "label": FILE}'
        return [], [Finding(DESCRIPTION, "has a list of cases in another form", remedy)]
    for name, (images, labels) in named.items():
        absent = [file for file in (*images, labels) if not file.is_file()]
        if absent:
            what = f"names {absent[0]} for {name}, which is missing"
            findings.append(Finding(DESCRIPTION, what, "restore the file or take the case out"))
        else:
            cases.append(RawCase(name, images, labels))
    return cases, findings


def _files(folder: Path, ending: str) -> tuple[dict[str, Path], list[Finding]]:
    """Files of `folder` by their name without `ending`; images with another ending are told."""
    if not folder.is_dir():
        return {}, []
    found, findings = {}, []
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or not file.is_file():
            continue
        if file.name.endswith(ending):
            found[file.name.removesuffix(ending)] = file
        elif file.name.lower().endswith(_IMAGE_LIKE):
            what = f"does not end in {ending} as {DESCRIPTION} says, so nnU-Net does not see it"
            findings.append(Finding(f"{folder.name}/{file.name}", what, "convert it, or take it away"))
    return found, findings


def _without_channel(raw: Path, file: Path, ending: str) -> Finding:
    target = file.with_name(f"{file.name.removesuffix(ending)}_0000{ending}")
    what = "has no channel number at the end of its name"
    free = not target.exists()
    return Finding(
        f"{file.parent.name}/{file.name}",
        what,
        f"rename it {target.name}" if free else f"{target.name} is there too: take one away",
        partial(file.rename, target) if free else None,
    )


def _unmatched(images: Mapping[str, list[Path]], labels: Mapping[str, Path], ending: str | None) -> Iterator[Finding]:
    """Images without label map, which ends in `ending` (None: none is needed), and label maps without image."""
    for name in sorted(images.keys() - labels.keys()) if ending else ():
        file = images[name][0]
        remedy = "add it, or take the image away"
        yield Finding(f"{file.parent.name}/{file.name}", f"has no label map labelsTr/{name}{ending}", remedy)
    for name in sorted(labels.keys() - images.keys()):
        file = labels[name]
        match = _NUMBERED.fullmatch(name)
        meant = file.with_name(file.name.replace(name, match[1])) if match else None
        if match and meant and match[1] in images and not meant.exists():
            what = "ends in a channel number, which label maps have not"
            yield Finding(
                f"{file.parent.name}/{file.name}", what, f"rename it {meant.name}", partial(file.rename, meant)
            )
        else:
            remedy = "add the image, or take the label map away"
            yield Finding(f"{file.parent.name}/{file.name}", "has no image", remedy)


def check_count(raw: Path, description: Description, cases: int, complete: bool) -> list[Finding]:
    """numTraining against the number of training cases; it is not to be changed where not all are `complete`."""
    if description.training == cases:
        return []
    what = f"says numTraining {description.training}, but there are {cases} training cases"
    if complete:
        return [Finding(DESCRIPTION, what, f"write {cases}", partial(_set_count, raw, cases))]
    return [Finding(DESCRIPTION, what, f"mend names and missing files first, then write {cases} if need be")]


def _set_count(raw: Path, cases: int) -> None:
    write_json(raw / DESCRIPTION, read_json(raw / DESCRIPTION) | {"numTraining": cases})
