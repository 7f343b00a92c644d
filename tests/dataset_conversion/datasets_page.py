"""The table of docs/reference/datasets.md as the registry tells it. `python -m tests.dataset_conversion.datasets_page`
writes it anew after a line of the registry changed."""

from __future__ import annotations

from pathlib import Path

from medt_pipeline.dataset_conversion import registry

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "datasets.md"
BEGIN, END = "<!-- table from the registry -->", "<!-- end of the table -->"
HEADER = "| source | what, and how many images | files | terms | what is odd in the files, and handled |"


def table() -> str:
    rows = [HEADER, "|---|---|---|---|---|"]
    for line in registry.SOURCES:
        title = f"[{line.title}]({line.url})" if line.url else line.title
        described = "" if line.tried else " *From its description, not yet run on the release.*"
        what = f"{title}: {line.task}; {line.modality}; {line.size}.{described}"
        rows.append(f"| `{line.key}` | {what} | {line.obtain} | {line.terms} | {'; '.join(line.traps)} |")
    return "\n".join(rows)


def with_table(page: str) -> str:
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
