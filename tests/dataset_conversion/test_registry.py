"""The table of sources and its converters agree."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion import registry


@pytest.mark.parametrize("source", registry.SOURCES, ids=lambda source: source.key)
def test_every_source_has_its_converter(source: registry.Source) -> None:
    converter = import_module(f"medt_pipeline.dataset_conversion.{source.module}")
    parameters = list(inspect.signature(converter.convert).parameters)
    options = ["options"] if source.record else [option.keyword for option in source.options]
    assert parameters[len(source.inputs) :] == ["target", *options]
    if source.record:
        fields = {field.name for field in dataclasses.fields(getattr(converter, source.record))}
        assert fields == {option.keyword for option in source.options}
    assert all((source.title, source.task, source.modality, source.size, source.terms, source.obtain, source.example))


def test_the_table_tells_what_was_never_run_on_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    untried = dataclasses.replace(registry.source("glas"), key="new", tried=False)
    monkeypatch.setattr(registry, "SOURCES", (registry.source("glas"), untried))
    tried, described = registry.to_text().split("\n\n")
    assert "from its description, not yet run on the release" in described
    assert "not yet run" not in tried


def test_keys_are_unique_and_unknown_ones_refused() -> None:
    keys = [source.key for source in registry.SOURCES]
    assert len(set(keys)) == len(keys)
    with pytest.raises(UserError, match="There is no source 'nothing'; known are glas, "):
        registry.source("nothing")


def test_the_table_imports_no_array_library() -> None:
    code = (
        "import sys; from medt_pipeline.dataset_conversion import registry; "
        "print({'numpy', 'PIL', 'torch', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
