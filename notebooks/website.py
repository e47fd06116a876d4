"""The course as a web site: ``python notebooks/website.py FOLDER``; it needs ``website.txt``.

The pages are the committed notebooks as they are, with their outputs; nothing is run. Dead links
and other warnings are errors. Charts that
answer the mouse do so here too (Vega-Lite, from a content delivery network).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import yaml
from compose import HERE, sources

ROOT = HERE.parent
PAGES = [f"notebooks/{name}" for name in ("cheat_sheet", "glossary", "for_teachers", "README")]
PAGES += ["figures/findings", "figures/README"]
TABLES = {
    "figures/results/table": "Accuracy by cipher",
    "figures/results/privacy_table": "Accuracy by privacy budget",
}
VEGA = [
    f"https://cdn.jsdelivr.net/npm/{name}" for name in ("vega@5", "vega-lite@5", "vega-embed@6")
]
CONFIG = {
    "title": "lorakit",
    "author": "the lorakit team",
    "copyright": "the lorakit team, licence MIT",
    "execute": {"execute_notebooks": "off"},
    "only_build_toc_files": True,
    "sphinx": {
        "extra_extensions": ["sphinxcontrib.mermaid"],
        "config": {
            "html_js_files": VEGA,
            "myst_fence_as_directive": ["mermaid"],
            "myst_heading_anchors": 3,
            "suppress_warnings": ["myst.header", "mystnb.unknown_mime_type"],
        },
    },
    "html": {"use_issues_button": False, "use_repository_button": False},
}


def gather(book: Path) -> None:
    """All that the site is made of, where links expect it, with a table of contents."""
    for folder in ("figures", "notebooks"):
        (book / folder).mkdir()
    shutil.copytree(ROOT / "figures", book / "figures", dirs_exist_ok=True)
    for name, title in TABLES.items():
        table = book / f"{name}.md"
        table.write_text(f"# {title}\n\n{table.read_text()}")
    shutil.copy(ROOT / "README.md", book)
    for page in PAGES:
        shutil.copy(ROOT / f"{page}.md", book / f"{page}.md")
    for source in sources():
        notebook = nbformat.read(HERE / f"{source.stem}.ipynb", as_version=4)
        for cell in notebook.cells:
            if cell.get("metadata", {}).get("jupyter", {}).get("source_hidden"):
                cell.metadata.tags = [*cell.metadata.get("tags", []), "hide-input"]
            for output in cell.get("outputs", ()):
                enliven(output, f"chart-{source.stem}-{cell.id}")
        nbformat.write(notebook, book / "notebooks" / f"{source.stem}.ipynb")
    lessons = [{"file": f"notebooks/{source.stem}"} for source in sources()]
    beside = [*PAGES, *TABLES]
    parts = [("Lessons", lessons), ("Beside them", [{"file": name} for name in beside])]
    contents = {"format": "jb-book", "root": "README"}
    contents["parts"] = [{"caption": name, "chapters": files} for name, files in parts]
    (book / "_toc.yml").write_text(yaml.safe_dump(contents))
    (book / "_config.yml").write_text(yaml.safe_dump(CONFIG))


def enliven(output: dict, name: str) -> None:
    """Give a Vega-Lite chart a form that a web page shows, with its own options."""
    data = output.get("data", {})
    kind = next((kind for kind in data if kind.startswith("application/vnd.vegalite")), None)
    if kind:
        options = output["metadata"][kind]["embed_options"]
        chart, options = (json.dumps(x).replace("</", "<\\/") for x in (data.pop(kind), options))
        data.pop("image/png", None)
        data["text/html"] = (
            f'<div id="{name}"></div><script>addEventListener("load", () => '
            f'vegaEmbed("#{name}", {chart}, {options}))</script>'
        )


def build(folder: Path) -> Path:
    """Build the site into a folder; returns its first page."""
    with TemporaryDirectory() as book:
        gather(Path(book))
        start = "from jupyter_book.cli.main import main; main()"
        options = ["build", book, "-q", "-W", "--keep-going"]
        subprocess.run([sys.executable, "-c", start, *options], check=True)
        shutil.copytree(Path(book) / "_build" / "html", folder, dirs_exist_ok=True)
    return folder / "index.html"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("folder", type=Path)
    print(build(parser.parse_args().folder))
