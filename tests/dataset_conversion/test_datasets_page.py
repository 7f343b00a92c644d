"""The page of data sets says what the registry says."""

from __future__ import annotations

from medt_pipeline.dataset_conversion import registry
from medt_pipeline.dataset_conversion.described_sets import DESCRIBED

from .datasets_page import BEGIN, END, PAGE, table, with_table


def test_the_page_holds_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    assert page == with_table(page), "write it anew: python -m tests.dataset_conversion.datasets_page"


def test_a_row_for_each_source_without_stray_bars() -> None:
    rows = table().splitlines()[2:]
    assert len(rows) == len(registry.SOURCES)
    assert all(row.count("|") == 6 for row in rows)


def test_sets_made_from_descriptions_say_so_and_what_is_odd() -> None:
    for line in DESCRIBED:
        assert not line.tried
        assert line.traps
        assert line.url
        assert f"`{line.key}`" in table()
    assert table().count("not yet run on the release") == registry.to_text().count("not yet run on the release")
