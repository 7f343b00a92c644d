"""Which cases belong together (one patient), so that no split may part them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import stem_of

from .problems import count, some
from .tables import read_rows


def declared_groups(groups: str, stems: Sequence[str]) -> tuple[dict[str, str], str]:
    """Read --groups: a CSV file where there is one of this name, else a regular expression on the stem.

    Returns:
        The group of every stem, and a sentence that tells the rule.

    Raises:
        UserError: neither, or some stems have no group; the sentence lists them.
    """
    file = Path(groups)
    if file.is_file():
        return _from_csv(file, stems), f"listed in {file.name}"
    if file.suffix.lower() == ".csv" or file.is_dir():
        raise UserError(f"The file of groups, {groups}, does not exist or is a folder; check the spelling.")
    return _from_pattern(groups, stems), f"the part of the name that fits {groups!r}"


def _from_pattern(pattern: str, stems: Sequence[str]) -> dict[str, str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"--groups {pattern!r} is no regular expression ({error}) and no file of that name exists."
        ) from None
    groups: dict[str, str] = {}
    for stem in stems:
        match = expression.search(stem)
        found = match and (match[1] if expression.groups else match[0])
        if found:
            groups[stem] = found
    _require_all(groups, stems, f"do not fit --groups {pattern!r}")
    return groups


def _from_csv(file: Path, stems: Sequence[str]) -> dict[str, str]:
    known = set(stems)
    groups: dict[str, str] = {}
    for name, group in read_rows(file, (2,), "name and group"):
        stem = name if name in known else stem_of(Path(name))
        # a header, or a case that is not converted
        if stem not in known:
            continue
        if groups.get(stem, group) != group:
            raise UserError(f"{file} lists {name} twice, in the groups {groups[stem]!r} and {group!r}; keep one line.")
        if group:
            groups[stem] = group
    _require_all(groups, stems, f"have no group in {file}")
    return groups


def _require_all(groups: Mapping[str, str], stems: Sequence[str], what: str) -> None:
    missing = [stem for stem in stems if stem not in groups]
    if missing:
        raise UserError(f"{len(missing)} of {count(len(stems), 'name')} {what}: {some(missing)}; every case needs one.")
