"""The web site's book: every page in it, folded code, charts alive. CI builds the site itself."""

import nbformat
import yaml
from compose import sources
from website import PAGES, TABLES, enliven, gather


def test_every_page_is_in_the_book_and_in_its_contents(tmp_path):
    gather(tmp_path)
    contents = yaml.safe_load((tmp_path / "_toc.yml").read_text())
    listed = [c["file"] for part in contents["parts"] for c in part["chapters"]]
    assert listed == [*(f"notebooks/{s.stem}" for s in sources()), *PAGES, *TABLES]
    for name in (*listed, contents["root"]):
        assert [f for f in (".md", ".ipynb") if (tmp_path / f"{name}{f}").exists()], name
    first = nbformat.read(tmp_path / f"{listed[0]}.ipynb", as_version=4)
    setup = next(c for c in first.cells if "setup" in c.metadata.get("tags", []))
    assert "hide-input" in setup.metadata.tags and setup.outputs


def test_a_chart_comes_alive_and_cannot_break_out_of_its_script():
    kind = "application/vnd.vegalite.v5+json"
    data = {kind: {"title": "</script><b>"}, "image/png": "AAAA"}
    enliven({"data": data, "metadata": {kind: {"embed_options": {"actions": False}}}}, "chart-1")
    assert list(data) == ["text/html"]
    assert 'vegaEmbed("#chart-1"' in data["text/html"] and '{"actions": false}' in data["text/html"]
    assert data["text/html"].count("</script>") == 1
    picture = {"data": {"image/png": "AAAA"}, "metadata": {}}
    enliven(picture, "chart-2")
    assert picture["data"] == {"image/png": "AAAA"}
