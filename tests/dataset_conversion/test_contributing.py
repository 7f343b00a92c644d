"""The example in CONTRIBUTING.md works as it stands there."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from medt_pipeline.commands.convert import main
from medt_pipeline.core.cases import read_cases
from medt_pipeline.dataset_conversion import registry
from medt_pipeline.dataset_conversion.registry_line import Source
from medt_pipeline.dataset_conversion.verification import verify

from .drawn import load, picture, save, square

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"


def test_the_converter_of_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"^ *```python\n(.*?)^ *```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    code, line = (textwrap.dedent(block) for block in blocks)
    name = "medt_pipeline.dataset_conversion.mine"
    module = ModuleType(name)
    module.__package__ = "medt_pipeline.dataset_conversion"
    exec(compile(code, str(PAGE), "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, name, module)
    (source,) = eval(line, {"Source": Source})
    monkeypatch.setattr(registry, "SOURCES", (source,))
    for seed, case in enumerate(("P01_a", "P01_b", "P02_a")):
        save(tmp_path / "mine" / "images" / f"{case}.png", picture(seed))
        save(tmp_path / "mine" / "masks" / f"{case}.png", square())
    assert main(["mine", str(tmp_path / "mine"), "-d", "150", "--workspace", str(tmp_path / "ws")]) == 0
    raw = tmp_path / "ws" / "raw" / "Dataset150_MINE"
    np.testing.assert_array_equal(load(raw / "labelsTr" / "P01_b.png"), square() > 0)
    assert [case.group for case in read_cases(raw).values()] == ["P01", "P01", "P02"]
    assert verify(raw).findings == ()
