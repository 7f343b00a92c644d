import numpy as np
import pytest
import SimpleITK
from PIL import Image

from medt_pipeline.core.cases import Case, write_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.evaluation.options import EvaluationOptions, Tolerance
from medt_pipeline.evaluation.surroundings import look_around, tolerance_of

NAMES = ("a", "b")


@pytest.fixture
def folders(tmp_path):
    reference, predictions = tmp_path / "raw" / "labelsTr", tmp_path / "predicted"
    reference.mkdir(parents=True)
    predictions.mkdir()
    return reference, predictions


def look(folders, dataset_folder=None, ending=".png", **options):
    reference, predictions = folders
    pairs = {name: (reference / f"{name}{ending}", predictions / f"{name}.png") for name in NAMES}
    return look_around(pairs, reference, predictions, EvaluationOptions(**options), dataset_folder)


def draw(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        Image.fromarray(np.eye(4, dtype=np.uint8)).save(folder / f"{name}.png")


def test_nothing_is_known_of_a_plain_folder(folders):
    around = look(folders)
    assert around.groups == {"a": "a", "b": "b"}
    assert "every image is its own" in around.groups_from
    assert (around.unit, around.spacing["a"]) == ("px", (1.0, 1.0))
    assert (around.objects_from, around.reference_objects, around.without_objects) == (None, None, "")


def test_patients_come_from_the_option_then_from_the_table(folders, tmp_path):
    write_cases(tmp_path / "raw", {"a": Case("p1", "a.bmp"), "c": Case("p9", "c.bmp")})
    around = look(folders)
    assert around.groups == {"a": "p1", "b": "b"}
    assert around.groups_from.endswith("medt_cases.json")
    assert look(folders, groups={"a": "x", "b": "x", "c": "y"}).groups == {"a": "x", "b": "x"}
    with pytest.raises(UserError, match="No group was given for b"):
        look(folders, groups={"a": "x"})


def test_another_folder_may_hold_what_is_known(folders, tmp_path):
    other = tmp_path / "other"
    draw(other / "instancesTr" if other.mkdir() is None else other, *NAMES)
    write_cases(other, {"a": Case("p1", "a.bmp"), "b": Case("p1", "b.bmp")})
    around = look(folders, dataset_folder=other)
    assert around.groups == {"a": "p1", "b": "p1"}
    assert around.reference_objects["a"] == other / "instancesTr" / "a.png"


def test_millimetres_where_every_size_is_known(folders, tmp_path):
    write_cases(tmp_path / "raw", {name: Case("p", "x", None, (200.0, 100.0)) for name in NAMES})
    around = look(folders)
    assert (around.unit, around.spacing) == ("mm", {"a": (0.2, 0.1), "b": (0.2, 0.1)})
    write_cases(tmp_path / "raw", {"a": Case("p", "x", None, (200.0, 100.0)), "b": Case("p", "x")})
    assert look(folders).unit == "px"
    assert look(folders, pixel_size_mm=(3.0, 2.0)).spacing == {"a": (3.0, 2.0), "b": (3.0, 2.0)}


def test_medical_files_tell_their_size(folders):
    for name in NAMES:
        image = SimpleITK.GetImageFromArray(np.zeros((4, 4), np.uint8))
        image.SetSpacing((0.25, 0.5))
        SimpleITK.WriteImage(image, str(folders[0] / f"{name}.mha"))
    around = look(folders, ending=".mha")
    assert (around.unit, around.spacing["b"]) == ("mm", (0.5, 0.25))


def test_instance_maps_beside_the_labels(folders, tmp_path):
    draw(tmp_path / "raw" / "instancesTr", "a")
    around = look(folders)
    assert around.objects_from is None
    assert "1 of 2 images have no instance map" in around.without_objects
    draw(tmp_path / "raw" / "instancesTr", "a", "b")
    around = look(folders)
    assert "instance maps in" in around.objects_from
    assert around.predicted_objects is None
    draw(folders[1] / "instances", *NAMES)
    assert look(folders).predicted_objects == {name: folders[1] / "instances" / f"{name}.png" for name in NAMES}
    assert look(folders, instances="none").objects_from is None


def test_components_need_no_maps(folders):
    around = look(folders, instances="components")
    assert (
        around.objects_from
        == "8-connected components of the reference against 8-connected components of the prediction"
    )
    assert (around.reference_objects, around.predicted_objects) == (None, None)


def test_named_folders_must_be_complete(folders, tmp_path):
    draw(tmp_path / "maps", "a")
    with pytest.raises(UserError, match=r"1 of 2 images have no instance map in .*maps \(for example b\)"):
        look(folders, instances=tmp_path / "maps")
    with pytest.raises(UserError, match="no predicted instance map"):
        look(folders, instances="components", predicted_instances=tmp_path / "maps")
    with pytest.raises(UserError, match="does not exist"):
        look(folders, instances=tmp_path / "absent")


def test_tolerances():
    assert tolerance_of(Tolerance(2.0, "px"), "px", (1.0, 1.0)) == 2.0
    assert tolerance_of(Tolerance(0.5, "mm"), "mm", (9.0, 9.0)) == 0.5
    assert tolerance_of(Tolerance(2.0, "px"), "mm", (0.4, 0.1)) == pytest.approx(2 * 0.2)
    with pytest.raises(UserError, match="--pixel-size"):
        tolerance_of(Tolerance(0.5, "mm"), "px", (1.0, 1.0))
