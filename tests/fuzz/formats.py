"""What is broken and who reads it: for every format, valid files to begin with and the pipeline's reader."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import SimpleITK
import tifffile
from PIL import Image, PngImagePlugin

from dataset_conversion.annotations.aperio_xml import read_aperio_xml
from dataset_conversion.annotations.coco import read_coco
from dataset_conversion.annotations.drawing import draw
from dataset_conversion.annotations.geojson import read_geojson
from dataset_conversion.annotations.labelme import read_labelme
from dataset_conversion.annotations.reading import Annotations
from medt_pipeline.core.archives import unpack
from medt_pipeline.core.cases import Case, read_cases, write_cases
from medt_pipeline.core.dicom.frames import read_clip, read_frame, read_frames
from medt_pipeline.core.files import read_json
from medt_pipeline.core.images import read_image, read_mask, read_palette
from medt_pipeline.core.pixel_size_of_files import read_pixel_size
from medt_pipeline.core.video import read_video, read_video_frames
from tests.clips.drawn_clips import draw_video, ellipses
from tests.dataset_conversion.annotations import writers
from tests.drawn_dicom import LOSSLESS, coloured, draw_clip, ramp, region

PICTURE = (24, 36)


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        ending: of its files.
        seeds: writes valid files into a folder.
        read: what the pipeline does with a file; it may raise UserError and nothing else.
    """

    ending: str
    seeds: Callable[[Path], None]
    read: Callable[[Path], object]


def _picture(path: Path) -> None:
    read_image(path)
    read_pixel_size(path)


def _mask(path: Path) -> None:
    _picture(path)
    read_mask(path)
    read_palette(path)


def _dicom(path: Path) -> None:
    clip = read_clip(path)
    read_frame(path, clip.frames - 1)
    read_pixel_size(path)
    for _ in read_frames(path):
        pass


def _video(path: Path) -> None:
    read_video(path)
    for _ in read_video_frames(path):
        pass


def _drawn(annotations: Annotations) -> None:
    classes = {shape.name: number for number, shape in enumerate(annotations.shapes, start=1)}
    draw(annotations.shapes, classes, PICTURE)


def _coco(path: Path) -> None:
    for of_picture in read_coco(path).pictures.values():
        _drawn(of_picture)


def _archive(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        unpack(path, Path(folder), most_bytes=2**24)


def _checkpoint(path: Path) -> None:
    import torch

    from medt_pipeline.training.checkpoint import read_checkpoint

    read_checkpoint(path, torch.device("cpu"))


def _preset(path: Path) -> None:
    from medt_pipeline.planning.presets import preset_from

    preset_from(read_json(path), str(path))


def _recipe(path: Path) -> None:
    from medt_pipeline.inference.recipe import read_recipe

    read_recipe(path.parent)


def _plans(path: Path) -> None:
    from medt_pipeline.planning.edited import consistent

    consistent(read_json(path), "2d", str(path))


def _with_pillow(ending: str) -> Callable[[Path], None]:
    def seeds(folder: Path) -> None:
        gray, colour = ramp(1)[0], coloured(1)[0]
        indices = Image.fromarray((gray % 3).astype(np.uint8), "P")
        indices.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        pictures = [Image.fromarray(gray), Image.fromarray(colour)]
        if ending in (".png", ".bmp", ".tif"):
            pictures += [indices, Image.fromarray(gray > 99)]
        for number, picture in enumerate(pictures):
            note = PngImagePlugin.PngInfo()
            note.add_text("Comment", "drawn")
            options = {"pnginfo": note} if ending == ".png" else {}
            picture.save(folder / f"{number}{ending}", dpi=(300, 300), **options)

    return seeds


def _tiff(folder: Path) -> None:
    _with_pillow(".tif")(folder)
    tifffile.imwrite(folder / "deep.tif", ramp(2, dtype=np.uint16)[0], compression="deflate", tile=(16, 16))
    tifffile.imwrite(folder / "ome.ome.tif", coloured(2)[0], ome=True, metadata={"PhysicalSizeX": 0.25})
    tifffile.imwrite(folder / "jpeg.tif", coloured(3)[0], compression="jpeg")
    tifffile.imwrite(folder / "lzw.tif", ramp(3)[0], compression="lzw", predictor=True)


def _png(folder: Path) -> None:
    _with_pillow(".png")(folder)
    (folder / "deep.png").write_bytes(imagecodecs.png_encode(ramp(2, dtype=np.uint16)[0]))


def _nifti(ending: str) -> Callable[[Path], None]:
    def seeds(folder: Path) -> None:
        for number, dtype in enumerate((np.uint8, np.int16, np.float32)):
            image = nibabel.Nifti1Image(ramp(1)[0].T[..., None].astype(dtype), np.diag([0.3, 0.3, 1, 1]))
            nibabel.save(image, folder / f"{number}{ending}")

    return seeds


def _metaimage(folder: Path) -> None:
    for number, compressed in enumerate((False, True)):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(ramp(1)), folder / f"{number}.mha", compressed)


def _nrrd(folder: Path) -> None:
    for number, compressed in enumerate((False, True)):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(ramp(1)), folder / f"{number}.nrrd", compressed)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(coloured(1), isVector=True), folder / "colour.nrrd")


def _npy(folder: Path) -> None:
    np.save(folder / "a.npy", ramp(1)[0])
    np.save(folder / "b.npy", coloured(1)[0].astype(np.float32))


def _clips(folder: Path) -> None:
    for name, (syntax, compress) in LOSSLESS.items():
        regions = [region((0, 0, 23, 35), (0.01, 0.01))]
        pixels = ramp(1, 2) if "jpeg" in name else coloured(1, 2)
        draw_clip(folder / f"{name}.dcm", pixels, None, syntax, compress, SequenceOfUltrasoundRegions=regions)


SQUARE = [(2.0, 2.0), (12.5, 2.0), (12.5, 9.0), (2.0, 9.0)]
HOLE = [(4.0, 4.0), (6.0, 4.0), (6.0, 6.0), (4.0, 6.0)]
OBJECTS = [writers.Drawn("gland", [[SQUARE, HOLE]]), writers.Drawn("nerve", [[SQUARE], [HOLE]])]


def _geojson(folder: Path) -> None:
    writers.write_geojson(folder / "a.geojson", OBJECTS)
    writers.write_geojson(folder / "b.geojson", OBJECTS, collection=False)


def _labelme(folder: Path) -> None:
    writers.write_labelme(folder / "a.json", [writers.Drawn("gland", [[SQUARE]])], PICTURE)


def _coco_files(folder: Path) -> None:
    mask = np.zeros(PICTURE, bool)
    mask[3:9, 4:20] = True
    for number, compressed in enumerate((False, True)):
        shapes = [writers.coco_runs("gland", mask, compressed), writers.coco_polygons(OBJECTS[1])]
        content = writers.coco({"a.png": (PICTURE, shapes)}, ["gland", "nerve"])
        (folder / f"{number}.json").write_text(json.dumps(content), encoding="utf-8")


def _xml(folder: Path) -> None:
    writers.write_aperio_xml(folder / "a.xml", OBJECTS)


def _zip(folder: Path) -> None:
    for number, method in enumerate((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)):
        with zipfile.ZipFile(folder / f"{number}.zip", "w", method) as file:
            file.writestr("set/images/a.txt", "some words " * 40)
            file.writestr("set/masks/a.txt", bytes(500))


def _tar(folder: Path) -> None:
    with tarfile.open(folder / "a.tar.gz", "w:gz") as file:
        for name in ("set/a.txt", "set/b.txt"):
            member = tarfile.TarInfo(name)
            member.size = 300
            file.addfile(member, io.BytesIO(bytes(300)))


def _cases(folder: Path) -> None:
    write_cases(folder, {"a": Case("p1", "a.png", "a_mask.png", (0.5, 0.5), facts={"grade": "benign"})})


def _presets(folder: Path) -> None:
    for name in ("default", "paper", "fast"):
        (folder / f"{name}.json").write_bytes((PLANS / f"{name}.json").read_bytes())


def _reference_plans(folder: Path) -> None:
    for name in ("glas", "usgra"):
        (folder / f"{name}.json").write_bytes((PLANS / "reference" / f"{name}.json").read_bytes())


def _recipes(folder: Path) -> None:
    member = {"model": "MedT", "configuration": "2d", "folds": [0, 1], "weight": 1.0}
    content = {
        "format": 1,
        "members": [member],
        "postprocessing": {"version": 1, "smoothing_px": 0.0, "classes": {}},
        "quality": None,
    }
    (folder / "inference.json").write_text(json.dumps(content), encoding="utf-8")


def _checkpoints(folder: Path) -> None:
    import torch

    torch.save({"network_weights": {"a": torch.ones(3, 4)}, "current_epoch": 3, "logging": {}}, folder / "a.pth")


def _videos(ending: str, codec: str) -> Callable[[Path], None]:
    options = ({}, {"movflags": "frag_keyframe+empty_moov"}) if ending == ".mp4" else ({},)

    def write(folder: Path) -> None:
        for number, one in enumerate(options):
            draw_video(folder / f"{number}{ending}", ellipses(8, (48, 64)), codec, options=one)

    return write


PLANS = Path(__file__).resolve().parent.parent.parent / "plans"

FORMATS = {
    "png": Format(".png", _png, _mask),
    "bmp": Format(".bmp", _with_pillow(".bmp"), _mask),
    "tif": Format(".tif", _tiff, _mask),
    "jpg": Format(".jpg", _with_pillow(".jpg"), _picture),
    "jp2": Format(".jp2", _with_pillow(".jp2"), _picture),
    "nii": Format(".nii", _nifti(".nii"), _mask),
    "nii.gz": Format(".nii.gz", _nifti(".nii.gz"), _mask),
    "mha": Format(".mha", _metaimage, _mask),
    "nrrd": Format(".nrrd", _nrrd, _mask),
    "npy": Format(".npy", _npy, _mask),
    "dicom": Format(".dcm", _clips, _dicom),
    "mp4": Format(".mp4", _videos(".mp4", "libx264"), _video),
    "avi": Format(".avi", _videos(".avi", "mpeg4"), _video),
    "mkv": Format(".mkv", _videos(".mkv", "libx264"), _video),
    "geojson": Format(".geojson", _geojson, lambda path: _drawn(read_geojson(path))),
    "labelme": Format(".json", _labelme, lambda path: _drawn(read_labelme(path))),
    "coco": Format(".json", _coco_files, _coco),
    "aperio xml": Format(".xml", _xml, lambda path: _drawn(read_aperio_xml(path))),
    "zip": Format(".zip", _zip, _archive),
    "tar.gz": Format(".tar.gz", _tar, _archive),
    "cases": Format("medt_cases.json", _cases, lambda path: read_cases(path.parent)),
    "preset": Format(".json", _presets, _preset),
    "plans": Format(".json", _reference_plans, _plans),
    "recipe": Format("inference.json", _recipes, _recipe),
    "checkpoint": Format(".pth", _checkpoints, _checkpoint),
}
"""By name; an ending that begins without a dot is the whole name."""
