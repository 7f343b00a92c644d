"""The table of sources and its converters agree."""

from __future__ import annotations

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
    expected = (
        ["images", "masks", "target", "options"] if source.key == "folder" else ["source", "target", "skip_unpaired"]
    )
    assert parameters == expected
    assert all((source.title, source.task, source.modality, source.terms, source.obtain))


def test_keys_are_unique_and_unknown_ones_refused() -> None:
    keys = [source.key for source in registry.SOURCES]
    assert len(set(keys)) == len(keys)
    with pytest.raises(UserError, match="There is no source 'nothing'; known are glas, folder, medt"):
        registry.source("nothing")


def test_the_table_imports_no_array_library() -> None:
    code = (
        "import sys; from medt_pipeline.dataset_conversion import registry; "
        "print({'numpy', 'PIL', 'torch', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
