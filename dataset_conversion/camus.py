"""CAMUS: the heart in 2D echocardiography, in the layout of the NIfTI release.

Source: https://humanheart-project.creatis.insa-lyon.fr/database (CAMUS_public), Leclerc et al., IEEE TMI 2019, and
`torch_em/data/datasets/medical/camus.py` of https://github.com/constantinpape/torch-em.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from medt_pipeline.core.errors import UserError

from .label_mapping import parse_labels
from .masks import MaskFile
from .pictures import PictureFile
from .problems import Problems
from .registry import source as registered
from .released import keep_pairs
from .sources import Selection, SourceCase, folder_with
from .summary import Summary
from .target import Target
from .writer import write_dataset

IMAGES, SPLIT = "database_nifti", "database_split"
TEST_PATIENTS = "subgroup_testing.txt"
LABELS = "left ventricle=1,myocardium=2,left atrium=3"
VIEWS = ("both", "2CH", "4CH")

_FRAME = re.compile(r"(patient\d+_(?:2CH|4CH)_(?:ED|ES))(_gt)?\.nii\.gz")


def convert(source: Path, target: Target, view: str = VIEWS[0], skip_unpaired: bool = False) -> Summary:
    """Convert the annotated frames, end diastole (ED) and end systole (ES), of two and four chambers (2CH, 4CH).

    The group is the patient. Pixels need not be square, and their size, which the files tell, is kept for each case.
    The patients that database_split/subgroup_testing.txt lists are for testing. Sequences are left alone.

    Args:
        view: "both", or one of the two.

    Raises:
        UserError: the folder is not that of CAMUS, or its files have problems, all told together.
    """
    with target.opened(source, "CAMUS") as folder:
        problems = Problems()
        selection = select(folder_with(folder, IMAGES), view, skip_unpaired, problems)
        return write_dataset(selection, parse_labels(LABELS), registered("camus"), target, problems)


def select(root: Path, view: str, skip_unpaired: bool, problems: Problems) -> Selection:
    """Find the cases; what is wrong with names goes to `problems`.

    Raises:
        UserError: there is no annotated frame, or the list of test patients is no text.
    """
    images, masks = _frames(root / IMAGES, view)
    names, left_out = keep_pairs(images, masks, skip_unpaired, problems)
    testing = _test_patients(root / SPLIT / TEST_PATIENTS)
    cases = [
        SourceCase(
            name,
            PictureFile(images[name]),
            MaskFile(masks[name]),
            _patient(name),
            test=_patient(name) in testing,
            facts={"view": name.split("_")[1], "instant": name.split("_")[2]},
        )
        for name in names
    ]
    notes = () if testing else (f"{SPLIT}/{TEST_PATIENTS} is not there, so all patients are for training",)
    return Selection(tuple(cases), "patient in the name", notes=notes, left_out=left_out)


def _frames(folder: Path, view: str) -> tuple[Mapping[str, Path], Mapping[str, Path]]:
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for path in sorted(folder.glob("patient*/patient*.nii.gz")):
        match = _FRAME.fullmatch(path.name)
        if match and view in (VIEWS[0], match[1].split("_")[1]):
            (masks if match[2] else images)[match[1]] = path
    if not images:
        raise UserError(f"{folder} holds no patient0001/patient0001_2CH_ED.nii.gz and the like; unpack CAMUS again.")
    return images, masks


def _test_patients(path: Path) -> frozenset[str]:
    try:
        return frozenset(path.read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return frozenset()
    except (UnicodeDecodeError, IsADirectoryError):
        raise UserError(f"{path} is not a text file; take it from the archive.") from None


def _patient(name: str) -> str:
    return name.partition("_")[0]
