"""Corrected masks of all kinds become training cases, and what does not fit is told with nothing changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from medt_pipeline.core.cases import Case, read_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion.corrections import AddedCorrections, CorrectionOptions, add_corrections
from medt_pipeline.dataset_conversion.folder import FolderOptions, convert
from medt_pipeline.dataset_conversion.target import Target
from medt_pipeline.dataset_conversion.verification import verify

from .annotations.writers import Drawn, write_geojson
from .drawn import draw_folder, files_of, load, picture, save, square

OUTLINE = [(4.0, 3.0), (10.0, 3.0), (10.0, 8.0), (4.0, 8.0)]
"""Of `square`."""


class Review:
    """A data set of the cases a, b and c, and images p, q and r that a model has predicted."""

    def __init__(self, root: Path, base: Path) -> None:
        self.root = root
        self.target = Target(Workspace.locate(root / "ws"), 110, "Mine", overwrite=True)
        self.raw = self.target.folder
        shutil.copytree(base, self.raw)
        self.masks, self.corrected, self.images = (root / name for name in ("predicted", "corrected", "new"))
        self.corrected.mkdir()
        for seed, name in enumerate("pqr", start=10):
            save(self.images / f"{name}.png", picture(seed))
            save(self.masks / f"{name}.png", square(1))
        model = {"configuration": "2d", "folds": [0, 1]}
        record = {"images": str(self.images), "data_set": "Dataset110_Mine", "models": [model], "by_recipe": True}
        (self.masks / "medt_prediction.json").write_text(json.dumps(record))

    def add(self, check: bool = False, **options) -> AddedCorrections:
        target = Target(self.target.workspace, 110, "Mine", overwrite=True, check_only=check)
        return add_corrections(self.corrected, target, CorrectionOptions(**{"reviewed": self.masks, **options}))

    def label(self, name: str) -> np.ndarray:
        return load(self.raw / "labelsTr" / f"{name}.png")

    def refused(self, sentence: str, **options) -> None:
        before = files_of(self.raw.parent)
        with pytest.raises(UserError, match=sentence):
            self.add(**options)
        assert files_of(self.raw.parent) == before


def converted(root: Path, labels: str = "background=0,gland=255", channels: int = 3) -> Path:
    images, masks = draw_folder(root)
    for seed, name in enumerate("abc"):
        save(images / f"{name}.png", picture(seed, channels=channels))
    target = Target(Workspace.locate(root / "ws"), 110, "Mine")
    convert(images, masks, target, FolderOptions(labels=labels, groups="[abc]"))
    return target.folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(tmp_path_factory.mktemp("base"))


@pytest.fixture
def review(tmp_path: Path, base: Path) -> Review:
    return Review(tmp_path, base)


def test_a_corrected_and_a_confirmed_mask(review: Review) -> None:
    corrected = np.roll(square(1), 1, axis=0)
    save(review.corrected / "p.png", corrected)
    save(review.corrected / "q.png", square(1))
    before = files_of(review.raw)
    summary = review.add()
    assert (summary.added, summary.confirmed, summary.training_cases) == (("p", "q"), ("q",), 5)
    assert (
        "2 corrected masks added as training cases, 1 of them as predicted, in 2 groups; 5 training"
        in summary.to_text()
    )
    np.testing.assert_array_equal(review.label("p"), corrected)
    np.testing.assert_array_equal(load(review.raw / "imagesTr" / "p_0000.png"), picture(10))
    assert json.loads((review.raw / "dataset.json").read_text())["numTraining"] == 5
    origin = {"origin": "correction", "predicted_by": "Dataset110_Mine, recipe of 2d (folds 0, 1)"}
    cases = read_cases(review.raw)
    assert cases["p"] == Case("p", "p.png", "p.png", facts={**origin, "review": "corrected"})
    assert cases["q"].facts["review"] == "confirmed as predicted"
    conversion = json.loads((review.raw / "medt_conversion.json").read_text())
    assert (conversion["training_cases"], conversion["groups"]) == (5, 5)
    assert conversion["notes"][-1] == summary.sentence
    after = files_of(review.raw)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"dataset.json", "medt_cases.json", "medt_conversion.json"}
    assert "contact_sheet_corrections.png" in after
    assert not verify(review.raw).findings
    assert [path.name for path in review.raw.parent.iterdir()] == [review.raw.name]


def slice_of(mask: np.ndarray) -> SimpleITK.Image:
    return SimpleITK.GetImageFromArray(mask[None])


def write_palette(path: Path) -> None:
    indexed = Image.fromarray(square(1), "P")
    indexed.putpalette([0, 0, 0, 255, 0, 0])
    indexed.save(path)


def write_colour(path: Path) -> None:
    save(path, square(1)[..., None] * np.array([200, 0, 30], np.uint8))


KINDS = {
    "p.tif": lambda path: save(path, square(255)),
    "p.bmp": lambda path: save(path, square(1)),
    "p_mask.png": lambda path: save(path, square(1)),
    "palette/p.png": write_palette,
    "colour/p.png": write_colour,
    "p.npy": lambda path: np.save(path, square(1)),
    "p.nii.gz": lambda path: SimpleITK.WriteImage(slice_of(square(1)), path),
    "p.nrrd": lambda path: SimpleITK.WriteImage(slice_of(square(1)), path, True),
    "p.seg.nrrd": lambda path: SimpleITK.WriteImage(slice_of(square(1)), path),
    "flipped/p.nrrd": lambda path: SimpleITK.WriteImage(
        SimpleITK.Flip(slice_of(square(1)), [True, True, False], False), path
    ),
    "p.geojson": lambda path: write_geojson(path, [Drawn("gland", [[OUTLINE]])]),
    "unnamed/p.geojson": lambda path: write_geojson(path, [Drawn("", [[OUTLINE]])]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_an_editor_saves(review: Review, kind: str) -> None:
    KINDS[kind](review.corrected / Path(kind).name)
    assert review.add().added == ("p",)
    np.testing.assert_array_equal(review.label("p"), square(1))


def test_formats_may_be_mixed_and_emptiness_is_an_answer(review: Review) -> None:
    write_geojson(review.corrected / "p.geojson", [])
    save(review.corrected / "q.png", square(0))
    KINDS["p.nrrd"](review.corrected / "r.nrrd")
    summary = review.add()
    assert summary.added == ("p", "q", "r")
    assert summary.empty == ("p", "q")
    assert not review.label("p").any()
    np.testing.assert_array_equal(review.label("r"), square(1))


def test_two_runs_give_the_same_bytes(tmp_path: Path, base: Path) -> None:
    written = []
    for run in ("one", "two"):
        review = Review(tmp_path / run, base)
        save(review.corrected / "p.png", square(1))
        review.add()
        written.append(files_of(review.raw))
    assert written[0] == written[1]


def test_only_looking(review: Review) -> None:
    save(review.corrected / "p.png", square(1))
    before = files_of(review.root / "ws")
    assert review.add(check=True).added == ("p",)
    assert files_of(review.root / "ws") == before


def test_patients(review: Review) -> None:
    for name in "pqr":
        save(review.corrected / f"{name}.png", square(1))
    (review.root / "patients.csv").write_text("name,group\np,b\nq,x\nr,x\n")
    assert review.add(groups=str(review.root / "patients.csv")).groups == 2
    cases = read_cases(review.raw)
    assert [cases[name].group for name in "bpqr"] == ["b", "b", "x", "x"]


def test_copies_of_an_image_share_a_group_and_are_told(review: Review) -> None:
    save(review.images / "q.png", picture(10))
    for name in "pq":
        save(review.corrected / f"{name}.png", square(1))
    summary = review.add()
    assert summary.groups == 1
    assert any("p = q" in note for note in summary.notes)


def test_images_without_a_folder_of_masks(review: Review) -> None:
    save(review.corrected / "p.png", square(1))
    review.refused("not known which images were corrected; name the folder .* with --reviewed", reviewed=None)
    review.add(reviewed=None, images=review.images)
    assert read_cases(review.raw)["p"].facts == {"origin": "correction"}


def test_a_case_that_is_there_already(review: Review) -> None:
    save(review.images / "b.png", picture(1))
    changed = np.roll(square(1), 2, axis=1)
    save(review.corrected / "b.png", changed)
    review.refused(r"b\.png is the training case b of Dataset110_Mine already; leave it out, or .* --replace")
    image = (review.raw / "imagesTr" / "b_0000.png").read_bytes()
    summary = review.add(replace=True)
    assert (summary.added, summary.replaced, summary.training_cases) == ((), ("b",), 3)
    np.testing.assert_array_equal(review.label("b"), changed)
    assert (review.raw / "imagesTr" / "b_0000.png").read_bytes() == image
    case = read_cases(review.raw)["b"]
    assert (case.group, case.image) == ("b", "b.png")
    assert case.facts["origin"] == "correction"
    save(review.images / "b.png", picture(77))
    review.refused(r"b\.png is another image than the training case b .*; rename it", replace=True)


def test_a_test_case_stays_unseen(review: Review) -> None:
    save(review.raw / "imagesTs" / "p_0000.png", picture(10))
    save(review.corrected / "p.png", square(1))
    review.refused(r"p\.png is a test case of Dataset110_Mine, which must stay unseen")


def test_several_classes_go_by_their_names(tmp_path: Path) -> None:
    review = Review(tmp_path, converted(tmp_path / "base", "background=0,lumen=7,gland=255"))
    shapes = [Drawn("gland", [[OUTLINE]]), Drawn("lumen", [[[(0.0, 0.0), (3.0, 0.0), (3.0, 2.0), (0.0, 2.0)]]])]
    write_geojson(review.corrected / "p.geojson", shapes)
    review.add()
    expected = square(2)
    expected[:2, :3] = 1
    np.testing.assert_array_equal(review.label("p"), expected)
    colours = np.zeros((12, 15, 3), np.uint8)
    colours[3:8, 4:10] = (255, 0, 0)
    save(review.corrected / "q.png", colours)
    (review.corrected / "p.geojson").unlink()
    review.refused(r"q\.png holds the value #FF0000, but the data set knows 0 \(background\), 1 \(lumen\), 2 \(gland\)")
    review.add(labels="gland=#FF0000")
    np.testing.assert_array_equal(review.label("q"), square(2))


def test_objects_are_kept_where_the_data_set_keeps_them(review: Review) -> None:
    write_geojson(review.corrected / "p.geojson", [Drawn("gland", [[OUTLINE]])])
    review.add()
    assert not (review.raw / "instancesTr").exists()
    for name in "abc":
        save(review.raw / "instancesTr" / f"{name}.png", square(3))
    write_geojson(review.corrected / "q.geojson", [Drawn("gland", [[OUTLINE]])])
    save(review.images / "b.png", picture(1))
    save(review.corrected / "b.png", square(1))
    (review.corrected / "p.geojson").unlink()
    review.add(replace=True)
    np.testing.assert_array_equal(load(review.raw / "instancesTr" / "q.png"), square(1))
    # numbers of the mask that was replaced would lie
    assert sorted(path.name for path in (review.raw / "instancesTr").iterdir()) == ["a.png", "c.png", "q.png"]
    assert not verify(review.raw).findings


def test_a_stock_data_set_gets_groups_for_all(review: Review) -> None:
    for name in ("medt_cases.json", "medt_conversion.json"):
        (review.raw / name).unlink()
    save(review.corrected / "p.png", square(1))
    review.add()
    assert {name: case.group for name, case in read_cases(review.raw).items()} == {one: one for one in "abcp"}
    assert not (review.raw / "medt_conversion.json").exists()
    assert not verify(review.raw).findings


def broken(review: Review, name: str, content: bytes = b"\x89PNG broken") -> None:
    (review.corrected / name).write_bytes(content)


PROBLEMS = {
    "no image": (lambda r: save(r.corrected / "z.png", square(1)), r"No image is named as z\.png; name a corrected"),
    "size": (
        lambda r: save(r.corrected / "p.png", square(1, (9, 15))),
        r"p\.png has 15×12 pixels, but its mask .*15×9",
    ),
    "value": (lambda r: save(r.corrected / "p.png", square(2)), r"p\.png holds the value 2, but the data set knows 0"),
    "class": (
        lambda r: write_geojson(r.corrected / "p.geojson", [Drawn("nerve", [[OUTLINE]])]),
        r"p\.geojson holds shapes of nerve, but the data set has gland",
    ),
    "twice": (
        lambda r: [save(r.corrected / f"p.{ending}", square(1)) for ending in ("png", "bmp")],
        r"The image p\.png has several masks: p\.bmp, p\.png",
    ),
    "broken picture": (lambda r: broken(r, "p.png"), r"p\.png cannot be read as an image"),
    "broken nrrd": (lambda r: broken(r, "p.nrrd", b"NRRD0004\ndata file: /etc/passwd\n\n"), "does not hold its own"),
    "broken nifti": (lambda r: broken(r, "p.nii.gz", b"\x1f\x8b\x08"), r"p\.nii\.gz cannot be read as an image"),
    "broken json": (lambda r: broken(r, "p.geojson", b"{"), r"p\.geojson is not valid JSON"),
    "lossy": (lambda r: broken(r, "p.jpg"), r"p\.jpg cannot serve as a mask"),
    "nothing": (lambda r: broken(r, "notes.txt"), "holds no corrected mask; mask pictures; LabelMe JSON"),
    "coco": (
        lambda r: broken(r, "p.json", b'{"images": [], "annotations": [], "categories": []}'),
        "holds a COCO JSON file; mask pictures",
    ),
    "prediction": (
        lambda r: broken(r, "medt_prediction.json", b"{}"),
        "is a folder that medt_predict wrote, in which nobody can tell what was corrected",
    ),
    "groups": (lambda r: save(r.corrected / "p.png", square(1)), "do not fit --groups"),
    "disorder": (
        lambda r: [(r.raw / "labelsTr" / "a.png").unlink(), save(r.corrected / "p.png", square(1))],
        r"is not in order, so nothing is added to it \(imagesTr/a_0000\.png has no label map",
    ),
}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_what_does_not_fit_is_told_and_nothing_changes(review: Review, kind: str) -> None:
    arrange, sentence = PROBLEMS[kind]
    if kind not in ("nothing", "coco", "groups"):
        save(review.corrected / "q.png", square(1))
    arrange(review)
    review.refused(sentence, **({"groups": "x(.)"} if kind == "groups" else {}))


def test_all_problems_are_told_together(review: Review) -> None:
    save(review.corrected / "p.png", square(9))
    save(review.corrected / "z.png", square(1))
    review.refused(r"(?s)2 problems; nothing was written.*z\.png.*p\.png holds the value 9")


def test_colours_in_a_gray_data_set(tmp_path: Path) -> None:
    review = Review(tmp_path, converted(tmp_path / "base", channels=1))
    save(review.corrected / "p.png", square(1))
    review.refused(r"p\.png is a coloured image, but those of Dataset110_Mine are gray")
    save(review.images / "p.png", np.repeat(picture(9, channels=1)[..., None], 3, axis=2))
    assert review.add().added == ("p",)
    np.testing.assert_array_equal(load(review.raw / "imagesTr" / "p_0000.png"), picture(9, channels=1))


def test_deep_images_in_a_data_set_of_colours(review: Review) -> None:
    save(review.images / "p.png", 257 * picture(9, channels=1).astype(np.uint16))
    save(review.corrected / "p.png", square(1))
    review.refused(r"p\.png has more than 8 bits, but the images of Dataset110_Mine are RGB of 8 bits")
