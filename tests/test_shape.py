"""The shape of the house: which floor may know which, and what is public."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nbfuse

PACKAGE = Path(nbfuse.__file__).parent
FLOORS = [
    {"_version", "paths"},
    {"core"},
    {"providers", "local"},
    {"fusion"},
    {"config", "ledger", "tables"},
    {"replay"},
    {"render", "api", "report", "written", "advice", "models", "evaluation"},
    {"comparison"},
    {"options"},
    {"cli_print"},
    {"notebook", "cli", "doctor", "demo", "__main__", "__init__"}
    | {"cli_ask", "cli_bookmarks", "cli_compare", "cli_eval", "cli_votes"},
]
HEAVY = ("httpx", "nh3", "markdown_it", "rich", "xllamacpp", "IPython", "keyring", "nbclient")
HEAVY += ("anywidget", "pygments", "latex2mathml", "tomlkit", "scipy", "numpy", "matplotlib")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def floor(module: str) -> int:
    return next(i for i, names in enumerate(FLOORS) if module in names)


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down_only(path: Path) -> None:
    mine = floor(path.relative_to(PACKAGE).parts[0].removesuffix(".py"))
    if path == PACKAGE / "__init__.py":
        return
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package == "nbfuse" and rest:
            assert floor(rest.partition(".")[0]) <= mine, f"{path.name} imports {name}"


def test_only_the_notebook_knows_jupyter_and_one_module_knows_httpx() -> None:
    for path in MODULES:
        names = {name.partition(".")[0] for name in imports(path)}
        inside = path.relative_to(PACKAGE)
        if inside.parts[0] not in ("notebook", "__init__.py"):
            assert not names & {"IPython", "ipywidgets", "anywidget", "traitlets"}, inside
        if str(inside) != "providers/http.py":
            assert "httpx" not in names, inside
        if str(inside) != "local/serve.py":
            assert "xllamacpp" not in names, inside


SHELL = "from IPython.core.interactiveshell import InteractiveShell as S; shell = S.instance()"


@pytest.mark.parametrize(
    ("before", "begin"),
    [("", "import nbfuse"), (SHELL, "shell.run_line_magic('load_ext', 'nbfuse')")],
    ids=["module", "extension"],
)
def test_importing_nbfuse_loads_nothing_heavy(before: str, begin: str) -> None:
    script = (
        f"import sys\n{before}\nthere = set(sys.modules)\n{begin}\n"
        f"print(sorted((sys.modules.keys() - there) & set({HEAVY})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_listed_and_sorted() -> None:
    public = {
        name
        for name, value in vars(nbfuse).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("nbfuse")
    }
    assert public | {"__version__", *nbfuse._LATER} == set(nbfuse.__all__)
    assert list(nbfuse.__all__) == sorted(nbfuse.__all__)
    for name in nbfuse.__all__:
        assert getattr(nbfuse, name) is not None


def test_files_fit_in_one_sitting() -> None:
    for path in MODULES:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, path


def test_the_version_heads_the_changelog() -> None:
    changelog = PACKAGE.parent / "CHANGELOG.md"
    if not changelog.exists():  # an installed package has none
        pytest.skip("there is no changelog beside the package")
    versions = re.findall(r"^## \[?(\d+\.\d+\.\d+)", changelog.read_text(encoding="utf-8"), re.M)
    assert versions[0] == nbfuse.__version__


def test_replays_are_there_when_they_are_named() -> None:
    script = "import nbfuse; print(nbfuse.replay.from_table.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "from_table"
