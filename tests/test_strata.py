"""The house: rooms, each importing only from those above it; and a light front door."""

import ast
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import lorakit

PACKAGE = Path(lorakit.__file__).parent
ROOMS = ("checks", "runtime", "data", "lora", "encryption", "privacy", "figures", "training")
ROOMS += ("experiments", "explore")  # from the ground up: each may import what comes before it


def imports(path):
    """Dotted names of what a module of the package imports from it, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows():
    """(module, module it imports) inside the package."""
    modules = {
        ".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): p
        for p in PACKAGE.rglob("*.py")
    }
    return [(m, i) for m, p in modules.items() for i in imports(p) if i in modules and i != m]


def test_the_top_shows_the_rooms_and_nothing_else():
    entries = {p.stem for p in PACKAGE.iterdir() if not p.name.startswith("__")}
    assert entries == set(ROOMS)


def test_imports_run_one_way():
    """A module imports from rooms before its own; the package itself is imported for its name."""
    for module, imported in arrows():
        rooms = [name.split(".")[1] if "." in name else None for name in (module, imported)]
        if None not in rooms:
            assert ROOMS.index(rooms[1]) <= ROOMS.index(rooms[0]), f"{module} imports {imported}"


def test_no_module_imports_itself_through_others():
    """Inside a room too."""
    graph = {}
    for module, imported in arrows():
        if imported != "lorakit" and not module.startswith(f"{imported}."):
            graph.setdefault(module, set()).add(imported)

    def visit(module, path):
        circle = [*path, module]
        assert module not in path, " -> ".join(circle)
        for imported in graph.get(module, ()):
            if imported not in done:
                visit(imported, circle)
        done.add(module)

    done = set()
    for module in list(graph):
        visit(module, [])


def test_each_room_says_what_is_in_it():
    for room in ROOMS[2:]:
        folder = PACKAGE / room
        says = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
        for path in folder.glob("*.py"):
            assert path.stem.startswith("__") or f"``{path.stem}``" in says, f"{room}: {path.stem}"


def test_each_table_says_which_command_made_it_and_the_package_needs_no_study():
    figures = PACKAGE.parent / "figures"
    says = (figures / "README.md").read_text()
    made = {path.stem for path in figures.glob("results/*.csv")}
    drawn = {"table", "privacy_table", "signal_to_noise"}  # by lesson 10
    named = set(re.findall(r"^\| `(\w+)\.csv`", says, re.M))
    assert named == {n.removesuffix("_trials") for n in made} - drawn
    for path in figures.glob("studies/*.py"):
        assert re.search(rf"[`.]{path.stem}[` ]", says), path.stem
    for path in PACKAGE.rglob("*.py"):
        assert not re.search(r"^\s*(from|import) figures", path.read_text(), re.M), path


def test_the_front_door_is_light():
    """``import lorakit`` brings in no library; a name brings in what it needs."""
    code = "import sys, lorakit; print(*sys.modules); lorakit.load; print(*sys.modules)"
    door, room = subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()
    heavy = {"torch", "timm", "opacus", "pandas", "matplotlib", "torchvision", "numpy"}
    assert not heavy & set(door.split())
    assert "torch" in room.split() and "timm" not in room.split()


def test_a_page_of_charts_does_not_wait_for_pytorch():
    code = "from lorakit.explore import Results, committed_rows; Results(committed_rows()); "
    code += "import sys; print(*sys.modules)"
    where = {"cwd": PACKAGE.parent, "text": True}
    loaded = set(subprocess.check_output([sys.executable, "-c", code], **where).split())
    assert "altair" in loaded
    assert not {"torch.nn", "timm", "opacus", "scipy.stats", "torchvision"} & loaded


def test_public_names_are_there_and_few():
    assert len(lorakit.__all__) <= 40
    for name in lorakit.__all__:
        assert getattr(lorakit, name) is not None, name
    for first, second in pairwise(sorted(lorakit.__all__)):
        assert first != second
