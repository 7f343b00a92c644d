"""What is known of a case beside its pixels: `medt_cases.json` in the raw data set folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json, write_json

CASES_FILE = "medt_cases.json"


@dataclass(frozen=True)
class Case:
    """One training or test case of a raw data set.

    Attributes:
        group: patient or other unit that must not be split between training and validation; the case's own name
            where nothing is known.
        image: file name of the source image.
        mask: file name of the source mask, None for test cases without one.
        pixel_size_um: height and width of a pixel of the source in micrometres, None where its file does not tell; the
            PNG files that are written hold none.
        more_masks: file names of the masks that were united with `mask`.
        facts: what the source knows of the case, such as {"grade": "malignant"}.
    """

    group: str
    image: str
    mask: str | None = None
    pixel_size_um: tuple[float, float] | None = None
    more_masks: tuple[str, ...] = ()
    facts: Mapping[str, str | float] = field(default_factory=dict)


def write_cases(raw_folder: Path, cases: dict[str, Case]) -> None:
    """Write the facts about all cases, sorted by name, to `raw_folder`/medt_cases.json."""
    write_json(raw_folder / CASES_FILE, {"cases": {name: _to_json(cases[name]) for name in sorted(cases)}})


def read_cases(raw_folder: Path) -> dict[str, Case]:
    """Read medt_cases.json; {} where a raw data set of plain nnU-Net has none.

    Raises:
        UserError: the file is not what `write_cases` writes.
    """
    file = raw_folder / CASES_FILE
    if not file.exists():
        return {}
    try:
        return {str(name): _from_json(facts) for name, facts in read_json(file)["cases"].items()}
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise UserError(f"{file} is not a table of cases ({error}); convert the data set again.") from None


def _to_json(case: Case) -> dict[str, Any]:
    known = asdict(case)
    return {key: value for key, value in known.items() if key in ("group", "image", "mask") or value}


def _from_json(facts: Mapping[str, Any]) -> Case:
    size = facts.get("pixel_size_um")
    restored = {
        "pixel_size_um": None if size is None else (float(size[0]), float(size[1])),
        "more_masks": tuple(facts.get("more_masks", ())),
    }
    return Case(**{**facts, **restored})
