"""A real JupyterLab and a real headless Chromium, for the tests beside this file."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from compose import compose, sources

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]  # fmt: skip


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def serve(command: list[str], port: int, cwd: Path, log: Path, wait: float = 90):
    """A server process that takes connections at a port; ended with all it started."""
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    with log.open("w") as out:
        server = subprocess.Popen(command, cwd=cwd, stdout=out, stderr=out, env=environment)
    try:
        end = time.monotonic() + wait
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.3)
        yield
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


@pytest.fixture(scope="module")  # while it is open, an event loop runs in this thread
def chromium():
    """The browser; where it is missing, tests fail, or are skipped outside CI."""
    path = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium here: apt-get install chromium")
        pytest.skip("no Chromium here; CI has one")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium):
    """Open an address: the page, and what its console called an error until now."""
    pages = []

    def open_page(url: str, width: int = 1280, height: int = 900, script: str = ""):
        page = chromium.new_page(viewport={"width": width, "height": height})
        pages.append(page)
        page.add_init_script(script)
        page.route(lambda there: not there.startswith(url[:18]), lambda r: r.fulfill(body=""))
        errors: list[str] = []
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.set_default_timeout(60_000)
        page.goto(url)
        return page, errors

    yield open_page
    for page in pages:
        page.close()


@pytest.fixture(scope="session")
def shots(tmp_path_factory) -> Path:
    """Where screenshots go: the folder named by SCREENSHOTS, or one that pytest cleans up."""
    folder = os.environ.get("SCREENSHOTS")
    folder = Path(folder).resolve() if folder else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def course(tmp_path_factory):
    """A folder like the repository's, whose notebooks may be changed: preset smoke, no outputs."""
    folder = tmp_path_factory.mktemp("course")
    for name in ("lorakit", "figures"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "exercises").symlink_to(ROOT / "notebooks" / "exercises")
    for source in sources():
        notebook = compose(source)
        for cell in notebook.cells:
            if "parameters" in cell.metadata.get("tags", []):
                cell.source = cell.source.replace('"quick"', '"smoke"', 1)
        nbformat.write(notebook, folder / "notebooks" / f"{source.stem}.ipynb")
    return folder


@pytest.fixture(scope="session")
def lab(course, tmp_path_factory):
    """The address of a JupyterLab that serves the course."""
    port = free_port()
    home = tmp_path_factory.mktemp("lab")
    for plugin, settings in {
        "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
        "notebook-extension/tracker": '{"windowingMode": "none"}',  # keep all cells on the page
    }.items():
        path = home / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(settings)
    config = ROOT / "binder" / "jupyter_server_config.json"
    command = [
        sys.executable, "-m", "jupyterlab", f"--config={config}", "--no-browser",
        f"--port={port}", "--allow-root",
        "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
        "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={course}",
        "--LabApp.expose_app_in_browser=True",
        f"--LabApp.user_settings_dir={home / 'settings'}",
        f"--LabApp.workspaces_dir={home / 'workspaces'}",
    ]  # fmt: skip
    with serve(command, port, course, home / "lab.log"):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def voila(course, tmp_path_factory):
    """The README's command, and the address it serves."""
    port = free_port()
    command = [sys.executable, "-m", "lorakit.explore", f"--port={port}", "--no-browser"]
    log = tmp_path_factory.mktemp("voila") / "log"
    with serve(command, port, course, log):
        yield f"http://127.0.0.1:{port}"
