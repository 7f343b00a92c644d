"""The rooms of the design: arrows point down only, lists agree with the tree, bodies stay short."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
ROOMS = (
    "commands",
    "demo",
    "report",
    "slides",
    "clips",
    "inference",
    "nnunet_shim",
    "training",
    "planning",
    "network",
    "attention",
    "evaluation",
    "postprocessing",
    "fingerprint",
    "core",
)
"""From top to bottom; a room may import those after it."""
WITHOUT_TORCH = ("core", "fingerprint", "postprocessing", "evaluation", "dataset_conversion")
COMMANDS = (
    "convert",
    "plan_and_preprocess",
    "train",
    "find_best",
    "predict",
    "evaluate",
    "report",
    "export",
    "info",
    "demo",
)
SOURCES = sorted(
    path for folder in ("medt_pipeline", "dataset_conversion", "plans") for path in (REPOSITORY / folder).rglob("*.py")
)


def room_of(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).parts
    return parts[1] if parts[0] == "medt_pipeline" and len(parts) > 2 else parts[0]


def imported_modules(path: Path, below_functions: bool = True) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if below_functions else iter(tree.body)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module or "")
    return found


def rooms_imported(path: Path) -> set[str]:
    parts = (name.split(".") for name in imported_modules(path) if name.startswith("medt_pipeline."))
    return {part[1] for part in parts}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_arrows_point_down(path: Path) -> None:
    room = room_of(path)
    imported = rooms_imported(path) - {room}
    assert "nnunet_shim" not in imported
    if room == "dataset_conversion":
        assert imported <= {"core"}
    elif room in ROOMS:
        below = set(ROOMS[ROOMS.index(room) + 1 :])
        # Data sets are converted by people, through commands and the demonstration, never by the pipeline.
        allowed = below | ({"dataset_conversion"} if room in ("commands", "demo") else set())
        assert imported <= allowed, f"{room} may not import {imported - allowed}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_rooms_below_import_no_torch(path: Path) -> None:
    if room_of(path) in WITHOUT_TORCH:
        assert not {name for name in imported_modules(path) if name.split(".")[0] in ("torch", "nnunetv2")}


def test_network_and_attention_know_no_nnunet() -> None:
    for path in SOURCES:
        if room_of(path) in ("network", "attention"):
            assert not {name for name in imported_modules(path) if name.startswith("nnunetv2")}, path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_bodies_and_files_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500
    longest = 100 if room_of(path) == "attention" else 60
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body:
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1
                assert lines <= longest, f"{node.name} has {lines} lines"


def test_package_list_agrees_with_the_tree() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    block = text[text.index("packages = [") : text.index("package-dir")]
    listed = {line.strip().strip('",') for line in block.splitlines() if line.strip().startswith('"')}
    folders = {path.parent.relative_to(REPOSITORY) for path in SOURCES}
    there = {
        ("medt_pipeline." if folder.parts[0] != "medt_pipeline" else "") + ".".join(folder.parts) for folder in folders
    }
    assert listed == there


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_slow(command: str) -> None:
    script = f"""
import sys
from medt_pipeline.commands.{command} import main
try:
    main(["--help"])
except SystemExit as end:
    assert end.code == 0
slow = {{"torch", "nnunetv2", "pandas", "numpy", "scipy"}} & set(sys.modules)
assert not slow, slow
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Example:" in result.stdout


def test_every_command_is_installed() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f'medt_{command} = "medt_pipeline.commands.{command}:main"' in text
