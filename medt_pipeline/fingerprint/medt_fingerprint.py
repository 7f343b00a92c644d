"""`medt_fingerprint.json`: the facts of all cases and their summary, beside nnU-Net's own fingerprint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json, write_json
from medt_pipeline.fingerprint.case_facts import CaseFacts
from medt_pipeline.fingerprint.plain import from_plain, to_plain
from medt_pipeline.fingerprint.summary import Summary

FINGERPRINT_FILE = "medt_fingerprint.json"
VERSION = 1
"""Of the file's form; rises when a key changes its name or its meaning."""


@dataclass(frozen=True)
class Fingerprint:
    """Facts of the cases that could be measured, by name, and their summary."""

    cases: dict[str, CaseFacts]
    summary: Summary

    def to_json(self) -> dict[str, Any]:
        """Content of the file: plain numbers of six digits, null for what is not known."""
        return {"version": VERSION, **to_plain(self)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Fingerprint:
        """The fingerprint whose `to_json` is `content`.

        Raises:
            KeyError, TypeError: it has another form.
        """
        return from_plain(cls, content)


def write_fingerprint(folder: Path, fingerprint: Fingerprint) -> None:
    """Write `folder`/medt_fingerprint.json."""
    write_json(folder / FINGERPRINT_FILE, fingerprint.to_json())


def read_fingerprint(folder: Path) -> Fingerprint:
    """Read `folder`/medt_fingerprint.json.

    Raises:
        UserError: it is missing, of another version, or not what `write_fingerprint` writes.
    """
    file = folder / FINGERPRINT_FILE
    content = read_json(file)
    again = "run medt_plan_and_preprocess again"
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise UserError(f"{file} is not a fingerprint of version {VERSION}; {again}.")
    try:
        return Fingerprint.from_json(content)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{file} is not a fingerprint ({type(error).__name__}: {error}); {again}.") from None


def known_fingerprint(preprocessed: Path) -> Fingerprint | None:
    """The fingerprint in `preprocessed`; None where it is missing or another version wrote it."""
    try:
        return read_fingerprint(preprocessed)
    except UserError:
        return None
