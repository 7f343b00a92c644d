import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image

from medt_pipeline.core.errors import UserError
from medt_pipeline.evaluation.label_maps import find_label_maps, read_label_map

LABELS = np.array([[0, 1, 2], [3, 0, 1]], np.uint8)


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif", ".TIFF"])
def test_pictures_are_read_as_stored(tmp_path, ending):
    file = tmp_path / f"a{ending}"
    if ending.lower().startswith(".tif"):
        tifffile.imwrite(file, LABELS)
    else:
        Image.fromarray(LABELS).save(file)
    assert np.array_equal(read_label_map(file), LABELS)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("slice_axis", [None, 0], ids=["plane", "slice"])
def test_medical_formats_lose_their_slice_axis(tmp_path, ending, dtype, slice_axis):
    content = LABELS.astype(dtype)
    content = content if slice_axis is None else content[None]
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(content), str(tmp_path / f"a{ending}"))
    labels = read_label_map(tmp_path / f"a{ending}")
    assert np.array_equal(labels, LABELS)
    assert np.issubdtype(labels.dtype, np.integer)


def test_nifti_of_another_writer_is_read_in_the_same_orientation(tmp_path):
    nibabel.save(nibabel.Nifti1Image(LABELS.T[..., None], np.eye(4)), tmp_path / "a.nii.gz")
    assert np.array_equal(read_label_map(tmp_path / "a.nii.gz"), LABELS)


@pytest.mark.parametrize(
    ("content", "message"),
    [(np.zeros((2, 3, 3), np.uint8), "one slice"), (np.full((2, 3), 0.5, np.float32), "whole numbers")],
    ids=["volume", "fractions"],
)
def test_medical_files_that_are_no_label_map_are_refused(tmp_path, content, message):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(content), str(tmp_path / "a.mha"))
    with pytest.raises(UserError, match=rf"a\.mha.*{message}"):
        read_label_map(tmp_path / "a.mha")


def test_broken_file_and_colour_picture_are_named(tmp_path):
    (tmp_path / "broken.nii.gz").write_bytes(b"not a volume")
    with pytest.raises(UserError, match=r"broken\.nii\.gz cannot be read"):
        read_label_map(tmp_path / "broken.nii.gz")
    Image.fromarray(np.eye(3, dtype=np.uint8)[None] * 200).save(tmp_path / "colour.png")
    with pytest.raises(UserError, match=r"colour\.png is a colour picture"):
        read_label_map(tmp_path / "colour.png")


def test_stems_and_what_is_left_out(tmp_path):
    for name in ("b.nii.gz", "a.PNG", "c.1.tif", ".hidden.png", "dataset.json", "table.csv.gz", "photo.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert {stem: path.name for stem, path in find_label_maps(tmp_path, "references").items()} == {
        "a": "a.PNG",
        "b": "b.nii.gz",
        "c.1": "c.1.tif",
    }


def test_two_files_of_one_case_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds no predictions"):
        find_label_maps(tmp_path, "predictions")
    with pytest.raises(UserError, match="does not exist"):
        find_label_maps(tmp_path / "absent", "predictions")
    (tmp_path / "a.png").touch()
    (tmp_path / "a.tif").touch()
    with pytest.raises(UserError, match=r"a\.png and a\.tif"):
        find_label_maps(tmp_path, "predictions")
