"""The tables of the answers that `run.py` writes."""

import json
import statistics


def answers(out, questions):
    """Returns the answers in a folder to these questions, by question."""
    found = {question: out / f"{question}.json" for question in questions}
    return {question: json.loads(path.read_text()) for question, path in found.items() if path.exists()}


def found(answers, *names):
    """Returns the successful parts whose names start with one of these."""
    parts = [part for answer in answers.values() for part in answer["parts"]]
    return [part for part in parts if "found" in part and part["part"].startswith(names)]


def ratios(steps, flops_per_s):
    """Yields each step with its images/s, its time relative to our fastest step of that size, and its utilization."""
    for step in steps:
        same = [other for other in steps if (other["size"], other["batch_size"]) == (step["size"], step["batch_size"])]
        ours = [other["found"]["ms"] for other in same if other["part"].startswith("ours")]
        # Our count covers convolutions and scores only, two operations for each multiply-accumulate.
        counted = [other["found"].get("flops") for other in same] + [2 * other["found"].get("macs", 0) for other in same]
        flops = next((flops for flops in counted if flops), None)
        milliseconds = step["found"]["ms"]
        yield (step, step["batch_size"] * 1e3 / milliseconds, milliseconds / min(ours) if ours else None,
               flops / (milliseconds * 1e-3) / flops_per_s if flops and flops_per_s else None)


def pieces(answers):
    """Yields each model's steps with a piece in its plain form, with their time relative to that of all fused."""
    parts = [part for part in answers.get("pieces", {}).get("parts", []) if "found" in part and part["part"].startswith("step")]
    for step in parts:
        same = [other["found"] for other in parts if (other["size"], other["batch_size"]) == (step["size"], step["batch_size"])]
        fused = [other["ms"] for other in same if not other["without"]]
        yield step, step["found"]["ms"] / statistics.mean(fused) if fused else None


def checks(answers):
    """Returns name, state (ok, skipped or bad) and finding of every check."""
    rows = []
    for part in answers.get("check", {}).get("parts", []):
        if part["part"] == "checks":
            made = [(check["check"], check["state"], finding(check)) for check in part.get("found", [])]
            rows += made or [("checks", "bad", part["why"])]
        elif part["part"] != "ceiling":
            rows.append((part["part"], "ok" if "found" in part else "bad", part.get("why", "")))
    for part in found(answers, "doctor"):
        rows += [(f"doctor: {check['check']}", "bad", finding(check)) for check in part["found"] if check["state"] == "bad"]
    return rows


def finding(check):
    """Returns what a check found, with the hint of one that failed."""
    return f"{check['found']}; {check['hint']}" if check.get("hint") else check["found"]


def markdown(answers):
    lines = ["# The training stage on a GPU", ""]
    device = next((part["found"] for part in found(answers, "ceiling")), {})
    for question, answer in answers.items():
        lines.append(f"- {question}: {answer['date']}, `{answer['on']}`, {answer['cores']} CPU cores, driver {answer['driver']}, {answer['dtype']}")
    if device:
        lines += ["", f"{device['device']}, torch {device['torch']}, CUDA {device['cuda']}. Utilization is of "
                  f"{device['flops_per_s'] / 1e12:.1f} TFLOP/s, what a bf16 product of {device['size']}×{device['size']} reaches; FLOPs are "
                  "PyTorch's own count of its eager step. GB are the peak of tensors; with our graph, its memory pool."]
    lines.append("")
    rows = [[name, f"**{state}**" if state == "bad" else state, brief(found)] for name, state, found in checks(answers)]
    lines += table(["check", "state", "found"], rows)
    steps = found(answers, "ours", "PyTorch, ")
    rows = [[step["size"], step["batch_size"], step["part"] + ("" if step["found"].get("recorded", True) else ", not recorded"),
             f"{step['found']['ms']:.2f}", f"{rate:.0f}", number(ratio), number(utilization), gigabytes(step["found"]["bytes"])]
            for step, rate, ratio, utilization in ratios(steps, device.get("flops_per_s"))]
    lines += table(["ndf/n_rkhs/n_depth", "batch", "step", "ms", "images/s", "ms ÷ our best", "utilization", "GB"], rows)
    rows = [[step["size"], step["batch_size"], ", ".join(step["found"]["without"]) or "none", f"{step['found']['ms']:.2f}", number(ratio),
             gigabytes(step["found"]["bytes"]), step["found"]["refused_products"]] for step, ratio in pieces(answers)]
    lines += table(["model", "batch", "pieces in their plain form", "ms", "ms ÷ all fused", "GB", "products without cuBLASLt"], rows)
    rows = [[feed["size"], feed["batch_size"], ", ".join(feed["found"]["without"]) or "none", f"{feed['found']['copy_ms']:.2f}",
             f"{feed['found']['fed_ms']:.2f}"] for feed in found(answers, "feed without")]
    lines += table(["model", "batch", "pieces in their plain form", "copy and normalization, ms", "fed step, ms"], rows)
    rows = [[feed["size"], feed["batch_size"], feed["decode"], feed["found"]["workers"], f"{feed['found']['images_per_second']:.0f}",
             f"{feed['found']['saturation']:.3f}", f"{feed['found']['waited']:.3f}"] for feed in found(answers, "fed")]
    lines += table(["ndf/n_rkhs/n_depth", "batch", "decode", "workers", "images/s from shards", "saturation", "waited for data"], rows)
    rows = [[part["part"], f"{part.get('size', '')} {part.get('batch_size', '')}".strip(), brief(part["found"])]
            for part in found({key: answer for key, answer in answers.items() if key == "processes"}, "")]
    lines += table(["one process beside two", "model", "found"], rows)
    for plan in found(answers, "plan"):
        memory = (plan["found"]["measured"]["by_batch"] or {}).get("memory")
        if memory:
            lines += [f"`plan --gpu`: {memory['fixed'] / 1e9:.2f} GB + n · {memory['linear'] / 1e6:.2f} MB + n² · {memory['quadratic'] / 1e3:.2f} kB", ""]
    for step in steps:
        kernels = step["found"].get("kernels")
        if kernels:
            rows = [[f"`{row['name'][:90]}`".replace("|", "\\|"), f"{row['calls_a_step']:.0f}", f"{row['ms_a_step']:.3f}",
                     f"{100 * row['share']:.1f} %"] for row in kernels["rows"]]
            lines += [f"Kernels of our step of {step['batch_size']}, {kernels['ms_a_step']:.2f} ms in all:", ""]
            lines += table(["kernel", "calls per step", "ms per step", "share"], rows)
    missing = [[f"{part['part']} {part.get('size', '')} {part.get('batch_size', '')}".strip(), brief(part["why"])]
               for answer in answers.values() for part in answer["parts"] if "why" in part]
    lines += table(["not measured", "why"], missing)
    return "\n".join(lines)


def table(heads, rows):
    if not rows:
        return []
    line = lambda cells: "| " + " | ".join(str(cell) for cell in cells) + " |"
    return [line(heads), "|" + "---|" * len(heads), *map(line, rows), ""]


def number(value):
    return "–" if value is None else f"{value:.2f}"


def gigabytes(value):
    return "–" if value is None else f"{value / 1e9:.2f}"


def brief(found):
    if isinstance(found, dict):
        return ", ".join(f"{key} {value:.2g}" if isinstance(value, float) else f"{key} {value}" for key, value in found.items())
    return str(found or "").replace("|", "\\|").replace("\n", " ")[:200]
