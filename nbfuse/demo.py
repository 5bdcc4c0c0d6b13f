"""`nbfuse demo`: runs the quickstart notebook and shows what came out (extra `notebook`)."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from pathlib import Path

from nbfuse.core.clean import clean
from nbfuse.core.errors import ConfigError
from nbfuse.paths import cache_folder, shipped

NOTEBOOK = "notebooks/01-quickstart.ipynb"
KERNEL = "nbfuse-demo"


def run(out: str | None) -> bool:
    """Execute the notebook into `out` (None: the cache folder); whether every cell did its job."""
    try:
        import nbformat
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    except ImportError as error:
        raise ConfigError(
            "The demo runs a notebook, and the tools for that are not installed.",
            "pip install 'nbfuse[notebook,local]'",
        ) from error
    notebook = nbformat.read(shipped(NOTEBOOK), as_version=4)  # type: ignore[no-untyped-call]
    path = _target(out)
    print("Running the quickstart notebook on the tiny models …", flush=True)
    with tempfile.TemporaryDirectory() as specs:
        _write_kernelspec(Path(specs))
        client = NotebookClient(
            notebook,
            km=AsyncKernelManager(
                kernel_name=KERNEL, kernel_spec_manager=KernelSpecManager(kernel_dirs=[specs])
            ),
            timeout=120,
            resources={"metadata": {"path": str(path.parent)}},
        )
        try:
            client.execute(env=os.environ | {"NBFUSE_LIVE": "off"})
        except CellExecutionError as error:
            print(f"A cell failed:\n{clean(str(error))}", file=sys.stderr)
            return False
        except (CellTimeoutError, DeadKernelError, RuntimeError) as error:
            print(f"The kernel did not answer: {clean(str(error))}", file=sys.stderr)
            return False
        finally:
            nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            about = output.get("metadata", {}).get("nbfuse")
            if about is not None:
                _print_cell(cell.source, output.data["text/plain"], about["mode"])
    print(f"\nThe executed notebook is {path}")
    print(
        "To see answers while they are written: pip install jupyterlab, and open it in jupyter lab"
    )
    return True


def _target(out: str | None) -> Path:
    path = Path(out) if out else cache_folder() / "demo" / Path(NOTEBOOK).name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}.", "Use --out.") from error
    return path


def _write_kernelspec(folder: Path) -> None:
    """A kernel of this very Python: the one called python3 may be another installation's."""
    kernel = folder / KERNEL / "kernel.json"
    kernel.parent.mkdir()
    # its warning about an unencrypted port on loopback would be the first thing that one reads
    quiet = "--IPKernelApp.log_level=ERROR"
    python = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher"]
    argv = [*python, "-f", "{connection_file}", quiet]
    kernel.write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))


def _print_cell(source: str, text: str, mode: str) -> None:
    options, _, question = source.partition("\n")
    answer, _, rest = text.partition(f"\n\n{mode}: ")
    print(f"\n{options}\n{question.strip()}")
    for line in answer.splitlines():
        print(f"  → {line}")
    print(f"    {mode}: {rest.splitlines()[0]}")
    for member, said in re.findall(r"^\[(.+)\]\n((?:.+\n)*)", rest, re.MULTILINE):
        print(f"      {member}: {' / '.join(said.split(chr(10))).strip(' /')}")
