from __future__ import annotations

import pytest

from medt_pipeline.report.published import published_figures


@pytest.mark.parametrize("name", ["Dataset101_GlaS", "Dataset007_glas-fold_a", "Dataset003_my_GLAS"])
def test_a_data_set_is_known_by_a_word_of_its_name(name: str) -> None:
    assert {one.data_set for one in published_figures(name)} == {"GlaS"}


@pytest.mark.parametrize("name", ["Dataset101_Glass", "Dataset104_USGRA", "GlaS"])
def test_others_are_not(name: str) -> None:
    assert published_figures(name) == []


@pytest.mark.parametrize("data_set", ["GlaS", "MoNuSeg", "BUSI"])
def test_each_figure_has_its_protocol_and_source(data_set: str) -> None:
    figures = published_figures(f"Dataset001_{data_set}")
    assert figures
    for one in figures:
        assert one.method
        assert len(one.protocol) > 10
        assert one.source
        assert one.url.startswith("https://")
        scores = [score for score in (one.dice, one.iou) if score is not None]
        assert scores
        assert all(0 < score < 1 for score in scores)
        assert one.dice is None or one.iou is None or one.iou < one.dice
