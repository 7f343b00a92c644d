"""What a data set holds, as lines to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medt_pipeline.core.files import read_json
from medt_pipeline.fingerprint.medt_fingerprint import FINGERPRINT_FILE, Fingerprint
from medt_pipeline.fingerprint.summary import Summary

CONVERSION_FILE = "medt_conversion.json"
MOST_LISTED = 8
"""Entries of a list that are shown one by one."""


@dataclass(frozen=True)
class ClassLine:
    """One class: label value, name, shares (0 to 1), number of objects and their median diameter in pixels or None."""

    value: str
    name: str
    pixel_share: float
    present_share: float
    objects: int
    diameter_px: float | None


@dataclass(frozen=True)
class DataFacts:
    """A data set in words.

    Attributes:
        title: its short name.
        lines: pairs of a term and what is said of it.
        classes: [] where the fingerprint is not known.
        notes: what a reader should be warned of.
    """

    title: str
    lines: tuple[tuple[str, str], ...]
    classes: tuple[ClassLine, ...]
    notes: tuple[str, ...]


def describe_data(raw: Path, fingerprint: Fingerprint | None, dataset_json: Mapping[str, Any]) -> DataFacts:
    """Facts from dataset.json, medt_conversion.json of the folder `raw`, where there is one, and the fingerprint.

    Raises:
        UserError: medt_conversion.json is not JSON.
    """
    file = raw / CONVERSION_FILE
    conversion = read_json(file) if file.exists() else {}
    summary = None if fingerprint is None else fingerprint.summary
    lines = [
        *_of_source(dataset_json, conversion),
        *_of_images(dataset_json, summary),
        *_of_groups(conversion, summary),
    ]
    notes = [str(note) for key in ("notes", "left_out", "duplicates") for note in conversion.get(key, [])]
    if summary is None:
        notes.append(f"{FINGERPRINT_FILE} is missing or of another version, so facts of the images are not shown.")
    else:
        notes += [f"left out: {problem.case}: {problem.reason}" for problem in summary.problems]
    if len(notes) > MOST_LISTED:
        notes = [*notes[:MOST_LISTED], f"and {len(notes) - MOST_LISTED} more"]
    title = str(dataset_json.get("name") or raw.name.partition("_")[2])
    return DataFacts(title, tuple(lines), tuple(_class_lines(summary)), tuple(notes))


def _of_source(dataset_json: Mapping[str, Any], conversion: Mapping[str, Any]) -> list[tuple[str, str]]:
    terms = conversion.get("terms") or dataset_json.get("licence")
    values = {
        "Source": conversion.get("source") or dataset_json.get("description"),
        "Terms of use": terms,
        "Reference": dataset_json.get("reference"),
        "Masks": conversion.get("mask_reading"),
    }
    return [(term, str(value)) for term, value in values.items() if value]


def _of_images(dataset_json: Mapping[str, Any], summary: Summary | None) -> list[tuple[str, str]]:
    channels = ", ".join(str(name) for name in dataset_json.get("channel_names", {}).values())
    if summary is None:
        return [("Training images", str(dataset_json.get("numTraining", "unknown"))), ("Channels", channels)]
    sizes = [f"{one.width_px} × {one.height_px} ({one.cases})" for one in summary.sizes]
    more = f" and {len(sizes) - MOST_LISTED} other sizes" if len(sizes) > MOST_LISTED else ""
    depths = ", ".join(f"{depth} bit" if depth != "float" else depth for depth in summary.bit_depths)
    lines = [
        ("Training images", str(summary.cases)),
        ("Sizes in pixels", ", ".join(sizes[:MOST_LISTED]) + more),
        ("Channels", f"{channels} ({depths})"),
    ]
    if summary.pixel_size is not None:
        size = summary.pixel_size
        known = f", known of {size.known_cases}" if size.known_cases < summary.cases else ""
        differs = ", not the same everywhere" if size.differs else ""
        lines.append(("Pixel size", f"{size.x_um:.4g} × {size.y_um:.4g} µm{known}{differs}"))
    return [*lines, ("Images without any object", str(summary.empty_masks))]


def _of_groups(conversion: Mapping[str, Any], summary: Summary | None) -> list[tuple[str, str]]:
    rule = f" ({conversion['group_rule']})" if conversion.get("group_rule") else ""
    if summary is None:
        return [("Patients or other groups", f"{conversion['groups']}{rule}")] if "groups" in conversion else []
    groups = summary.groups
    known = "not known: every image counts as its own" if groups.declared is None else f"{groups.declared}{rule}"
    lines = [("Patients or other groups", known)]
    if groups.near_duplicate_pairs:
        across = f", {groups.pairs_across_groups} of them of different groups" if groups.pairs_across_groups else ""
        pairs = f"{len(groups.near_duplicate_pairs)} pairs of images that show nearly the same{across}"
        lines.append(("Near-duplicates", f"{pairs}; no fold parts them"))
    return lines


def _class_lines(summary: Summary | None) -> list[ClassLine]:
    if summary is None:
        return []
    return [
        ClassLine(
            value,
            one.name,
            one.pixel_share,
            one.present_case_share,
            one.objects,
            None if one.diameter_px is None else one.diameter_px.p50,
        )
        for value, one in summary.classes.items()
    ]
