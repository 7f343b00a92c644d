import numpy as np
import pytest
from PIL import Image

from medt_pipeline.evaluation.folder import evaluate_folder
from medt_pipeline.evaluation.options import EvaluationOptions
from medt_pipeline.evaluation.text import to_text


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(1)
    for folder in ("reference", "predictions"):
        (tmp_path / folder).mkdir()
        for index in range(5):
            label_map = rng.integers(0, 3, (6, 5)).astype(np.uint8) * (index != 2)
            Image.fromarray(label_map).save(tmp_path / folder / f"{index}.png")
    Image.fromarray(np.zeros((6, 5), np.uint8)).save(tmp_path / "predictions" / "3.png")
    return tmp_path / "reference", tmp_path / "predictions"


def test_columns_are_aligned_and_cases_counted(folders):
    scores = evaluate_folder(*folders, {"gland": 1, "tumour, benign": 2})
    text = to_text(scores)
    lines = text.splitlines()
    start = lines.index("gland: 5 images (in both 3, in neither 1, false alarms 0, misses 1)")
    head, dice, *_, hd95 = lines[start + 1 : start + 7]
    gland = scores.classes[0]
    assert dice.split()[:6] == ["Dice", f"{gland.mean.dice:.4f}", *dice.split()[2:5], "4"]
    assert dice.split()[2:5] == [f"{gland.mean_interval.low.dice:.4f}", "to", f"{gland.mean_interval.high.dice:.4f}"]
    assert hd95.split()[:3] == ["HD95", "(px)", f"{gland.mean.hd95:.3g}"]
    assert hd95.split()[-3:] == ["3", "–", "–"]
    assert head.index("mean") + 4 == dice.index(f"{gland.mean.dice:.4f}") + 6
    assert "Mean of the classes" in text
    assert "bootstrap over 5 groups (no groups are known, so every image is its own)" in text
    assert "nan" not in text.lower()


def test_published_protocol_comes_with_a_warning(folders):
    options = EvaluationOptions(published_size=6)
    scores = evaluate_folder(*folders, {"gland": 1, "ignore": 2}, options=options)
    text = to_text(scores)
    lines = text.splitlines()
    start = lines.index("By the protocol of the published scripts, resized to 6 × 6:")
    published = scores.classes[0].published
    assert lines[start + 2].split()[:3] == ["gland", f"{published.f1:.4f}", f"{published.iou:.4f}"]
    assert lines[start + 2].endswith("5  2 (in neither 1, misses 1)")
    assert "Warning: there an image without a single true positive scores 1" in text
    assert "Mean of the classes" not in text


def test_objects_are_explained(folders):
    text = to_text(
        evaluate_folder(*folders, {"gland": 1, "ignore": 2}, options=EvaluationOptions(instances="components"))
    )
    assert "object Hausdorff (px)" in text
    assert "Objects: 8-connected components of the reference against" in text
