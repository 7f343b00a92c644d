"""What the contest does with scores; it says nothing of which variant is better."""

from __future__ import annotations

import base64
import re

from tests.benchmarks.contest_page import charts, page, shortened, svg_files, table, table_of_empty_images


def line(variant: str, seed: int, dice: dict[str, float | None], **more: object) -> dict:
    images = [
        {"image": name, "group": name[0], "foreground": name[0] != "n", "dice": value, "iou": value}
        for name, value in dice.items()
    ]
    budget = {"dataset": "D", "budget": "9 steps", "steps": 9, "fold": 0}
    return {**budget, "variant": variant, "seed": seed, "images": images, **more}


def test_seeds_are_averaged_and_differences_are_paired() -> None:
    results = [
        line("a", 1, {"p1": 0.5, "q1": 0.7, "r1": None}),
        line("a", 2, {"p1": 0.7, "q1": 0.9, "r1": None}),
        line("b", 1, {"p1": 0.65, "q1": 0.85, "r1": None}),
    ]
    rows = table({"a": {}, "b": {}, "c": {}}, results).splitlines()[2:]
    assert len(rows) == 2
    assert "| a | 3 | 2 | 9 | 0.700 (0.600–0.800) | 0.700 |  |" in rows[0]
    assert rows[1].endswith("| b | 3 | 1 | 9 | 0.750 (0.650–0.850) | 0.750 | +0.050 (+0.050 to +0.050) |")


def test_what_was_trained_on_other_images_is_not_compared() -> None:
    results = [line("a", 1, {"p1": 0.5}), line("b", 1, {"p1": 0.9}, training="5 images")]
    first, second = table({"a": {}, "b": {}}, results).splitlines()[2:]
    assert first.startswith("| D | 9 steps | a |")
    assert second.startswith("| D, 5 images | 9 steps | b |")
    assert second.endswith("|  |"), "nothing to compare with"


def test_images_without_foreground_are_told_of_apart() -> None:
    results = [
        line("a", 1, {"p1": 0.5, "q1": 0.7, "n1": 0.0, "n2": None}),
        line("a", 2, {"p1": 0.5, "q1": 0.7, "n1": None, "n2": None}),
        line("b", 1, {"p1": 0.6, "q1": 0.8, "n1": 0.0, "n3": None}),
        line("c", 1, {"p1": 0.6}),
    ]
    first, second, third = table_of_empty_images({"a": {}, "b": {}, "c": {}}, results).splitlines()[2:]
    assert first == "| D | 9 steps | a | 2 | 0.600 (0.500–0.700) |  | 2 | 0.25 |  |"
    assert second == "| D | 9 steps | b | 2 | 0.700 (0.600–0.800) | +0.100 (+0.100 to +0.100) | 2 | 0.50 | 0.50 |"
    assert third == "| D | 9 steps | c | 1 | 0.600 (nan–nan) | +0.100 (+nan to +nan) | 0 |  |  |"
    assert table_of_empty_images({"a": {}}, [line("a", 1, {"p1": 0.5})]) == ""


def test_page_has_curves_and_scores_by_training_images_and_escapes_names() -> None:
    few = line("a<b", 1, {"p1": 0.5}, training="5 images", train_images=5, curve=[0.1, 0.4])
    every = line("a<b", 1, {"p1": 0.7}, train_images=20, curve=[0.1, 0.6])
    html = page("T & T", charts({"a<b": {}}, [few, every]))
    assert "<h2>D by training images, 9 steps</h2>" in html
    assert "T &amp; T" in html
    pictures = [base64.b64decode(found).decode() for found in re.findall(r"base64,([^\"]+)", html)]
    assert len(pictures) == 3
    assert all("a&lt;b" in picture and "<svg" in picture for picture in pictures)


def test_numbers_of_images_are_compared_on_the_folds_that_all_have() -> None:
    results = [
        line("a", 1, {"p1": 0.5}, training="5 images", train_images=5),
        line("a", 1, {"p1": 0.7}, train_images=20),
        line("a", 2, {"q1": 0.1}, train_images=22),
        line("b", 1, {"p1": 0.4}, train_images=20),
    ]
    (light, dark) = svg_files(
        {"D by training images": charts({"a": {}, "b": {}}, results)["D by training images, 9 steps"]}
    ).items()
    assert (light[0], dark[0]) == ("D_by_training_images.svg", "D_by_training_images_dark.svg")
    ticks = re.findall(r"<text[^>]*>(\d+)</text>", light[1])
    assert ticks == ["5", "20"], "fold 0 with seed 1 alone has both numbers"
    assert ">a</text>" in light[1]
    assert ">b</text>" not in light[1], "one number of images is no curve"


def test_a_long_curve_is_thinned_and_ends_where_it_ended() -> None:
    assert shortened([0.25]) == [0.25]
    thin = shortened([index / 1000 for index in range(1000)])
    assert len(thin) == 40
    assert (thin[0], thin[-1]) == (0.0, 0.999)
