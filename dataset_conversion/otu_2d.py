"""OTU_2d, the B-mode part of MMOTU: tumours of the ovary in ultrasound, in the layout of the authors' archive.

Source: `configs/_base_/datasets/mmotu.py` and `mmseg/datasets/mmotu.py` of https://github.com/cv516Buaa/MMOTU_DS2Net,
and the converter of https://github.com/CAMMA-public/UltraSam.
"""

from __future__ import annotations

from pathlib import Path

from medt_pipeline.core.errors import UserError

from .one_class_masks import READING, OneClassMask
from .pictures import PictureFile
from .problems import Problems
from .registry import source as registered
from .released import NO_PATIENTS, chosen_labels, files_in, keep_pairs, numbered, require_listed
from .sources import Selection, SourceCase, folder_with
from .summary import Summary
from .target import Target
from .writer import write_dataset

IMAGES, MASKS = "images", "annotations"
LISTS = {"train_cls.txt": False, "val_cls.txt": True}
"""Lists of "N.JPG class", and whether their images are for testing, as the authors score them."""
CLASSES = (
    "chocolate cyst",
    "serous cystadenoma",
    "teratoma",
    "theca cell tumour",
    "simple cyst",
    "normal ovary",
    "mucinous cystadenoma",
    "high grade serous cystadenocarcinoma",
)
"""In the order of the numbers 0 to 7 in the lists."""
LABELS = {"tumour": numbered(("tumour",) * len(CLASSES)), "kinds": numbered(CLASSES)}
"""By `classes`."""
_NORMAL = CLASSES.index("normal ovary")


def convert(source: Path, target: Target, classes: str = "tumour", skip_unpaired: bool = False) -> Summary:
    """Convert images/N.JPG and annotations/N_binary.PNG; the images of val_cls.txt are for testing.

    Images of a normal ovary have the ovary as their mask; as in the authors' code it counts like a tumour.

    Args:
        classes: "tumour" for one label, "kinds" for the eight of the lists.

    Raises:
        UserError: the folder is not OTU_2d, or its files have problems, all told together.
    """
    with target.opened(source, "OTU_2d") as folder:
        problems, labels = Problems(), chosen_labels(LABELS, classes)
        selection = select(folder_with(folder, IMAGES, MASKS, *LISTS), skip_unpaired, problems)
        return write_dataset(selection, labels, registered("otu_2d"), target, problems)


def select(root: Path, skip_unpaired: bool, problems: Problems) -> Selection:
    """Find the cases; what is wrong with names and lists goes to `problems`.

    Raises:
        UserError: a folder holds no pictures, or a list has another form.
    """
    images = files_in(root / IMAGES, r"(\d+)\.JPG", "images of OTU_2d")
    masks = files_in(root / MASKS, r"(\d+)_binary\.PNG", "masks of OTU_2d")
    names, left_out = keep_pairs(images, masks, skip_unpaired, problems)
    kinds: dict[str, tuple[int, bool]] = {}
    for name, test in LISTS.items():
        kinds |= {stem: (kind, test) for stem, kind in _read_list(root / name).items()}
    require_listed(names, kinds, root / " and ".join(LISTS), problems)
    cases = [
        SourceCase(
            name,
            PictureFile(images[name]),
            OneClassMask(masks[name], kinds[name][0] + 1),
            test=kinds[name][1],
            facts={"kind": CLASSES[kinds[name][0]]},
        )
        for name in sorted(names, key=int)
        if name in kinds
    ]
    normal = sum(case.facts["kind"] == CLASSES[_NORMAL] for case in cases)
    note = f"{normal} masks show a normal ovary; only --classes kinds tells it from tumours"
    return Selection(tuple(cases), NO_PATIENTS, READING, (note,) if normal else (), left_out)


def _read_list(path: Path) -> dict[str, int]:
    """Kind of every image by its number."""
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        kinds = {name.partition(".")[0]: int(kind) for name, kind in rows}
    except (UnicodeDecodeError, ValueError):
        raise UserError(f"{path} has another form than lines such as '1.JPG 0'; take it from the archive.") from None
    if not all(0 <= kind < len(CLASSES) for kind in kinds.values()):
        raise UserError(f"{path} holds a kind that is not 0 to {len(CLASSES) - 1}; take it from the archive.")
    return kinds
