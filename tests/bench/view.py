"""What the live view costs in the kernel, on the wire and in the browser, beside a naive one.

    python tests/bench/view.py [TOKENS [TOKENS/S]]

Eight members stream from a loopback server into a real JupyterLab in a headless Chromium. Bars for
2,000 tokens at 50 a second: 800 messages, 1 MB, 1 s of kernel CPU, 8 s of the browser's main
thread, no gap between frames above 200 ms, first text 150 ms after the first token, a click on Stop
to the prompt 500 ms. The naive way shows each answer as Markdown that is replaced ten times a
second. Kernel CPU for drawing is that of all threads but the one that reads the streams, less the
same in a run that shows nothing; the naive way draws in the reading thread, so all of its counts.
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lab
from lookalike import KEY, LookAlike, Say, running, verdict

TOKENS = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
RATE = float(sys.argv[2]) if len(sys.argv) > 2 else 50.0
FIRST_S = 1.0
NAIVE_LIMIT_S = 3 * TOKENS / RATE
MODELS = [f"v/m{i}" for i in range(8)]
ASKED = f"-m {','.join(f'openrouter:{m}' for m in MODELS)} -j openrouter:v/judge --quorum 8"

# four characters a token, with paragraphs, lists and code as in an answer
PIECES = ["word", "text", "some", "more", "that", "this", "code", "then"]
BREAKS = {
    40: "\n\nNext",
    120: "\n\n- item",
    128: "\n- item",
    200: "\n\n```python\nx = 1\n```\n\nThen",
}

SETUP = f"""
import asyncio, threading, time, anywidget, nbfuse
from IPython.display import Markdown, display
def reading():
    ids = [thread.ident for thread in threading.enumerate() if thread.name == "nbfuse"]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(ident)) for ident in ids)
def cost(work):
    begun, read = time.process_time(), reading()
    work()
    print("CPU", time.process_time() - begun, "READING", reading() - read, "END")
def fused():
    get_ipython().run_cell_magic("fuse", "{ASKED} -o r", "hello")
async def _naive():
    texts, handles, drawn = {{}}, {{}}, 0.0
    specs = {[f"openrouter:{m}" for m in MODELS]}
    pool = nbfuse.Pool(members=specs, judge="openrouter:v/judge", quorum=8)
    async for event in nbfuse.stream("hello", pool):
        if type(event).__name__ == "MemberDelta":
            texts[event.member] = texts.get(event.member, "") + event.text
        if time.monotonic() - drawn > 0.1:
            drawn = time.monotonic()
            for name, text in texts.items():
                if name not in handles:
                    handles[name] = display(Markdown(text), display_id=True)
                else:
                    handles[name].update(Markdown(text))
def naive():
    from nbfuse.notebook.runner import runner
    runner.run(_naive())
"""
FRAMES = """() => {
    window.gap = 0;
    let last = performance.now();
    const look = (now) => {
        if (now - last > window.gap) [window.gap, window.gapAt] = [now - last, now - window.begun];
        last = now;
        const seen = '.nbf-panel:not([hidden]) .nbf-plain';
        if (!window.firstText && document.querySelector(seen)?.textContent)
            window.firstText = Date.now();
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""


WARM = "%%fuse -m openrouter:v/warm -j openrouter:v/judge\nhello"


def answer() -> str:
    return " ".join(
        BREAKS.get(i % 240, "") + PIECES[i % 8] if i % 240 in BREAKS else PIECES[i % 8]
        for i in range(TOKENS)
    )


class Watch:
    """What reaches the browser, and what it does with it."""

    def __init__(self, notebook: lab.Notebook) -> None:
        self.page = notebook.page
        self.cdp = self.page.context.new_cdp_session(self.page)
        self.messages = self.bytes = 0
        for domain in ("Network", "Performance"):
            self.cdp.send(f"{domain}.enable")
        self.cdp.on("Network.webSocketFrameReceived", self._frame)
        self.page.evaluate(FRAMES)

    def _frame(self, event: dict) -> None:
        frame = event["response"]
        size = len(frame["payloadData"])
        self.messages += 1
        self.bytes += size * 3 // 4 if frame["opcode"] == 2 else size

    def main_thread(self) -> float:
        metrics = self.cdp.send("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in metrics if one["name"] == "TaskDuration")

    def run(self, notebook: lab.Notebook, i: int, limit_s: float) -> dict[str, float]:
        """Run a cell, and what it cost; CPU is missing where it did not end in time."""
        self.page.wait_for_timeout(1500)  # what came before is none of its cost
        self.messages = self.bytes = 0
        self.page.evaluate(
            "() => { window.gap = window.firstText = 0; window.begun = performance.now(); }"
        )
        before, begun = self.main_thread(), time.monotonic()
        output = notebook.run(i, wait=False)
        found = None
        while found is None and time.monotonic() - begun < limit_s:
            self.page.wait_for_timeout(500)
            text = self.page.evaluate(
                "i => [...document.querySelectorAll('.jp-CodeCell')[i]"
                ".querySelectorAll('.jp-OutputArea-output')].at(-1)?.textContent ?? ''",
                i,
            )
            found = re.search(r"CPU ([\d.e-]+) READING ([\d.e-]+) END", text)
        cost = {"messages": self.messages, "MB": self.bytes / 1e6}
        cost["main thread s"] = self.main_thread() - before
        cost["worst frame gap ms"] = self.page.evaluate("window.gap")
        cost["  which came after s"] = self.page.evaluate("window.gapAt") / 1000
        cost["wall s"] = time.monotonic() - begun
        if found:
            cost["cpu"], cost["reading"] = float(found[1]), float(found[2])
        del output
        return cost


def say(server: LookAlike) -> list[float]:
    """Have the members answer; the list gets the time of each run's first token."""
    firsts: list[float] = []
    text = answer()

    def member(_body: dict) -> Say:
        firsts.append(time.time() + FIRST_S)
        return Say(text, first_s=FIRST_S, gap_s=1 / RATE)

    server.models |= dict.fromkeys(MODELS, member)
    server.models["v/warm"] = Say("```python\nx\n```\n\n$x$ " * 20, gap_s=0.02)
    server.models["v/judge"] = verdict(lambda _: "A")
    return firsts


def clicks(notebook: lab.Notebook, i: int, rounds: int) -> list[float]:
    """Milliseconds from a click on Stop to the prompt."""
    times = []
    for _ in range(rounds):
        notebook.run(i, wait=False)
        stop = notebook.view(i).get_by_role("button", name="Stop", exact=True)
        stop.wait_for(timeout=20_000)
        notebook.page.wait_for_timeout(2000)
        times.append(
            notebook.page.evaluate(
                """async (i) => {
                    const cell = document.querySelectorAll('.jp-CodeCell')[i];
                    const begun = performance.now();
                    [...cell.querySelectorAll('.nbf-stop')].at(-1).click();
                    while (!/\\[\\d+\\]/.test(cell.querySelector('.jp-InputPrompt').textContent))
                        await new Promise((done) => setTimeout(done, 2));
                    return performance.now() - begun;
                }""",
                i,
            )
        )
    return times


def main() -> None:
    with running() as server, tempfile.TemporaryDirectory() as folder, lab.chromium() as browser:
        root, home = Path(folder) / "root", Path(folder) / "home"
        root.mkdir()
        home.mkdir()
        environment = {"OPENROUTER_BASE_URL": server.base_url, "OPENROUTER_API_KEY": KEY}
        environment |= {f"XDG_{n}_HOME": str(home / n) for n in ("CACHE", "CONFIG", "DATA")}
        firsts = say(server)
        cells = ["%load_ext nbfuse", SETUP, "cost(fused)", "cost(fused)", "cost(naive)", "fused()"]
        lab.write_notebook(root / "n.ipynb", cells)
        with lab.server(root, home, environment) as address:
            page = browser.new_page(viewport={"width": 1200, "height": 1000})
            notebook = lab.Notebook(page, address, root / "n.ipynb")
            notebook.run(0)
            notebook.run(1)
            watch = Watch(notebook)
            notebook.write(*cells[:2], WARM, *cells[3:])
            notebook.run(2)  # imports are paid once
            notebook.write(*cells)
            firsts.clear()
            ours = watch.run(notebook, 2, NAIVE_LIMIT_S)
            ours["first text ms"] = page.evaluate("window.firstText") - 1000 * min(firsts)
            notebook.write(*cells[:2], "%config Fuse.live = False\ncost(fused)", *cells[3:])
            off = watch.run(notebook, 2, NAIVE_LIMIT_S)
            notebook.write(*cells[:2], "%config Fuse.live = True", *cells[3:])
            notebook.run(2)
            times = clicks(notebook, 5, 6)
            naive = watch.run(notebook, 4, NAIVE_LIMIT_S)
    others = off["cpu"] - off["reading"]
    ours["kernel CPU s for drawing"] = ours.pop("cpu") - ours.pop("reading") - others
    if "cpu" in naive:
        naive["kernel CPU s for drawing"] = naive.pop("cpu") - off["cpu"]
    else:
        print(f"the naive way has not ended after {NAIVE_LIMIT_S:.0f} s; so far:")
    print(f"8 members × {TOKENS} tokens at {RATE:g}/s; {8 * len(answer()) / 1e6:.2f} MB of text")
    for name, value in ours.items():
        beside = f"{naive[name]:10.2f}" if name in naive else f"{'':>10}"
        print(f"{name:>26} {value:10.2f}   naive {beside}")
    middle, worst = statistics.median(times), max(times)
    print(f"click on Stop to prompt: median {middle:.0f} ms, worst {worst:.0f} ms (bar 500)")


main()
