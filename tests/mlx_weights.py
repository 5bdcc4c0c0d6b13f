"""Writes a GGUF file's weights as a folder for MLX, number by number the same.

MLX reads GGUF itself, quantised as it is, so the folder differs from the file in form alone: names,
the order of rows that llama.cpp turns about for its rotation, a config and a tokenizer beside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nbfuse.local.catalog import find
from nbfuse.paths import config_folder

_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def install(folders: Mapping[str, Path]) -> None:
    """Let the catalog's models of these names be those folders, in all else as they are."""
    entries = []
    for name, folder in folders.items():
        entry = msgspec.structs.replace(find(name), file=str(folder), package=None)
        about = msgspec.to_builtins(entry)
        lines = [f"{key} = {json.dumps(value)}" for key, value in about.items() if value]
        entries.append("\n".join([f"[{name}]", *lines]))
    (config_folder() / "models.toml").parent.mkdir(parents=True, exist_ok=True)
    (config_folder() / "models.toml").write_text("\n\n".join(entries))


def unpack(gguf: Path, target: Path) -> Path:
    """The same model with every weight as a 32-bit number, so that no engine rounds on its own."""
    import mlx.core as mx

    packed, about = mx.load(str(gguf), return_metadata=True)
    plain = {}
    for name, tensor in packed.items():
        stem, _, kind = name.rpartition(".")
        scales = packed.get(f"{stem}.scales")
        if kind == "weight" and scales is not None:
            bits = 32 * tensor.shape[1] // (32 * scales.shape[1])
            tensor = mx.dequantize(tensor, scales, packed[f"{stem}.biases"], 32, bits)
        if kind == "weight":
            plain[name] = tensor.astype(mx.float32)
    mx.save_gguf(str(target), plain, about | {"general.file_type": mx.array(0, mx.uint32)})
    return target


def write(gguf: Path, folder: Path) -> Path:
    """The weights in `gguf` (architectures `llama` and `mistral3`) as a folder that MLX loads."""
    import mlx.core as mx

    loaded, about = mx.load(str(gguf), return_metadata=True)
    architecture = about["general.architecture"]

    def setting(name: str, default: float = 0) -> float:
        value = about.get(f"{architecture}.{name}")
        return default if value is None else value.item()

    heads = int(setting("attention.head_count"))
    kv_heads = int(setting("attention.head_count_kv", heads))
    tensors = {}
    for name, tensor in loaded.items():
        stem, _, kind = name.rpartition(".")
        block, part = stem.split(".")[1:] if stem.startswith("blk.") else ("", stem)
        if part in ("attn_q", "attn_k"):
            tensor = _halves(mx, tensor, heads if part == "attn_q" else kv_heads)
        prefix = f"model.layers.{block}." if block else ""
        tensors[f"{prefix}{_NAMES[part]}.{kind}"] = tensor
    width = int(setting("embedding_length"))
    config = {
        "model_type": "ministral3" if architecture == "mistral3" else architecture,
        "hidden_size": width,
        "num_hidden_layers": int(setting("block_count")),
        "intermediate_size": int(setting("feed_forward_length")),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": int(setting("attention.key_length", width // heads)),
        "rms_norm_eps": setting("attention.layer_norm_rms_epsilon"),
        "vocab_size": len(about["tokenizer.ggml.tokens"]),
        "max_position_embeddings": int(setting("context_length")),
        "tie_word_embeddings": True,
        "rope_theta": setting("rope.freq_base", 10_000.0),
    }
    if architecture == "mistral3":
        original = int(setting("rope.scaling.original_context_length"))
        config["rope_parameters"] = {
            "type": "yarn",
            "rope_theta": config["rope_theta"],
            "factor": setting("rope.scaling.factor"),
            "beta_fast": setting("rope.scaling.yarn_beta_fast"),
            "beta_slow": setting("rope.scaling.yarn_beta_slow"),
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
            "original_max_position_embeddings": original,
            "llama_4_scaling_beta": setting("attention.temperature_scale"),
        }
    config["quantization"] = {"group_size": 32, "bits": 4} | {
        name.removesuffix(".weight"): {"group_size": 32, "bits": 8}
        for name, tensor in tensors.items()
        if (scales := tensors.get(f"{name.removesuffix('weight')}scales")) is not None
        and tensor.shape[1] // scales.shape[1] == 8
    }
    folder.mkdir(parents=True)
    mx.save_safetensors(str(folder / "model.safetensors"), tensors, {"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(config))
    _write_tokenizer(about, folder)
    return folder


def _halves(mx: object, tensor: object, heads: int) -> object:
    """From rotating neighbours (llama.cpp) to rotating halves (MLX)."""
    rows, columns = tensor.shape
    turned = tensor.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2)
    return mx.contiguous(turned.reshape(rows, columns))


def _write_tokenizer(about: dict[str, object], folder: Path) -> None:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    words = about["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in about["tokenizer.ggml.merges"]]
    tekken = about["tokenizer.ggml.pre"] == "tekken"
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=tekken))
    cut = (
        [pre_tokenizers.Split(Regex(_TEKKEN), "isolated")]
        if tekken
        else [pre_tokenizers.Digits(individual_digits=True)]
    )
    cut.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not tekken))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cut)
    tokenizer.decoder = decoders.ByteLevel()
    control = 3
    kinds = about["tokenizer.ggml.token_type"].tolist()
    special = [word for word, kind in zip(words, kinds, strict=True) if kind == control]
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": about["tokenizer.chat_template"],
        "clean_up_tokenization_spaces": False,
        **{
            f"{name}_token": words[about[f"tokenizer.ggml.{name}_token_id"].item()]
            for name in ("bos", "eos")
        },
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
