"""What runs in the engine's process: one llama.cpp server for each model that is asked for.

`serve.py ENGINE` reads one JSON request a line from stdin and answers each with one line on stdout.
It ends when stdin does, or when its parent is no longer its parent (a fork of the kernel may hold
the pipe open), by `os._exit`: unloading a server that answers hangs for good. Knows nothing of
nbfuse but its server for MLX. A server that is a program of its own (`llama-server`,
llama-cpp-python's) is started from here, and ends with this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import http.client
import json
import os
import platform
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

PARENT_LOOK_S = 0.5
START_LOOK_S = 0.02
# Tokens of a prompt that are computed at once; meanwhile other answers of the model wait. llama.cpp
# puts 4 of its batches into one, which wins nothing (0.93 to 1.0 of the speed of one). A large
# model on a processor loses nothing with smaller ones (0.996 with the 3B's shapes), a small one
# does (0.88), and so would a GPU.
BATCH, LARGE_BATCH, LARGE_BYTES = 512, 128, 1_000_000_000


def settings(request: dict[str, Any], key: str) -> Any:
    """llama.cpp's parameters for one model; raises AttributeError when a release renames one."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = request["path"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = request["threads"]
    # a picture of some models is read in one batch or wrongly
    large = Path(request["path"]).stat().st_size > LARGE_BYTES and not request.get("mmproj")
    batch = LARGE_BATCH if large and sys.platform != "darwin" else BATCH
    pooling = request.get("pooling")
    chosen = {
        "embedding": bool(pooling),
        "n_batch": request["context"] if pooling else batch,
        "n_ctx": request["context"],  # shared by the slots; the default is the trained 262,144
        "no_extra_bufts": not request["repack"],
        "n_parallel": request["slots"],
        "kv_unified": True,
        "n_gpu_layers": request.get("gpu_layers", -1),  # -1: the engine's own choice
        "warmup": False,
        "fit_params": False,
        "ui": False,
        "api_keys": [key],
        "hostnames": ["127.0.0.1"],
        "cors_origins": "",
        "cache_ram_mib": 512,
        "check_tensors": True,
        "sleep_idle_seconds": request["idle_s"],
        "verbosity": 1,  # errors only, but with the reason of a failed load
    }
    for name, value in chosen.items():
        if not hasattr(params, name):
            raise AttributeError(f"this xllamacpp has no setting {name!r}")
        setattr(params, name, value)
    if request.get("mmproj"):
        params.mmproj.path = request["mmproj"]
    if pooling:  # a text is pooled from one batch
        params.n_ubatch = request["context"]
        params.pooling_type = xllamacpp.llama_pooling_type[f"LLAMA_POOLING_TYPE_{pooling.upper()}"]
    if request["kv"] == "q8_0":
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_Q8_0
    return params


# System calls that could reach another machine, by processor; answering needs none of them.
_CALLS = {
    "x86_64": (0xC000003E, {"connect": 42, "sendmsg": 46, "sendmmsg": 307, "io_uring": 425}, 44),
    "aarch64": (
        0xC00000B7,
        {"connect": 203, "sendmsg": 211, "sendmmsg": 269, "io_uring": 425},
        206,
    ),
}


def fence() -> bool:
    """Let this process reach nobody by itself, for good; False where the system has no such way.

    A seccomp filter (Linux): connecting fails, and so does sending to an address. Only who connects
    to this process is answered.
    """
    known = _CALLS.get(platform.machine())
    if sys.platform != "linux" or known is None:
        return False
    arch, refused, sendto = known
    load, equal, done = 0x20, 0x15, 0x06
    deny, allow = 0x00050000 | errno.EACCES, 0x7FFF0000
    program = [(load, 0, 0, 4), (equal, 1, 0, arch), (done, 0, 0, allow), (load, 0, 0, 0)]
    for number in refused.values():
        program += [(equal, 0, 1, number), (done, 0, 0, deny)]
    program += [(equal, 1, 0, sendto), (done, 0, 0, allow)]
    for half in (48, 52):  # the address that sendto is given: none on a connection
        program += [(load, 0, 0, half), (equal, 1, 0, 0), (done, 0, 0, deny)]
    program.append((done, 0, 0, allow))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    about = Filter(len(program), ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    no_new_privileges, seccomp, filter_mode = 38, 22, 2
    return not (
        prctl(no_new_privileges, 1, 0, 0, 0) or prctl(seccomp, filter_mode, ctypes.byref(about))
    )


def with_xllamacpp(request: dict[str, Any], key: str) -> str:
    """Serve a model inside this process."""
    import xllamacpp

    server = xllamacpp.Server(settings(request, key))
    _servers.append(server)
    return str(server.listening_address)


def with_llama_server(request: dict[str, Any], key: str) -> str:
    """Serve a model with the user's own build of llama.cpp."""
    words = [os.environ.get("NBFUSE_LLAMA_SERVER") or "llama-server", "--model", request["path"]]
    words += ["--ctx-size", str(request["context"]), "--parallel", str(request["slots"])]
    words += _pooled(request) or ["--batch-size", str(BATCH)]
    words += ["--kv-unified", "--threads", str(request["threads"])]
    words += ["--n-gpu-layers", str(request["gpu_layers"])] if request["gpu_layers"] >= 0 else []
    words += ["--cache-type-k", request["kv"], "--cache-type-v", request["kv"]]
    words += ["--sleep-idle-seconds", str(request["idle_s"]), "--cache-ram", "512"]
    words += ["--no-warmup", "--fit", "off", "--no-ui", "--check-tensors", "--verbosity", "1"]
    words += [] if request["repack"] else ["--no-repack"]
    words += ["--mmproj", request["mmproj"]] if request.get("mmproj") else []
    words += ["--host", "127.0.0.1", "--port", "0"]
    return _start(words, {"LLAMA_API_KEY": key}, "/health")


def _pooled(request: dict[str, Any]) -> list[str]:
    """What makes llama-server say where texts lie, each read in one batch; nothing for words."""
    if not request.get("pooling"):
        return []
    words, size = ["--embedding", "--pooling", request["pooling"]], str(request["context"])
    return [*words, "--batch-size", size, "--ubatch-size", size]


def with_llama_cpp_python(request: dict[str, Any], key: str) -> str:
    """Serve a model with llama-cpp-python: one request at a time, all log-probabilities."""
    types = {"f16": 1, "q8_0": 8}  # ggml's numbers
    words = [sys.executable, "-P", "-m", "llama_cpp.server", "--model", request["path"]]
    words += ["--n_ctx", str(request["context"]), "--n_threads", str(request["threads"])]
    words += ["--n_threads_batch", str(request["threads"])]
    words += ["--n_gpu_layers", str(request["gpu_layers"])]
    words += ["--type_k", str(types[request["kv"]]), "--type_v", str(types[request["kv"]])]
    words += ["--interrupt_requests", "false", "--verbose", "false"]
    if request.get("pooling"):
        size = str(request["context"])
        words += ["--embedding", "true", "--n_batch", size, "--n_ubatch", size]
    else:
        words += ["--logits_all", "true"]
    words += ["--host", "127.0.0.1", "--port", "0"]
    return _start(words, {"API_KEY": key}, "/v1/models", key)


def with_mlx(request: dict[str, Any], key: str) -> str:
    """Serve a folder of MLX weights inside this process, by nbfuse's own server."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    sys.path.append(str(Path(__file__).parents[2]))  # where nbfuse lies, wherever that is
    from nbfuse.local.mlx.server import serve

    about = (request[name] for name in ("context", "slots", "idle_s"))
    return serve(Path(request["path"]), key, *about)


ENGINES = {
    "mlx-lm": with_mlx,
    "xllamacpp": with_xllamacpp,
    "llama-server": with_llama_server,
    "llama-cpp-python": with_llama_cpp_python,
}
_servers: list[Any] = []


def _start(words: list[str], environment: dict[str, str], ready: str, key: str = "") -> str:
    """The address of a program that listens, once it says that it is ready."""
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        env=os.environ | environment,
        preexec_fn=_before_program if sys.platform == "linux" else None,
    )
    _servers.append(process)
    while process.poll() is None:
        for port in _ports(process.pid):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", ready, headers={"Authorization": f"Bearer {key}"})
                if connection.getresponse().status == 200:
                    return f"http://127.0.0.1:{port}"
            connection.close()
        time.sleep(START_LOOK_S)
    raise RuntimeError(f"{words[0]} ended with code {process.returncode}")


def _ports(pid: int) -> list[int]:
    """Where a process listens, or one that it has started: so nobody else gets the key."""
    import psutil

    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        sockets = [one for member in family for one in member.net_connections("tcp4")]
    except psutil.NoSuchProcess:  # one has just ended
        return []
    return [one.laddr.port for one in sockets if one.status == psutil.CONN_LISTEN]


def _before_program() -> None:
    """What holds for a program from its first moment: it reaches nobody, and ends with us."""
    parent_death_signal = 1
    ctypes.CDLL(None).prctl(parent_death_signal, 9)
    fence()


def leave() -> None:
    """End at once, with all that was started."""
    for server in _servers:
        if isinstance(server, subprocess.Popen):
            server.kill()
            if os.name == "posix" and os.getpgrp() == os.getpid():
                os.killpg(0, signal.SIGKILL)  # what a script of the user's has started, too
    os._exit(0)


def leave_with_parent(parent: int) -> None:
    """End this process soon after `parent` has gone."""
    while os.getppid() == parent:
        time.sleep(PARENT_LOOK_S)
    leave()


def main() -> None:
    """Answer requests until there is nobody left to answer."""
    name, parent = sys.argv[1], os.getppid()
    if name in ("xllamacpp", "mlx-lm"):  # the others are programs of their own
        fence()
    threading.Thread(target=leave_with_parent, args=(parent,), daemon=True).start()
    key = os.environ.pop("NBFUSE_ENGINE_KEY")
    # llama.cpp prints to the real stdout at times; keep our answers apart from that
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            answer = {"url": ENGINES[name](json.loads(line), key)}
        except Exception as error:  # anything at all is an answer here; the reason is in the log
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    leave()


if __name__ == "__main__":
    main()
