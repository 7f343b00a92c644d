"""medt_info: what a model file is, for which images it was made, and how good it is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from medt_pipeline.commands._run import SUCCESS, make_parser, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = make_parser(
        "Check a model file of medt_export and say what it is, for which images it was made, how good it was on\n"
        "held-out cases, and what is in its recipe.",
        "medt_info glands.medt",
    )
    parser.add_argument("model", type=Path, metavar="FILE", help="model file (.medt)")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return run(parser, _info, arguments)


def _info(options: argparse.Namespace) -> int:
    from medt_pipeline.inference.model_description import as_json, as_text
    from medt_pipeline.inference.model_file import open_model_file

    file = open_model_file(options.model)
    print(json.dumps(as_json(file), indent=2, ensure_ascii=True) if options.json else as_text(file))
    return SUCCESS
