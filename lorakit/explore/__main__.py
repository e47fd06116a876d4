"""The dashboard as a web page of its own, through Voilà: ``python -m lorakit.explore``.

What follows goes to Voilà, for example ``--port=8866 --no-browser``.
"""

import sys
import tempfile
from pathlib import Path

from nbformat import v4, write

# bytes of an upload, which the explorer refuses in words above 8 MB; Voilà's own 10 MiB end in
# silence. JupyterLab is told the same by binder/jupyter_server_config.json.
LIMIT = "--Voila.tornado_settings={'websocket_max_message_size': 134217728}"
TITLE = """\
# lorakit

Private image classification with low-rank-adapted Vision Transformers: six explorers."""
CODE = """\
import sys
sys.modules["rfc3987_syntax"] = None  # a grammar of addresses: Altair loads it, a second long
from lorakit.explore import committed_rows, dashboard
dashboard(committed_rows({root!r}), {table!r})"""


def write_page(folder: Path) -> Path:
    """The notebook that Voilà shows; tables are looked for where the command was given."""
    code = CODE.format(root=str(Path.cwd()), table=str(Path("my_runs.csv").absolute()))
    page = v4.new_notebook(cells=[v4.new_markdown_cell(TITLE), v4.new_code_cell(code)])
    page.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / "lorakit.ipynb"
    write(page, path)
    return path


if __name__ == "__main__":
    try:
        from voila.app import main
    except ImportError:
        sys.exit("Voilà is missing; install it with: pip install voila")
    with tempfile.TemporaryDirectory() as folder:
        options = [LIMIT, "--progressive_rendering=True"]  # what the page is, while it starts
        sys.argv = ["voila", str(write_page(Path(folder))), *options, *sys.argv[1:]]
        main()
