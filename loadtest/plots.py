"""Draws what the load tests have measured, as SVG: python loadtest/plots.py [results] [plots].

From results/<configuration>/*_raw.csv the distribution of each scenario's times, the gateway's beside the floor's; from
results/sweep/report.json throughput against connections, CPU against the size of prompts, memory against open streams; from
results/flame/*.pprof where the CPU time of requests goes. What has not been measured is left out.
"""

import csv
import json
import pathlib
import re
import subprocess
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

plt.rcParams.update({"svg.hashsalt": "plots", "svg.fonttype": "none", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "figure.figsize": (6.4, 3.6)})

COLORS = {"gateway": "#1f77b4", "embedded": "#2ca02c", "shared": "#9467bd", "reverse_proxy": "#7f7f7f", "direct": "#bbbbbb", "floor": "#7f7f7f"}

# Starting the users takes five seconds and the machine one more; docs/loadtest.md.
RAMP = 6.0


def times(results, who):
    """The good times of all rounds in ms, by scenario."""
    found = {}
    for path in sorted(results.glob(f"{who}-*_raw.csv")):
        with open(path, newline="", encoding="utf-8") as f:
            rows = list(csv.DictReader(f))
        if not rows:
            continue
        begin = min(float(r["start"]) for r in rows) + RAMP
        for r in rows:
            if not r["problem"] and (float(r["start"]) >= begin or r["name"] == "register"):
                found.setdefault(r["name"], []).append(float(r["ms"]))
    return {name: sorted(values) for name, values in found.items()}


def steps(values):
    """x and y of the share of values that are not above x."""
    return values, [100 * (i + 1) / len(values) for i in range(len(values))]


def save(figure, path):
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    print(path)


def latencies(results, out, name):
    ours, floor = times(results, "gateway"), times(results, "floor")
    for scenario in ("stress", "rotation", "agent"):
        if scenario not in ours:
            continue
        figure, axes = plt.subplots(1, 2)
        for ax, row, what in ((axes[0], scenario + ", first text", "first text"), (axes[1], scenario, "the whole answer")):
            for who, found in (("gateway", ours), ("floor", floor)):
                if scenario != "agent" and row in found or who == "gateway":
                    x, y = steps(found[row])
                    ax.plot(x, y, drawstyle="steps-post", color=COLORS[who], label=f"{who} ({len(x)})")
            ax.set(xlabel=f"{what}, ms", ylim=(0, 101))
        axes[0].set_ylabel("% of answers")
        axes[1].legend(loc="lower right")
        figure.suptitle(f"{scenario}, {name}")
        save(figure, out / f"latency-{name}-{scenario}.svg")


def curves(ax, points, y, kinds=("plain", "sse")):
    styles = {"plain": "-", "sse": "--"}
    for kind in kinds:
        for target in dict.fromkeys(p["target"] for p in points):
            line = [(p["x"], p[y]) for p in points if p["target"] == target and p["kind"] == kind]
            if line:
                ax.plot(*zip(*line), styles[kind], marker="o", markersize=3, color=COLORS[target], label=f"{target}, {kind}")


def sweep(path, out):
    report = json.loads(path.read_text(encoding="utf-8"))
    figure, ax = plt.subplots()
    curves(ax, report["by_connections"], "requests_per_second")
    counts = sorted({p["x"] for p in report["by_connections"]})
    ax.set(xscale="log", xlabel="connections", ylabel="requests/s", ylim=(0, None))
    ax.set_xticks(counts, [str(c) for c in counts])
    ax.minorticks_off()
    ax.legend(fontsize=7)
    save(figure, out / "throughput.svg")

    figure, ax = plt.subplots()
    curves(ax, report["by_prompt"], "cpu_us")
    ax.set(xlabel="prompt, KB", ylabel="CPU per request, µs", ylim=(0, None))
    ax.legend(fontsize=7)
    save(figure, out / "prompts.svg")

    if report["by_open_streams"]:
        figure, ax = plt.subplots()
        for target in dict.fromkeys(p["target"] for p in report["by_open_streams"]):
            line = [(p["x"], p["rss_mb"]) for p in report["by_open_streams"] if p["target"] == target]
            ax.plot(*zip(*line), marker="o", markersize=3, color=COLORS[target], label=target)
        ax.set(xlabel="open streams", ylabel="memory (RSS), MB", xlim=(0, None), ylim=(0, None))
        ax.legend()
        save(figure, out / "memory.svg")


def stacks(profile):
    """The stacks of a CPU profile, outermost first, and their ms."""
    text = subprocess.run(["go", "tool", "pprof", "-traces", str(profile)], check=True, capture_output=True, text=True).stdout
    for block in text.split("-----------+-------------------------------------------------------\n")[1:]:
        lines = [line for line in block.splitlines() if line.strip()]
        match = lines and re.match(r"\s*([\d.]+)(ms|s|us|mins?)\s+(.+)", lines[0])
        if match:
            ms = float(match[1]) * {"us": 1e-3, "ms": 1, "s": 1e3}.get(match[2], 6e4)
            frames = [match[3]] + [line.strip() for line in lines[1:]]
            yield [short(f) for f in reversed(frames)], ms


def short(frame):
    """A function without the path to its package."""
    return frame.replace(" (inline)", "").rsplit("/", 1)[-1]


def flame(profile, out):
    """An icicle: who calls is above, widths are shares of all CPU time. What takes less than 0.7 % is left out."""
    root = {}
    total = 0.0
    for frames, ms in stacks(profile):
        total += ms
        if "http.(*conn).serve" in frames:
            frames = frames[frames.index("http.(*conn).serve") :]
        node = root
        for f in frames:
            entry = node.setdefault(f, [0.0, {}])
            entry[0] += ms
            node = entry[1]
    boxes = []

    def place(node, left, depth):
        for name, (ms, below) in sorted(node.items(), key=lambda item: -item[1][0]):
            if ms >= total * 0.007:
                boxes.append((left, depth, ms, name))
                place(below, left, depth + 1)
            left += ms

    place(root, 0.0, 0)
    depth = max(b[1] for b in boxes) + 1
    figure, ax = plt.subplots(figsize=(13, 0.19 * depth + 0.8))
    for left, level, ms, name in boxes:
        ours = any(p in name for p in ("caddymodule.", "rotation.", "openai.", "openaihttp.", "leanhttp.", "agentruntime.", "audit.", "state.", "users.", "provider."))
        ax.add_patch(plt.Rectangle((left, level), ms, 0.94, facecolor="#ffb454" if ours else "#d9d9d9", edgecolor="white", linewidth=0.4))
        room = int(ms / total * 190)
        if room > 3:
            ax.text(left + total * 0.001, level + 0.5, name if len(name) <= room else name[: room - 1] + "…", fontsize=6, va="center", clip_on=True)
    ax.set(xlim=(0, total), ylim=(depth, 0), xticks=[], yticks=[], title=f"CPU time of {profile.stem}, {total / 1000:.1f} s; the gateway's own code in colour")
    for side in ax.spines.values():
        side.set_visible(False)
    ax.grid(False)
    save(figure, out / f"flame-{profile.stem}.svg")


def main():
    results = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "loadtest/results")
    out = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "docs/plots")
    out.mkdir(parents=True, exist_ok=True)
    for name in ("embedded", "full"):
        latencies(results / name, out, name)
    if (results / "sweep" / "report.json").exists():
        sweep(results / "sweep" / "report.json", out)
    for profile in sorted((results / "flame").glob("*.pprof")):
        flame(profile, out)


if __name__ == "__main__":
    main()
