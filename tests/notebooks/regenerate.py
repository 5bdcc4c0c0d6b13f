"""Execute the tutorials in place and store what they show: `python tests/notebooks/regenerate.py`.

With numbers (`02 04`) only those. Live view off, so that a cell has one output; each has a home of
its own, so that none knows what another has counted; kernel noise is left out of the metadata.
Pictures that a text names are those of `assets/`, put into the notebook, which is read in many
places.
"""

from __future__ import annotations

import base64
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ASSETS = Path(__file__).parents[2] / "assets"
FOLDER = ASSETS.with_name("notebooks")

os.environ["NBFUSE_LIVE"] = "off"
for path in sorted(FOLDER.glob("*.ipynb")):
    if sys.argv[1:] and not path.name.startswith(tuple(sys.argv[1:])):
        continue
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as home:
        own = {f"XDG_{name}_HOME": f"{home}/{name.lower()}" for name in ("CACHE", "CONFIG", "DATA")}
        client = NotebookClient(notebook, timeout=300, kernel_name="python3")
        client.execute(env=os.environ | own)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for name in re.findall(r"\(attachment:([\w-]+\.png)\)", cell.source):
            picture = base64.b64encode((ASSETS / name).read_bytes()).decode()
            cell.setdefault("attachments", {})[name] = {"image/png": picture}
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, path)
    print(path.name)
