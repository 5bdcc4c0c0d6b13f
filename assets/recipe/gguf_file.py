"""Write a trained network as a GGUF file of architecture `mistral3`."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import tokens
from network import Network
from tokenizers import Tokenizer

QUANTISATION = gguf.GGMLQuantizationType.Q4_0


def write(network: Network, tokenizer: Tokenizer, path: Path, name: str) -> None:
    """Write `network` to `path`: matrices in Q4_0, vectors in F32."""
    writer = gguf.GGUFWriter(path, "mistral3")
    _describe(writer, network, name)
    _add_tokenizer(writer, tokenizer, network.shape.vocab)
    for key, tensor in network.state_dict().items():
        weight = tensor.detach().float().numpy()
        if key.endswith("attn_q.weight"):
            weight = _interleave(weight, network.shape.heads)
        if key.endswith("attn_k.weight"):
            weight = _interleave(weight, network.shape.kv_heads)
        label = key.replace("blocks.", "blk.")
        label = {"embed.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}.get(
            label, label
        )
        if weight.ndim == 1:
            writer.add_tensor(label, np.ascontiguousarray(weight))
        else:
            packed = gguf.quants.quantize(np.ascontiguousarray(weight), QUANTISATION)
            writer.add_tensor(label, packed, raw_dtype=QUANTISATION)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _interleave(weight: np.ndarray, heads: int) -> np.ndarray:
    """From rotating halves (PyTorch) to rotating neighbours (what `mistral3` wants)."""
    rows, columns = weight.shape
    return (
        weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
    )


def _describe(writer: gguf.GGUFWriter, network: Network, name: str) -> None:
    shape = network.shape
    writer.add_type("model")
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_layer_norm_rms_eps(shape.eps)
    writer.add_vocab_size(shape.vocab)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.theta)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(shape.yarn_factor)
    writer.add_rope_scaling_orig_ctx_len(shape.yarn_original)
    writer.add_rope_scaling_yarn_beta_fast(shape.yarn_fast)
    writer.add_rope_scaling_yarn_beta_slow(shape.yarn_slow)
    writer.add_rope_scaling_yarn_log_mul(1.0)
    writer.add_attn_temperature_scale(shape.attention_beta)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer, size: int) -> None:
    model = json.loads(tokenizer.to_str())["model"]
    words = sorted(model["vocab"], key=model["vocab"].__getitem__)
    kinds = [
        gguf.TokenType.CONTROL if i < tokens.SPECIAL_COUNT else gguf.TokenType.NORMAL
        for i in range(len(words))
    ]
    kinds[tokens.UNKNOWN] = gguf.TokenType.UNKNOWN
    padding = size - len(words)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("tekken")
    writer.add_token_list(words + [f"[PAD{i}]" for i in range(padding)])
    writer.add_token_types(kinds + [gguf.TokenType.UNUSED] * padding)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    writer.add_bos_token_id(tokens.BOS)
    writer.add_eos_token_id(tokens.EOS)
    writer.add_unk_token_id(tokens.UNKNOWN)
    writer.add_pad_token_id(tokens.PAD)
    writer.add_add_bos_token(False)  # the chat template writes it
    writer.add_add_eos_token(False)
    writer.add_chat_template(tokens.CHAT_TEMPLATE)
