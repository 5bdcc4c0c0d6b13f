"""One JupyterLab, one browser, one server for all tests here; each gets a notebook of its own."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import lab
import lookalike
import pytest
from lookalike import LookAlike

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

LISTED = [
    {
        "id": f"v/{name}",
        "name": name.title(),
        "context_length": context,
        "pricing": {"prompt": "0.000001", "completion": price},
        "zdr": name == "north",
    }
    for name, context, price in (
        ("north", 200_000, "0.00001"),
        ("south", 32_000, "0.000002"),
        ("judge", 128_000, "0.00003"),
    )
]

# Not for the whole session: while playwright runs, no other test could have an event loop. Without
# an __init__.py here, pytest takes this for the session all the same.
SCOPE = "package"


@pytest.fixture(scope=SCOPE)
def browser() -> Iterator[Browser]:
    needed = ("jupyterlab", "notebook", "playwright", "axe_playwright_python")
    if not all(map(importlib.util.find_spec, needed)):
        pytest.skip("needs nbfuse[browser]")
    if not lab.CHROMIUM:
        pytest.skip("needs a chromium on the PATH (on Debian: apt install chromium)")
    with lab.chromium() as chromium:
        yield chromium


@pytest.fixture(scope=SCOPE)
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("home")
    (made / "root").mkdir()
    return made


@pytest.fixture(scope=SCOPE)
def running() -> Iterator[LookAlike]:
    with lookalike.running() as server:
        server.listed = LISTED  # before anybody asks: a list is kept for a day
        yield server


@pytest.fixture(scope=SCOPE)
def environment(running: LookAlike, home: Path) -> dict[str, str]:
    """For kernels that ask the look-alike server, and keep their files to themselves."""
    folders = {f"XDG_{n}_HOME": str(home / n) for n in ("CACHE", "CONFIG", "DATA")}
    return {
        "OPENROUTER_BASE_URL": running.base_url,
        "OPENROUTER_API_KEY": lookalike.KEY,
        **folders,
    }


@pytest.fixture
def models(running: LookAlike) -> dict[str, object]:
    """What each model says in this test."""
    running.models.clear()
    running.requests.clear()
    return running.models


@pytest.fixture(scope=SCOPE)
def address(browser: Browser, environment: dict[str, str], home: Path) -> Iterator[str]:
    with lab.server(home / "root", home / "lab", environment) as url:
        yield url


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with _context(browser) as made:
        yield made


@contextmanager
def _context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1200, "height": 1000})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context
    context.close()


@pytest.fixture(scope=SCOPE)
def shared(browser: Browser, address: str, home: Path) -> Iterator[lab.Notebook]:
    """A notebook that tests write their cells into, since a page and a kernel take seconds."""
    path = home / "root" / "shared.ipynb"
    lab.write_notebook(path, ["%load_ext nbfuse"])
    with _context(browser) as context:
        notebook = lab.Notebook(context.new_page(), address, path)
        notebook.run(0)
        yield notebook


@pytest.fixture
def opened(shared: lab.Notebook, models: object) -> Iterator[Callable[..., lab.Notebook]]:
    """Gives the notebook with these cells after one that has loaded nbfuse."""

    def opened(*cells: str) -> lab.Notebook:
        shared.write("%load_ext nbfuse", *cells)
        return shared

    yield opened
    assert shared.errors == []


@pytest.fixture
def fresh(
    context: BrowserContext, address: str, home: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., lab.Notebook]]:
    """Opens a notebook of its own, with a kernel of its own, that has loaded nbfuse."""
    notebooks: list[lab.Notebook] = []

    def opened(*cells: str) -> lab.Notebook:
        path = home / "root" / f"{request.node.originalname}.ipynb"
        lab.write_notebook(path, ["%load_ext nbfuse", *cells])
        notebooks.append(lab.Notebook(context.new_page(), address, path))
        notebooks[-1].run(0)
        return notebooks[-1]

    yield opened
    for notebook in notebooks:
        notebook.shut_down()
        assert notebook.errors == []
