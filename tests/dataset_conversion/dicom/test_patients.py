"""Hashes that stay."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.dicom.patients import (
    SALT_FILE,
    patient_key,
    salt_for,
    short_hash,
)

SALT = "0f" * 32


def header(**elements: object) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def test_the_hash_is_hmac_sha256() -> None:
    truth = hmac.new(bytes.fromhex(SALT), b"patient\0\0" + b"4711", hashlib.sha256).hexdigest()
    assert short_hash(SALT, "patient", "", "4711") == truth[:10]


@given(st.text(), st.text(), st.text())
def test_parts_do_not_run_into_each_other(one: str, two: str, three: str) -> None:
    if "\0" not in one + two + three and two:
        assert short_hash(SALT, one + two, three) != short_hash(SALT, one, two + three)
    assert short_hash(SALT, one) != short_hash("1e" * 32, one)


def test_a_salt_is_new_or_that_of_the_data_set(tmp_path: Path) -> None:
    assert salt_for(tmp_path) != salt_for(tmp_path)
    (tmp_path / SALT_FILE).write_text(json.dumps({"salt": SALT}))
    assert salt_for(tmp_path) == SALT


@pytest.mark.parametrize("content", ["[]", '{"salt": 3}', '{"salt": "short"}', "no json"])
def test_a_file_without_a_salt(tmp_path: Path, content: str) -> None:
    (tmp_path / SALT_FILE).write_text(content)
    with pytest.raises(UserError, match=SALT_FILE):
        salt_for(tmp_path)


def test_what_tells_patients_apart() -> None:
    assert patient_key(header(PatientID="7 ", PatientName="A^B")) == ("patient", "", "7")
    assert patient_key(header(PatientID="7", IssuerOfPatientID="here")) == ("patient", "here", "7")
    assert patient_key(header(PatientID="", PatientName="A^B", PatientBirthDate="19700101")) == (
        "name",
        "A^B",
        "19700101",
    )
    assert patient_key(header(StudyInstanceUID="1.2")) == ("study", "1.2")
    assert patient_key(header(PatientName=None)) == ()
