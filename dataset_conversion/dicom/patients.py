"""What stands for a patient outside the hospital: salted hashes, and messages in which no name is left."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from pydicom import Dataset
from pydicom.multival import MultiValue

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json

SALT_FILE = "medt_dicom.json"
"""In the raw data set; who has it and a list of patients can tell which is which, so it is deleted before sharing."""

IDENTITY_KEYWORDS = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientBirthName",
    "OtherPatientIDs",
    "OtherPatientNames",
    "AccessionNumber",
)
_HASH_DIGITS = 10
"""Sixteen to the power of ten: among 10,000 patients, two share a hash once in 20,000 data sets, and are then one
group."""
_SHORT = 4
"""Words of fewer letters are hidden where they stand alone; longer ones also inside of others."""


def salt_for(dataset_folder: Path) -> str:
    """The salt of the data set that is to be replaced, so that its hashes stay the same; else a new one.

    Raises:
        UserError: there is a file of that name without a salt.
    """
    file = dataset_folder / SALT_FILE
    if not file.exists():
        return secrets.token_hex(32)
    content = read_json(file)
    salt = content.get("salt") if isinstance(content, dict) else None
    if not isinstance(salt, str) or not re.fullmatch("[0-9a-f]{64}", salt):
        raise UserError(f"{file} holds no salt; delete it, and all cases get new names.")
    return salt


def short_hash(salt: str, *parts: str) -> str:
    """Ten hexadecimal digits that stand for `parts`; without the salt nobody can compute them."""
    told = "\0".join(parts).encode()
    return hmac.new(bytes.fromhex(salt), told, hashlib.sha256).hexdigest()[:_HASH_DIGITS]


def patient_key(header: Dataset) -> tuple[str, ...]:
    """What tells one patient from another: the id with its issuer, else name and date of birth, else the study.

    Empty where there is none of them.
    """
    identifier, name = _text(header, "PatientID"), _text(header, "PatientName")
    if identifier:
        return ("patient", _text(header, "IssuerOfPatientID"), identifier)
    if name:
        return ("name", name, _text(header, "PatientBirthDate"))
    study = _text(header, "StudyInstanceUID")
    return ("study", study) if study else ()


def identifying_words(header: Dataset) -> frozenset[str]:
    """The words of a header that name a person, in lower case: parts of names, ids, dates of birth."""
    words: set[str] = set()
    for keyword in IDENTITY_KEYWORDS:
        text = _text(header, keyword).lower()
        if keyword == "PatientBirthDate" and re.fullmatch(r"\d{8}", text):
            words.update((f"{text[:4]}-{text[4:6]}-{text[6:]}", f"{text[6:]}.{text[4:6]}.{text[:4]}"))
        words.update(re.split(r"[\s^=,;\\]+", text))
    return frozenset(word for word in words if len(word) > 1)


def hide(text: str, words: Iterable[str]) -> str:
    """`text` with every identifying word replaced by `***`, whatever its case."""
    for word in sorted(words, key=lambda word: (-len(word), word)):
        plain = re.escape(word)
        pattern = plain if len(word) >= _SHORT else rf"(?<![^\W_]){plain}(?![^\W_])"
        text = re.sub(pattern, "***", text, flags=re.IGNORECASE)
    return text


def _text(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    several = value if isinstance(value, MultiValue) else [value]
    return " ".join(str(one).strip() for one in several if one is not None).strip()
