"""The tutorials are tests: each cell must give what is stored, and none may fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nbfuse.paths import shipped

nbformat = pytest.importorskip("nbformat")
FOLDER = shipped("notebooks")
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SANITIZE = Path(__file__).with_name("sanitize.cfg")
CELL_S = 300  # an evaluation asks hundreds of questions, on a machine that does other work too
ENVIRONMENT = {"NBFUSE_LIVE": "off", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.timeout(2 * CELL_S)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_cell_gives_what_is_stored(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("nbval")
    alone = shutil.copy(path, tmp_path)  # it needs nothing that lies beside it
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull),
            *("--nbval", "--nbval-current-env", "--nbval-cell-timeout", str(CELL_S)),
            *("--nbval-sanitize-with", str(SANITIZE), alone),
        ],
        cwd=tmp_path,
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_with_outputs_and_without_a_trace_of_the_machine(path: Path) -> None:
    notebook = nbformat.read(str(path), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    text = path.read_text(encoding="utf-8")
    for trace in (str(Path.home()), str(FOLDER.parent), "widget-view"):
        assert trace not in text
