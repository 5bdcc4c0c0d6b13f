"""Pictures from files, bytes, figures and images in variables."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from pictures import PNG

from nbfuse.core.errors import PromptError
from nbfuse.core.pictures import data_url

JPEG = b"\xff\xd8\xff\xe0rest"


def kind_and_bytes(url: str) -> tuple[str, bytes]:
    head, _, data = url.partition(";base64,")
    return head.removeprefix("data:image/"), base64.b64decode(data)


@pytest.mark.parametrize(("data", "kind"), [(PNG, "png"), (JPEG, "jpeg"), (b"GIF89a.", "gif")])
def test_files_and_bytes_are_taken_as_they_are(tmp_path: Path, data: bytes, kind: str) -> None:
    file = tmp_path / "picture"  # what it is is told by its bytes, not by its name
    file.write_bytes(data)
    for picture in (file, str(file), data):
        assert kind_and_bytes(data_url(picture)) == (kind, data)


def test_figures_axes_and_images_become_png() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    image = pytest.importorskip("PIL.Image")
    figure, axes = pyplot.subplots()
    axes.plot([1, 2])
    for picture in (figure, axes, image.new("RGB", (4, 3)), image.new("CMYK", (4, 3))):
        kind, data = kind_and_bytes(data_url(picture))
        assert kind == "png"
        assert image.open(io.BytesIO(data)).size >= (4, 3)
    pyplot.close(figure)


def test_what_ipython_shows_is_a_picture() -> None:
    from IPython.display import Image

    assert kind_and_bytes(data_url(Image(data=PNG))) == ("png", PNG)


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        ("nowhere.png", "No such file"),
        (b"text", "no picture that models read"),
        (3, "A int is no picture"),
        (PNG + bytes(20_000_000), "20 MB"),
    ],
)
def test_what_is_no_picture_is_refused(picture: object, why: str) -> None:
    with pytest.raises(PromptError, match=why):
        data_url(picture)
