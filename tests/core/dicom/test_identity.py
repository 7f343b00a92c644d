"""Words that name a person, found and hidden."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from medt_pipeline.core.dicom.identity import hide, identifying_words


def header(**elements: object) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def test_identifying_words() -> None:
    words = identifying_words(
        header(
            PatientName="Müller-Lü^Zoë=李^明",
            PatientID="A 12",
            PatientBirthDate="19700131",
            OtherPatientIDs=["X99", "Y1"],
            AccessionNumber="",
        )
    )
    assert words == {"müller-lü", "zoë", "12", "19700131", "1970-01-31", "31.01.1970", "x99", "y1"}


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("/data/Musterfrau_A/IM1", "/data/***_A/IM1"),
        ("MUSTERFRAUx.dcm", "***x.dcm"),
        ("li/IM1", "***/IM1"),
        ("Li_2.png", "***_2.png"),
        ("Liver/IM1", "Liver/IM1"),
        ("12.5", "***.5"),
        ("x12", "x12"),
    ],
)
def test_hiding(text: str, hidden: str) -> None:
    assert hide(text, {"musterfrau", "li", "12"}) == hidden
