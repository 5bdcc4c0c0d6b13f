"""Writes a picture projector of Ministral's architecture with random weights, for the tiny models.

It turns a picture into as many embeddings as the real one would, in the width of the model, so that
all is as with a model that sees but what is seen.
"""

from __future__ import annotations

from pathlib import Path

from nbfuse.local.catalog import find
from nbfuse.paths import config_folder

WIDTH, INNER, LAYERS, HEADS = 32, 64, 2, 2
IMAGE, PATCH, MERGE = 140, 14, 2


def install(folder: Path) -> str:
    """Let there be a tiny model that sees, added as a user would; how it is named."""
    projector = write(folder / "mmproj.gguf")
    own = config_folder() / "models.toml"
    own.parent.mkdir(parents=True, exist_ok=True)
    file = find("tiny-calc").path()
    own.write_text(f'[seeing]\nfile = "{file}"\nmmproj = "{projector}"\ncontext = 1024')
    return "local:seeing"


def write(path: Path, model_width: int = 160) -> Path:
    """A projector in `path` for a model of that width."""
    import gguf
    import numpy as np

    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "pixtral")
    writer.add_bool("clip.use_silu", True)
    for name, value in {
        "image_size": IMAGE,
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
        "embedding_length": WIDTH,
        "feed_forward_length": INNER,
        "block_count": LAYERS,
        "projection_dim": model_width,
        "attention.head_count": HEADS,
    }.items():
        writer.add_uint32(f"clip.vision.{name}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.25, 0.25, 0.25])

    def add(name: str, *shape: int) -> None:
        made = random.normal(0, 0.05, shape) if len(shape) > 1 else np.ones(shape)
        writer.add_tensor(name, made.astype(np.float32))

    add("v.patch_embd.weight", WIDTH, 3, PATCH, PATCH)
    add("v.pre_ln.weight", WIDTH)
    for i in range(LAYERS):
        for name in ("ln1", "ln2"):
            add(f"v.blk.{i}.{name}.weight", WIDTH)
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            add(f"v.blk.{i}.{name}.weight", WIDTH, WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            add(f"v.blk.{i}.{name}.weight", INNER, WIDTH)
        add(f"v.blk.{i}.ffn_down.weight", WIDTH, INNER)
    add("mm.input_norm.weight", WIDTH)
    add("mm.patch_merger.weight", WIDTH, WIDTH * MERGE * MERGE)
    add("mm.1.weight", model_width, WIDTH)
    add("mm.2.weight", model_width, model_width)
    add("v.token_embd.img_break", model_width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
