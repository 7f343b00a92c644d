"""The page as text: everything escaped, nothing fetched, nothing run but its own script."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.report.cases import Case, in_order
from medt_pipeline.report.page import PageContent, write_report
from tests.report.conftest import SCRIPT
from tests.report.drawn_results import NAME
from tests.report.html_page import Elements


def cases_of(results: Workspace) -> list[Case]:
    """The cases of the data set with their true masks as predictions."""
    masks = sorted((results.preprocessed / NAME / "gt_segmentations").iterdir())
    images = results.raw / NAME / "imagesTr"
    return [Case(mask.stem, mask, images / f"{mask.stem}_0000.png", mask) for mask in masks]


@pytest.fixture(scope="module")
def evil(evil_page: Path) -> tuple[Elements, str]:
    page = evil_page.read_text(encoding="utf-8")
    return Elements(page), page


def test_whatever_comes_from_files_is_text(evil: tuple[Elements, str]) -> None:
    elements, page = evil
    assert not elements.open, "every element is closed where it belongs"
    assert len(elements.all("script")) == 1
    assert not [tag for tag, _ in elements.elements if tag in ("b", "iframe", "object", "link", "base", "form")]
    for _, attributes in elements.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    assert elements.text.count(SCRIPT) > 8
    assert "{{ 7 * 7 }}" in elements.text
    # Shown in the text and escaped in the source, except in the page's own script, which holds no such word.
    assert SCRIPT not in page


def test_nothing_is_fetched(evil: tuple[Elements, str]) -> None:
    elements, _ = evil
    for tag, attributes in elements.elements:
        for name in ("src", "srcset", "href", "data", "poster"):
            value = attributes.get(name)
            if value is None:
                continue
            link = tag == "a" and re.match(r"#|https://", value)
            assert value.startswith(("data:image/", "#")) or link, (tag, name, value)


def test_the_policy_allows_its_own_script_and_style_alone(evil: tuple[Elements, str]) -> None:
    elements, page = evil
    (policy,) = [one["content"] for one in elements.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    assert page.index("Content-Security-Policy") < page.index("<style>")
    for kind, tag in (("style-src", "style"), ("script-src", "script")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[kind] == f"'sha256-{digest}'"


def test_every_link_in_the_page_leads_somewhere_and_ids_are_unique(evil: tuple[Elements, str]) -> None:
    elements, _ = evil
    ids = [attributes["id"] for _, attributes in elements.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"] for _, attributes in elements.elements if str(attributes.get("href")).startswith("#")}
    assert {str(target)[1:] for target in targets} <= set(ids)


def test_a_page_is_accessible_in_what_a_parser_can_see(evil: tuple[Elements, str]) -> None:
    elements, _ = evil
    assert elements.all("html")[0]["lang"] == "en"
    assert all("alt" in one for one in elements.all("img"))
    assert all(one.get("type") == "button" for one in elements.all("button"))
    levels = [int(tag[1]) for tag, _ in elements.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_size_is_kept(results: Workspace, tmp_path: Path) -> None:
    order, content = in_order(cases_of(results)), PageContent("Title", "Subtitle", [])
    whole = write_report(tmp_path / "page.html", content, order, {"gland": 1}, quiet=True)
    assert whole.left_out == ()
    assert "left out to keep the page small" not in whole.file.read_text(encoding="utf-8")
    small = write_report(whole.file, content, order, {"gland": 1}, whole.size / 1e6 - 0.02, quiet=True)
    assert small.size == small.file.stat().st_size <= whole.size - 20_000
    assert 0 < len(small.left_out) < 12
    assert f"Pictures of {len(small.left_out)} of 12 cases are left out" in small.file.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_so_small_is_refused(results: Workspace, tmp_path: Path) -> None:
    content, order = PageContent("Title", "Subtitle", []), in_order(cases_of(results))
    with pytest.raises(UserError, match=r"of 12 cases takes 0\.\d MB without any picture; allow more with --megabytes"):
        write_report(tmp_path / "page.html", content, order, {"gland": 1}, 0.01, quiet=True)
    assert not list(tmp_path.iterdir())


def test_parts_that_there_are_not_are_left_out(tmp_path: Path, results: Workspace) -> None:
    cases = [Case("a", cases_of(results)[0].prediction)]
    content = PageContent("Title", "Subtitle", [("Masks", "1")])
    written = write_report(tmp_path / "page.html", content, in_order(cases), {"gland": 1}, quiet=True)
    elements = Elements(written.file.read_text(encoding="utf-8"))
    assert [one["id"] for one in elements.all("section")] == ["cases"]
    boxes = [one["id"] for one in elements.all("input") if one.get("type") == "checkbox"]
    assert boxes == ["layer-prediction"]
    assert not elements.all("form")
