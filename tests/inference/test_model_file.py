"""Files that are damaged, of others, or made to do harm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.sealed_zip import member_sizes
from medt_pipeline.inference.model_file import open_model_file, printable
from tests.inference.model_files import members_of, remade


def test_a_file_tells_what_it_holds(model_file: Path) -> None:
    file = open_model_file(model_file)
    assert file.dataset_name == "Dataset901_Drawn"
    assert [(one.configuration, one.fold, one.mirror_axes) for one in file.networks] == [
        ("2d", "0", (0, 1)),
        ("2d", "1", (0, 1)),
    ]
    assert file.recipe.members[0].folds == (0, 1)
    assert not file.selected
    assert file.licence == "CC BY 4.0"
    assert file.training_images is not None
    assert file.training_images.cases == 10
    assert file.description["modality"] == "histology"
    assert file.scores is not None
    assert file.scores["images"] == 4
    assert set(member_sizes(model_file)) == {
        *("manifest.json", "dataset.json", "plans.json", "inference.json", "training_data.json", "scores.json"),
        *("LICENCE.txt", "preview.png", "weights/2d/fold_0.safetensors", "weights/2d/fold_1.safetensors"),
    }


def test_reading_one_loads_neither_torch_nor_nnunet(model_file: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from medt_pipeline.inference.model_description import as_text
from medt_pipeline.inference.model_file import open_model_file
as_text(open_model_file(Path({str(model_file)!r})))
assert not {{"torch", "nnunetv2", "safetensors"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_changed_byte_in_every_member_is_noticed(model_file: Path, tmp_path: Path) -> None:
    content = model_file.read_bytes()
    for name, member in members_of(model_file).items():
        changed = bytearray(content)
        changed[content.index(member) + len(member) // 2] ^= 1
        copy = tmp_path / "changed.medt"
        copy.write_bytes(changed)
        with pytest.raises(UserError, match="bytes are missing or changed"):
            open_model_file(copy)
        assert name


def test_a_newer_format_says_so(model_file: Path, tmp_path: Path) -> None:
    newer = remade(model_file, tmp_path / "a.medt", {"manifest.json": lambda content: {**content, "format": 2}})
    with pytest.raises(UserError, match="has the format 2, but this medt_pipeline reads formats up to 1; install"):
        open_model_file(newer)


def without(key: str):
    return lambda content: {name: value for name, value in content.items() if name != key}


@pytest.mark.parametrize(
    ("member", "change", "sentence"),
    [
        ("manifest.json", lambda content: {**content, "kind": "cake"}, "not a model file"),
        ("manifest.json", b"[]", "not a model file"),
        ("manifest.json", b"{", "not valid JSON"),
        ("manifest.json", lambda content: {**content, "files": {}}, "other members than its manifest lists"),
        ("manifest.json", without("networks"), "not what medt_export writes"),
        ("more.py", b"import os", None),
        ("dataset.json", b"[" * 100_000, "not valid JSON"),
        ("dataset.json", lambda content: {**content, "labels": {"a": "b"}}, "labels must be whole numbers"),
        ("dataset.json", lambda content: {**content, "channel_names": {}}, "channel_names must name"),
        ("plans.json", lambda content: {**content, "dataset_name": "../../x"}, "name of the data set is none"),
        ("inference.json", lambda content: {**content, "format": 9}, "not a recipe of format 1"),
        ("inference.json", lambda content: {**content, "members": []}, "names no model"),
        (
            "inference.json",
            lambda content: {**content, "members": [{**content["members"][0], "folds": [0, 1, 2]}]},
            "other networks than its recipe needs",
        ),
        (
            "inference.json",
            lambda content: {**content, "members": [{**content["members"][0], "weight": float("nan")}]},
            "do not add up to 1",
        ),
        ("training_data.json", lambda content: {**content, "images": {"cases": 1}}, "not what medt_export writes"),
        ("scores.json", b"{}", "not what medt_export writes"),
    ],
)
def test_what_is_sealed_but_wrong_is_one_sentence(
    model_file: Path, tmp_path: Path, member: str, change, sentence: str | None
) -> None:
    if sentence is None:
        # unknown members are listed and checked, but never read
        open_model_file(remade(model_file, tmp_path / "a.medt", {member: change}))
        return
    # the list of files must not be mended by the helper where it is the point
    target = remade(model_file, tmp_path / "a.medt", {member: change})
    with pytest.raises(UserError, match=sentence) as caught:
        open_model_file(target)
    assert "\n" not in str(caught.value)


def test_what_could_steer_a_terminal_is_not_printed() -> None:
    assert printable("a\x1b[31mb\u202ec\nd") == "a�[31mb�c\nd"
    assert json.loads(json.dumps("\x1b")) == "\x1b"
