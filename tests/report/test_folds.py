from __future__ import annotations

import json

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.report.folds import choose_configuration, find_folds
from tests.report.drawn_results import MODEL, NAME, add_fold


def test_folds_with_scores_curves_and_facts(results: Workspace) -> None:
    folds = find_folds(results, NAME)
    assert [(one.configuration, one.fold) for one in folds] == [("2d", 0), ("2d", 1), ("2d_unet", 0)]
    assert sorted(folds[0].scores.by_case) == [f"p{number}_0" for number in range(6)]
    assert folds[0].curves["epoch"] == [0, 1, 2]
    assert folds[0].run["seed"] == 7
    assert (folds[0].masks / "p0_0.png").exists()


def test_the_configuration_with_most_scored_folds_is_taken(results: Workspace) -> None:
    folds = find_folds(results, NAME)
    assert [one.configuration for one in choose_configuration(folds, None)] == ["2d", "2d"]
    assert [one.configuration for one in choose_configuration(folds, "2d_unet")] == ["2d_unet"]
    assert choose_configuration([folds[2], folds[0]], None)[0].configuration == "2d_unet", "of equals the first"


def test_what_is_not_scored_cannot_be_chosen(fresh: Workspace) -> None:
    add_fold(fresh, NAME, "2d_axial", 0)
    folds = find_folds(fresh, NAME)
    assert folds[-1].scores.by_case == {}
    with pytest.raises(UserError, match=r"'2d_axial' has scored .*; scored are: 2d\."):
        choose_configuration(folds, "2d_axial")
    with pytest.raises(UserError, match="No fold has scored .* medt_train ID cv"):
        choose_configuration([folds[-1]], None)


def test_fold_all_and_other_folders_are_passed_over(fresh: Workspace) -> None:
    add_fold(fresh, NAME, "2d", "all")  # type: ignore[arg-type]
    assert [one.fold for one in find_folds(fresh, NAME)] == [0, 1]


def test_broken_scores_are_named(fresh: Workspace) -> None:
    file = fresh.results / NAME / MODEL.format("2d") / "fold_1" / "validation" / "medt_scores.json"
    file.write_text(json.dumps({"images": [{"image": "a"}]}))
    with pytest.raises(UserError, match=r"fold_1/validation/medt_scores\.json does not hold scores"):
        find_folds(fresh, NAME)
