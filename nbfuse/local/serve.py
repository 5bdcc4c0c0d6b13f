"""What runs in the engine's process: one llama.cpp server for each model that is asked for.

Reads one JSON request a line from stdin and answers each with one line on stdout. It ends when
stdin does, or when its parent is no longer its parent (a fork of the kernel may hold the pipe
open), by `os._exit`: unloading a server that answers hangs for good. Knows nothing of nbfuse.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

PARENT_LOOK_S = 0.5


def settings(request: dict[str, Any], key: str) -> Any:
    """llama.cpp's parameters for one model; raises AttributeError when a release renames one."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = request["path"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = request["threads"]
    chosen = {
        "n_ctx": request["context"],  # shared by the slots; the default is the trained 262,144
        "no_extra_bufts": not request["repack"],
        "n_parallel": request["slots"],
        "kv_unified": True,
        "warmup": False,
        "fit_params": False,
        "ui": False,
        "api_keys": [key],
        "hostnames": ["127.0.0.1"],
        "cors_origins": "",
        "cache_ram_mib": 512,
        "check_tensors": True,
        "verbosity": 1,  # errors only, but with the reason of a failed load
    }
    for name, value in chosen.items():
        if not hasattr(params, name):
            raise AttributeError(f"this xllamacpp has no setting {name!r}")
        setattr(params, name, value)
    if request["kv"] == "q8_0":
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_Q8_0
    return params


def leave_with_parent(parent: int) -> None:
    """End this process soon after `parent` has gone."""
    while os.getppid() == parent:
        time.sleep(PARENT_LOOK_S)
    os._exit(0)


def main() -> None:
    """Answer requests until there is nobody left to answer."""
    parent = os.getppid()
    threading.Thread(target=leave_with_parent, args=(parent,), daemon=True).start()
    key, servers = os.environ.pop("NBFUSE_ENGINE_KEY"), []
    # llama.cpp prints to the real stdout at times; keep our answers apart from that
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            import xllamacpp

            server = xllamacpp.Server(settings(request, key))
            servers.append(server)
            answer = {"url": server.listening_address}
        except Exception as error:  # anything at all is an answer here; the reason is in the log
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
