"""A private JupyterLab on loopback, driven through its own commands in a headless Chromium."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, LocatorAssertions, Page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]

# The status icon says idle before the kernel is connected, and a run sent then is lost.
READY = """async () => {
    const panel = window.jupyterapp.shell.currentWidget;
    await panel.context.ready;
    await panel.sessionContext.ready;
    const kernel = panel.sessionContext.session.kernel;
    await kernel.info;
    while (kernel.connectionStatus !== 'connected' || kernel.status !== 'idle')
        await new Promise((done) => setTimeout(done, 50));
}"""
# Not awaited: it resolves when the cell ends.
RUN = """(i) => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    const codes = notebook.widgets.map((c, k) => [c, k]).filter(([c]) => c.model.type === 'code');
    notebook.activeCellIndex = codes[i][1];
    notebook.deselectAll();
    window.jupyterapp.commands.execute('notebook:run-cell');
}"""
WRITE = """(cells) => {
    const notebook = window.jupyterapp.shell.currentWidget.content.model.sharedModel;
    notebook.transact(() => {
        notebook.deleteCellRange(0, notebook.cells.length);
        notebook.insertCells(0, cells.map((source) => ({ cell_type: 'code', source })));
    });
}"""
ENDED = """(i) => {
    const cell = document.querySelectorAll('.jp-Notebook .jp-CodeCell')[i];
    return /\\[\\d+\\]/.test(cell.querySelector('.jp-InputPrompt').textContent);
}"""
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false"},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}
DARK = {"@jupyterlab/apputils-extension/themes": {"theme": "JupyterLab Dark"}}


@contextmanager
def server(
    root: Path, home: Path, environment: Mapping[str, str], app: str = "lab", dark: bool = False
) -> Iterator[str]:
    """A JupyterLab (or Notebook 7) that shows the files of `root`; yields its address.

    `environment` is for its kernels, on top of this process's own.
    """
    for plugin, values in (SETTINGS | (DARK if dark else {})).items():
        file = home / "settings" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = {
        **{f"JUPYTER_{name}_DIR": str(home / name) for name in ("CONFIG", "DATA", "RUNTIME")},
        **{f"JUPYTERLAB_{n}_DIR": str(home / n.lower()) for n in ("SETTINGS", "WORKSPACES")},
        "IPYTHONDIR": str(home / "ipython"),
    }
    command = [
        *(sys.executable, "-m", {"lab": "jupyterlab", "notebook": "notebook"}[app]),
        *("--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.password="),
        *(f"--ServerApp.root_dir={root}", "--ServerApp.disable_check_xsrf=True"),
        "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
    ]
    log = home / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            command, env=os.environ | folders | environment, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        _wait(f"http://127.0.0.1:{port}/api", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=1).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(log.read_text()[-3000:])


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def write_notebook(path: Path, cells: Sequence[str]) -> None:
    """A notebook of code cells."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(metadata={"kernelspec": kernel})
    notebook.cells = [new_code_cell(cell, id=f"cell{i}") for i, cell in enumerate(cells)]
    nbformat.write(notebook, path)


class Notebook:
    """A notebook that is open in a page."""

    def __init__(self, page: Page, address: str, path: Path, app: str = "lab") -> None:
        self.page, self.path = page, path
        self.errors: list[str] = []
        page.on("pageerror", self._note)
        where = {"lab": "doc/tree", "notebook": "notebooks"}[app]
        page.goto(f"{address}/{where}/{path.name}", wait_until="domcontentloaded")
        page.wait_for_selector(".jp-NotebookPanel-notebook .jp-Cell", timeout=60_000)
        page.evaluate(READY)

    def _note(self, error: object) -> None:
        if "Canceled future" not in str(error):  # JupyterLab's own, of a kernel that has just ended
            self.errors.append(str(error))

    def write(self, *cells: str) -> None:
        """Put these code cells in place of all that there are."""
        self.page.evaluate(WRITE, list(cells))

    def run(self, i: int, wait: bool = True) -> Locator:
        """Run code cell number `i` and give its outputs."""
        self.page.evaluate(RUN, i)
        if wait:
            self.ended(i)
        return self.output(i)

    def ended(self, i: int) -> None:
        """Wait until the cell has ended."""
        self.page.wait_for_timeout(100)  # a prompt of an earlier run is cleared by then
        self.page.wait_for_function(ENDED, arg=i, timeout=60_000)

    def output(self, i: int) -> Locator:
        """The outputs of code cell number `i`."""
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(i).locator(".jp-OutputArea")

    def shut_down(self) -> None:
        """End the kernel, where the page has not been closed."""
        if not self.page.is_closed():
            self.page.evaluate(
                "() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()"
            )

    def view(self, i: int) -> Locator:
        """The live view of code cell number `i`."""
        return self.output(i).locator(".nbf-view")

    def save(self) -> list[dict]:
        """Write the file; its cells."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        return nbformat.read(self.path, as_version=4).cells


def expect(locator: Locator) -> LocatorAssertions:
    """What playwright waits for."""
    from playwright.sync_api import expect

    return expect(locator)


def axe(page: Page, selector: str) -> list[str]:
    """What axe-core finds of at least serious weight within `selector`."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context=selector).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
