"""`nbfuse demo`: runs the quickstart notebook and shows what came out (extra `notebook`)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nbfuse.core.clean import clean
from nbfuse.core.errors import ConfigError
from nbfuse.paths import cache_folder, shipped

NOTEBOOK = "notebooks/01-quickstart.ipynb"


def run(out: str | None) -> bool:
    """Execute the notebook into `out` (None: the cache folder); whether every cell did its job."""
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError as error:
        raise ConfigError(
            "The demo runs a notebook, and the tools for that are not installed.",
            "pip install 'nbfuse[notebook,local]'",
        ) from error
    notebook = nbformat.read(shipped(NOTEBOOK), as_version=4)  # type: ignore[no-untyped-call]
    path = Path(out) if out else cache_folder() / "demo" / Path(NOTEBOOK).name
    path.parent.mkdir(parents=True, exist_ok=True)
    print("Running the quickstart notebook on the tiny models …", flush=True)
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute(
            env=os.environ | {"NBFUSE_LIVE": "off", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        )
    except CellExecutionError as error:
        print(f"A cell failed:\n{clean(str(error))}", file=sys.stderr)
        return False
    finally:
        nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "nbfuse" in output.get("metadata", {}):
                _print_cell(cell.source, output.data["text/plain"])
    print(f"\nThe executed notebook is {path}")
    return True


def _print_cell(source: str, text: str) -> None:
    options, _, question = source.partition("\n")
    answer, _, rest = text.partition("\n\n")
    print(f"\n{options}\n{question.strip()}")
    for line in answer.splitlines():
        print(f"  → {line}")
    print(f"    {rest.splitlines()[0]}")
