"""Take the README's picture: a real fused cell in a real JupyterLab in headless Chromium.

    pip install ".[local,notebook]" jupyterlab playwright     # and Debian's chromium
    python assets/picture.py FOLDER

Writes light.png, dark.png and narrow.png into FOLDER; light.png, trimmed, is fused-cell.png.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Page, sync_playwright

CELLS = [
    "%load_ext nbfuse",
    "%%fuse -p tiny --mode merge\n"
    "How many minutes are in 47 hours, and what is the capital of Peru?",
]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false"},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}
READY = """() => {
  const panel = window.jupyterapp?.shell.currentWidget;
  const session = panel?.sessionContext;
  return session?.isReady && session.session?.kernel?.connectionStatus === "connected";
}"""


@contextmanager
def lab(folder: Path, theme: str) -> Iterator[str]:
    """A JupyterLab with a private home; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = Path(tempfile.mkdtemp())
    settings = SETTINGS | {
        "@jupyterlab/apputils-extension/themes": {"theme": f"JupyterLab {theme}"}
    }
    for plugin, values in settings.items():
        file = home / "settings" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--allow-root"),
            *(f"--port={port}", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"),
            "--LabApp.expose_app_in_browser=True",
        ],
        env=os.environ | {name: str(home / sub) for name, sub in folders.items()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/api", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(10)


def run_cells(page: Page, url: str, name: str) -> None:
    """Open the notebook and run its cells by command, once the kernel is really there."""
    page.goto(f"{url}/doc/tree/{name}")
    page.wait_for_function(READY, timeout=60_000)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_selector(".jp-OutputArea details", timeout=60_000)
    page.wait_for_timeout(1500)


def main(target: Path) -> None:
    """Take the three pictures."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as player:
        notebook = new_notebook(cells=[new_code_cell(source) for source in CELLS])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, Path(folder) / "fused.ipynb")
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        chromium = player.chromium.launch(executable_path=CHROMIUM, args=flags)
        for picture, theme, width in (
            ("light", "Light", 1000),
            ("dark", "Dark", 1000),
            ("narrow", "Light", 480),
        ):
            with lab(Path(folder), theme) as url:
                page = chromium.new_page(viewport={"width": width, "height": 760})
                run_cells(page, url, "fused.ipynb")
                page.locator(".jp-Notebook .jp-Cell").last.screenshot(
                    path=target / f"{picture}.png"
                )
                page.close()
        chromium.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
