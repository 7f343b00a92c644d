from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import write_png
from medt_pipeline.report import pictures
from medt_pipeline.report.cases import Case
from medt_pipeline.report.pictures import draw_album, draw_picture
from tests.report.drawn_results import disc

LABELS = {"gland": 1, "lumen": 2}
LARGE = (240, 360)


def decoded(uri: str | None) -> np.ndarray:
    assert uri is not None
    kind, _, data = uri.partition(";base64,")
    assert kind == "data:image/webp"
    return np.array(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    truth, mask = disc(60, 120, 160, LARGE), disc(80, 120, 160, LARGE) + disc(20, 120, 160, LARGE)
    uncertainty = np.zeros(LARGE, np.uint8)
    uncertainty[:, 180:] = 255
    image = np.zeros((*LARGE, 3), np.uint8)
    image[:120] = 200, 100, 50
    files = [tmp_path / f"{name}.png" for name in ("mask", "image", "truth", "uncertainty")]
    for file, picture in zip(files, (mask, image, truth, uncertainty), strict=True):
        write_png(file, picture)
    return Case("a", *files)


def test_a_picture_is_reduced_to_its_side_and_shows_the_image(case: Case) -> None:
    picture, reduced = draw_picture(case, LABELS, 180)
    assert reduced
    assert (picture.width, picture.height) == (180, 120)
    shown = decoded(picture.image).astype(int)
    assert shown.shape == (120, 180, 3)
    assert np.abs(shown[:56] - (200, 100, 50)).mean() < 3
    assert shown[64:].mean() < 3


def test_small_images_keep_their_size(case: Case) -> None:
    picture, reduced = draw_picture(case, LABELS, 360)
    assert not reduced
    assert (picture.width, picture.height) == (360, 240)


def test_the_uncertainty_hides_nothing_where_all_is_certain(case: Case) -> None:
    layer = decoded(draw_picture(case, LABELS, 180)[0].uncertainty)
    assert layer.shape[2] == 4
    assert layer[:, : layer.shape[1] // 2 - 1, 3].max() == 0
    assert layer[:, layer.shape[1] // 2 + 1 :, 3].min() > 200


def test_outlines_of_the_classes_that_occur(case: Case) -> None:
    outlines = {one.name: one for one in draw_picture(case, LABELS, 180)[0].outlines}
    assert set(outlines) == {"gland", "lumen"}
    assert outlines["gland"].truth.count("M") == 1
    assert outlines["gland"].prediction.count("M") == 2, "the lumen is a hole in the gland"
    assert outlines["lumen"].truth == ""


def test_without_image_truth_and_uncertainty(case: Case) -> None:
    picture, _ = draw_picture(Case("a", case.prediction), LABELS, 180)
    assert picture.image is None
    assert picture.uncertainty is None
    assert (picture.width, picture.height) == (180, 120)
    assert {one.truth for one in picture.outlines} == {""}


def test_a_mask_of_another_size_is_refused(case: Case, tmp_path: Path) -> None:
    write_png(case.prediction, disc(5))
    with pytest.raises(UserError, match=r"mask\.png has 48 × 64 pixels but .*image\.png has 240 × 360"):
        draw_picture(case, LABELS, 180)


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> tuple[int, ...]:
    """Sides that fit these small images."""
    monkeypatch.setattr(pictures, "SIDES", (400, 300, 200, 100))
    return pictures.SIDES


def copies(case: Case, count: int) -> list[Case]:
    return [Case(str(number), case.prediction, case.image, case.truth, case.uncertainty) for number in range(count)]


def test_as_large_as_the_budget_allows(case: Case, sides: tuple[int, ...]) -> None:
    sizes = [draw_picture(case, LABELS, side)[0].size for side in (sides[1], sides[2])]
    album = draw_album(copies(case, 4), LABELS, 4 * (sizes[0] + sizes[1]) // 2, quiet=True)
    assert (album.side, album.reduced, album.left_out) == (sides[2], True, ())
    assert len(album.pictures) == 4
    everything = draw_album(copies(case, 4), LABELS, 10**8, quiet=True)
    assert (everything.side, everything.reduced) == (sides[0], False)


def test_the_last_are_left_out_where_even_the_smallest_do_not_fit(case: Case, sides: tuple[int, ...]) -> None:
    size = draw_picture(case, LABELS, sides[-1])[0].size
    album = draw_album(copies(case, 5), LABELS, int(2.5 * size), quiet=True)
    assert album.side == sides[-1]
    assert list(album.pictures) == ["0", "1"]
    assert album.left_out == ("2", "3", "4")
    assert draw_album(copies(case, 2), LABELS, 0, quiet=True).left_out == ("0", "1")
