"""BUS-BRA, drawn small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.errors import UserError

from .drawn import picture, save, square
from .drawn_releases import convert

TABLE = """ID,Case,Histology,Pathology,BIRADS,Device,Width,Height,Side,BBOX
bus_0001-l,1,invasive carcinoma,malignant,5,Logiq 5,15,12,left,"[4,3,6,5]"
bus_0001-r,1,invasive carcinoma,malignant,5,Logiq 5,15,12,right,"[4,3,6,5]"
bus_0002-l,2,fibroadenoma,benign,2,U-Systems,15,12,left,"[4,3,6,5]"
"""


def draw(root: Path) -> Path:
    for seed, name in enumerate(("0001-l", "0001-r", "0002-l")):
        save(root / "BUSBRA" / "Images" / f"bus_{name}.png", picture(seed, channels=1))
        save(root / "BUSBRA" / "Masks" / f"mask_{name}.png", square() > 0)
    (root / "BUSBRA" / "bus_data.csv").write_text(TABLE)
    return root


def test_masks_and_patients(tmp_path: Path) -> None:
    done = convert("bus-bra", draw(tmp_path), tmp_path)
    assert done.groups == {"bus_0001-l": "1", "bus_0001-r": "1", "bus_0002-l": "2"}
    assert done.labels == {"background": 0, "lesion": 1}
    for name in done.groups:
        np.testing.assert_array_equal(done.label(name), square(1))
    assert done.cases["bus_0002-l"].facts == {"pathology": "benign", "BI-RADS": "2", "device": "U-Systems"}


def test_benign_and_malignant_from_the_table(tmp_path: Path) -> None:
    done = convert("bus-bra", draw(tmp_path), tmp_path, classes="benign+malignant")
    assert done.labels == {"background": 0, "benign": 1, "malignant": 2}
    np.testing.assert_array_equal(done.label("bus_0001-r"), square(2))
    np.testing.assert_array_equal(done.label("bus_0002-l"), square(1))


def test_a_table_of_another_set_is_refused(tmp_path: Path) -> None:
    source = draw(tmp_path)
    table = source / "BUSBRA" / "bus_data.csv"
    table.write_text(TABLE.replace("bus_0002-l", "bus_0009-l").replace("malignant", "unknown", 1))
    with pytest.raises(UserError, match=r"(?s)does not list bus_0002-l.*calls bus_0001-l 'unknown'"):
        convert("bus-bra", source, tmp_path)
