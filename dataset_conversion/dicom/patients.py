"""What stands for a patient outside the hospital: salted hashes."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path

from pydicom import Dataset

from medt_pipeline.core.dicom.identity import text_of
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json

SALT_FILE = "medt_dicom.json"
"""In the raw data set; who has it and a list of patients can tell which is which, so it is deleted before sharing."""

_HASH_DIGITS = 10
"""Sixteen to the power of ten: among 10,000 patients, two share a hash once in 20,000 data sets, and are then one
group."""


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
    identifier, name = text_of(header, "PatientID"), text_of(header, "PatientName")
    if identifier:
        return ("patient", text_of(header, "IssuerOfPatientID"), identifier)
    if name:
        return ("name", name, text_of(header, "PatientBirthDate"))
    study = text_of(header, "StudyInstanceUID")
    return ("study", study) if study else ()
