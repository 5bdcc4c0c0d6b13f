"""Take the pictures: real cells in a real JupyterLab in headless Chromium.

    pip install ".[test,browser]"     # and Debian's chromium
    python assets/picture.py [FOLDER]

Writes fused-cell.png, compare.png, pool-widget.png and comparison.png into FOLDER (default:
here), and with a FOLDER each of them dark and narrow as well, to be looked at.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import lab
from PIL import Image

CELLS = [
    "%load_ext nbfuse\n"
    "CAPITALS = [pair.split() for pair in ('Peru Lima', 'France Paris',\n"
    "            'Japan Tokyo', 'Kenya Nairobi', 'Norway Oslo', 'Egypt Cairo',\n"
    "            'Greece Athens', 'Chile Santiago')]",
    "%%fuse -p tiny --mode merge\n"
    "How many minutes are in 47 hours, and what is the capital of Peru?",
    "%fuse pool tiny",
    "questions = [{'question': f'What is {n} + 17?', 'reference': n + 17} for n in range(20, 32)]\n"
    "questions += [{'question': f'What is the capital of {land}?',\n"
    "               'reference': f'The capital of {land} is {city}.'} for land, city in CAPITALS]\n"
    "%fuse compare local:tiny-calc pool:tiny --on questions -j local:tiny-judge",
]


def fused(notebook: lab.Notebook) -> None:
    """The cell as one sees it when it has ended."""
    notebook.view(1).get_by_role("tab").nth(1).click()


def compare(notebook: lab.Notebook) -> None:
    """Two answers side by side."""
    notebook.view(1).get_by_role("tab", name="Compare").click()


def pool(notebook: lab.Notebook) -> None:
    """The pool widget, after a test of its members."""
    notebook.run(2)
    notebook.view(2).get_by_role("button", name="Test").click()
    notebook.view(2).get_by_text("All have answered").wait_for()


def comparison(notebook: lab.Notebook) -> None:
    """The comparison page."""
    width = notebook.page.viewport_size["width"]
    notebook.page.set_viewport_size({"width": width, "height": 2600})
    notebook.run(3)


# the number of the cell, what is done with it, and how much of its height is shown
PICTURES: dict[str, tuple[int, Callable[[lab.Notebook], None], int | None]] = {
    "fused-cell": (1, fused, None),
    "compare": (1, compare, None),
    "pool-widget": (2, pool, None),
    "comparison": (3, comparison, 1130),
}


def take(folder: Path, suffix: str, width: int, dark: bool) -> None:
    """All pictures in one look."""
    with tempfile.TemporaryDirectory() as home, lab.chromium() as browser:
        root = Path(home) / "root"
        root.mkdir()
        path = root / "fused.ipynb"
        lab.write_notebook(path, CELLS)
        private = {f"XDG_{n}_HOME": str(Path(home) / n) for n in ("CACHE", "CONFIG", "DATA")}
        private["OPENROUTER_API_KEY"] = ""
        with lab.server(root, Path(home), os.environ | private, dark=dark) as address:
            page = browser.new_page(
                viewport={"width": width, "height": 900}, device_scale_factor=2 if not suffix else 1
            )
            notebook = lab.Notebook(page, address, path)
            notebook.run(0)
            notebook.run(1)
            for name, (cell, act, height) in PICTURES.items():
                act(notebook)
                page.mouse.move(0, 0)
                page.wait_for_timeout(800)
                shown = page.locator(".jp-Notebook .jp-CodeCell").nth(cell)
                file = folder / f"{name}{suffix}.png"
                shown.screenshot(path=file)
                picture = Image.open(file)
                if height is not None:
                    picture = picture.crop((0, 0, picture.width, height * (1 if suffix else 2)))
                picture.quantize(128).save(file, optimize=True)  # a third of the size


def main() -> None:
    """The pictures of the docs; into a folder of its own also those that are only looked at."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    folder.mkdir(parents=True, exist_ok=True)
    take(folder, "", 1000, dark=False)
    if len(sys.argv) > 1:
        take(folder, "-dark", 1000, dark=True)
        take(folder, "-narrow", 480, dark=False)


if __name__ == "__main__":
    main()
