"""MoNuSeg 2018: nuclei in histology of many organs, outlined in XML, in the layout of the official archives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.pixel_size import pixel_size

from .annotations.aperio_xml import read_aperio_xml, read_pixel_um
from .annotations.drawing import DRAWING_RULE
from .annotations.mask import AnnotatedMask
from .borders import BorderedMask, explain_border
from .label_mapping import parse_labels
from .masks import MaskSource
from .pictures import PictureFile
from .problems import Problems, count, some
from .registry import source as registered
from .sources import Selection, SourceCase
from .summary import Summary
from .target import Target
from .writer import write_dataset

NUCLEUS = "nucleus"
ORGANS = {
    **dict.fromkeys(("A7", "AR", "E2"), "breast"),
    **dict.fromkeys(("B0", "HE"), "kidney"),
    **dict.fromkeys(("18", "21", "38", "49", "50"), "liver"),
    **dict.fromkeys(("CH", "G9"), "prostate"),
    **dict.fromkeys(("DK", "G2"), "bladder"),
    **dict.fromkeys(("AY", "NH"), "colon"),
    **dict.fromkeys(("KB", "RD"), "stomach"),
}
"""By TCGA tissue source site of the training tiles, the organ that the publication gives them (Kumar et al. 2017, IEEE
TMI 36(7); TCGA itself has the five of "liver" as lung)."""
_LEVELS = 4
"""Folders of archives in folders of archives."""


@dataclass(frozen=True)
class _Tile:
    """A tile: its image and outlines, of which one may be missing; `test` says that its folder is the test set's."""

    test: bool
    image: Path | None
    outlines: Path | None


def convert(source: Path, target: Target, skip_unpaired: bool = False, border: int | None = None) -> Summary:
    """Convert all tiles below `source`: NAME.tif with NAME.xml beside it, or in Tissue Images/ and Annotations/.

    Tiles below a folder with "test" in its name are test cases. Outlines are drawn as `annotations.drawing` says; the
    nuclei stay beside the label "nucleus" in instancesTr and instancesTs. The patient (TCGA-XX-XXXX) is the group. With
    `border`, a rim of that many pixels of each nucleus becomes the label "border" (`borders.mark_borders`). Test tiles
    may lack outlines; training tiles may with `skip_unpaired`, which leaves them out.

    Raises:
        UserError: there are no such tiles, or they have problems, all told together.
    """
    labels = parse_labels(f"{NUCLEUS}=1" if border is None else f"{NUCLEUS}=1,border=2")
    with target.opened(source, "MoNuSeg") as folder:
        problems = Problems()
        selection = select(folder, skip_unpaired, border, problems)
        return write_dataset(selection, labels, registered("monuseg"), target, problems)


def select(source: Path, skip_unpaired: bool, border: int | None, problems: Problems) -> Selection:
    """Find the tiles; what is wrong with their names goes to `problems`.

    Raises:
        UserError: there are none.
    """
    tiles = find_tiles(source, problems)
    alone = {
        name: tile for name, tile in tiles.items() if tile.image is None or (tile.outlines is None and not tile.test)
    }
    left_out = [str((tile.image or tile.outlines or source).relative_to(source)) for tile in alone.values()]
    if alone and not skip_unpaired:
        problems.add(
            f"{count(len(alone), 'file')} in {source} have no counterpart ({some(left_out)}); "
            "unpack the archive again or leave them out with --skip-unpaired."
        )
    cases = tuple(
        SourceCase(
            name,
            _picture(tile.image, tile.outlines),
            _mask(tile.outlines, border),
            patient(name),
            tile.test,
            facts={} if tile.test else _organ(name),
        )
        for name, tile in tiles.items()
        if name not in alone and tile.image is not None
    )
    reading = f"outlines in XML: {DRAWING_RULE}" + ("" if border is None else f"; {explain_border(border)}")
    return Selection(cases, "TCGA patient", reading, left_out=tuple(left_out) if skip_unpaired else ())


def find_tiles(source: Path, problems: Problems) -> dict[str, _Tile]:
    """All tiles by name, sorted; a name that two files share goes to `problems`.

    Raises:
        UserError: there are none.
    """
    tiles: dict[str, _Tile] = {}
    for path in sorted(path for level in range(_LEVELS) for path in source.glob("*/" * level + "*.*")):
        ending = path.suffix.lower()
        if path.name.startswith(".") or ending not in (".tif", ".xml"):
            continue
        folders = (source.name, *path.relative_to(source).parts[:-1])
        tile = tiles.get(path.stem, _Tile(any("test" in name.lower() for name in folders), None, None))
        if (tile.image if ending == ".tif" else tile.outlines) is not None:
            problems.add(f"{source} holds two files {path.name}; give the folder of one release.")
        tiles[path.stem] = replace(tile, image=path) if ending == ".tif" else replace(tile, outlines=path)
    if not any(tile.image and tile.outlines for tile in tiles.values()):
        raise UserError(f"{source} holds no NAME.tif with NAME.xml, so it is not MoNuSeg as it was released.")
    return dict(sorted(tiles.items()))


def patient(name: str) -> str:
    """The patient in a TCGA barcode: "TCGA-21-5784" of "TCGA-21-5784-01Z-00-DX1"; other names are their own."""
    parts = name.split("-")
    return "-".join(parts[:3]) if parts[0] == "TCGA" and len(parts) > 3 else name


def _organ(name: str) -> dict[str, str]:
    """{"organ": that of a training tile}, or {} for a name that is not one of the release."""
    parts = name.split("-")
    organ = ORGANS.get(parts[1]) if parts[0] == "TCGA" and len(parts) > 1 else None
    return {} if organ is None else {"organ": organ}


def _picture(image: Path, outlines: Path | None) -> PictureFile:
    size = None if outlines is None else read_pixel_um(outlines)
    return PictureFile(image, None if size is None else pixel_size(size, size, "MicronsPerPixel in the XML"))


def _mask(outlines: Path | None, border: int | None) -> MaskSource | None:
    if outlines is None:
        return None
    mask = AnnotatedMask(outlines, partial(read_aperio_xml, outlines, NUCLEUS), {NUCLEUS: 1})
    return mask if border is None else BorderedMask(mask, border)
