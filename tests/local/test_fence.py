"""Local means local: what a run may not reach, it can't reach, and neither can the engine."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nbfuse import Pool, fuse
from nbfuse.config import default_pool
from nbfuse.core.errors import PrivacyError
from nbfuse.local import serve

ASK = [sys.executable, "-m", "nbfuse", "ask", "What is 12 + 30?"]


def run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_whole_run_opens_no_connection_beyond_loopback(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace shows what the processes ask of the system; it is not installed")
    log = tmp_path / "calls"
    calls = "trace=connect,sendto,sendmsg,sendmmsg"
    traced = ["strace", "-f", "-qq", "-o", str(log), "-e", calls, *ASK, "--local-only"]
    environment = os.environ | {"OPENROUTER_API_KEY": "sk-or-v1-0123456789"}
    done = subprocess.run(
        traced, capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.stdout == "12 + 30 = 42\n", done.stderr
    reached = re.findall(r'inet_addr\("([^"]+)"\)|AF_INET6.*?"([^"]+)"', log.read_text())
    assert reached, "strace has seen nothing"
    assert {one or other for one, other in reached} == {"127.0.0.1"}


def test_it_runs_where_there_is_no_network_at_all() -> None:
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    known = shutil.which("unshare") is not None
    if not known or subprocess.run([*alone, "true"], check=False).returncode:
        alone = []  # no network of one's own here: then strace alone proves it
    up = "ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null || true"
    python = (
        "import fcntl, socket, struct; s = socket.socket(); "
        "fcntl.ioctl(s, 0x8914, struct.pack('16sh14x', b'lo', 0x41))"  # the same by hand
    )
    script = f'{up}; {sys.executable} -c "{python}"; exec "$@"'
    done = subprocess.run(
        [*alone, "bash", "-c", script, "bash", *ASK],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "12 + 30 = 42\n", done.stderr


def test_a_provider_that_says_it_is_local_is_held_to_it() -> None:
    said = run("""
import asyncio, socket
from nbfuse import Pool, fuse
from nbfuse.core.call import Chunk
from nbfuse.providers import registry
from nbfuse.providers.protocol import ModelInfo

class Liar:
    local = True
    async def stream(self, call):
        loop = asyncio.get_running_loop()
        sock = socket.socket(); sock.setblocking(False)
        await loop.sock_connect(sock, ("192.0.2.1", 80))
        yield Chunk(text="sent", finish="stop")
    async def describe(self, models): return [ModelInfo(id=m, local=True) for m in models]
    async def models(self): return []
    async def aclose(self): pass

liar = Liar()
registry._BUILDERS["liar"] = lambda model: (liar, model)
pool = Pool(members=("liar:x", "local:tiny-calc"), judge="local:tiny-judge", local_only=True)
print(asyncio.run(fuse("What is 12 + 30?", pool)).answers[0].failure.message)
socket.socket().connect_ex(("127.0.0.1", 9))  # outside of the run the notebook is as free as before
""")
    assert "wanted to reach 192.0.2.1" in said


def test_the_engine_can_reach_nobody() -> None:
    if sys.platform != "linux":
        pytest.skip("the engine is fenced in by a filter of Linux")
    said = run(f"""
import runpy, socket
serve = runpy.run_path({str(Path(serve.__file__))!r}, run_name="serve")
assert serve["fence"]()
near = socket.socket(); near.bind(("127.0.0.1", 0)); near.listen()
for act in (
    lambda: socket.create_connection(near.getsockname(), 1),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
):
    try:
        act()
        print("reached")
    except PermissionError:
        print("refused")
one, other = socket.socketpair(); one.send(b"hi"); print(other.recv(2).decode())
""")
    assert said.split() == ["refused", "refused", "hi"]


def test_a_machine_can_be_local_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-v1-0123456789")
    assert default_pool().pool.name == "cloud"
    assert default_pool(local_only=True).pool.name == "tiny"
    monkeypatch.setenv("NBFUSE_LOCAL_ONLY", "1")
    assert default_pool().pool.name == "tiny"
    models = ("openrouter:v/a", "local:tiny-calc")
    with pytest.raises(PrivacyError, match=r"openrouter:v/a would leave"):
        asyncio.run(fuse("hello", Pool(members=models, judge="local:tiny-judge")))
    done = subprocess.run(
        [sys.executable, "-m", "nbfuse", "models"], capture_output=True, text=True, check=False
    )
    assert "not asked, this machine is local only" in done.stderr
