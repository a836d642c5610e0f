"""Times PyTorch on the CPU. Reads {"pace": …, "cases": […]} from standard input, prints JSON. Started by `cargo xtask peers`."""

import json
import math
import sys
import time

import torch
from torch.nn.functional import scaled_dot_product_attention as sdpa


def contender(case):
    """The work as a function without arguments, its name, and the same in f64 over the first head."""
    draw = lambda: torch.randn(*case["shape"])
    if case["what"] == "matmul":
        a, b = draw(), draw()
        return lambda: a @ b, "matmul", lambda out: (out - (a.double() @ b.double())).abs().max().item()
    q, k, v = draw(), draw(), draw()
    seq, dim = case["shape"][2:]
    hidden = torch.ones(seq, seq, dtype=torch.bool).triu(1) if case["causal"] else None

    def softmax(q, k, v):
        return sdpa(q, k, v, is_causal=case["causal"])

    def sigmoid(q, k, v):
        scores = q @ k.mT / math.sqrt(dim) - math.log(seq)
        if hidden is not None:
            scores = scores.masked_fill(hidden, -math.inf)
        return torch.sigmoid(scores) @ v

    attend = softmax if case["what"] == "softmax" else sigmoid
    head = lambda t: t[:1, :1].double()
    off = lambda out: (out[:1, :1] - attend(head(q), head(k), head(v))).abs().max().item()
    return lambda: attend(q, k, v), "SDPA" if case["what"] == "softmax" else "three ops", off


def seconds(work):
    start = time.perf_counter()
    out = work()
    return time.perf_counter() - start, out


def row(case, pace):
    work, how, off = contender(case)
    first, out = seconds(work)
    samples, begin = [], time.perf_counter()
    while len(samples) < pace["most"]:
        if len(samples) >= pace["fewest"] and time.perf_counter() - begin > pace["seconds"]:
            break
        samples.append(seconds(work)[0])
    return {"how": how, "first": first, "samples": samples, "difference": off(out)}


def attempt(case, pace):
    """One case that fails, for want of memory say, leaves the others their turn."""
    try:
        return row(case, pace)
    except (RuntimeError, MemoryError) as e:
        return {"how": case["what"], "first": 0.0, "samples": [], "failure": str(e).splitlines()[0]}


def main():
    asked = json.load(sys.stdin)
    torch.manual_seed(1)
    torch.set_num_threads(asked["pace"]["threads"])
    with torch.inference_mode():
        rows = [attempt(case, asked["pace"]) for case in asked["cases"]]
    how = f"on the CPU, f32, {torch.get_num_threads()} threads, a process of its own"
    json.dump({"version": torch.__version__, "how": how, "rows": rows}, sys.stdout)


if __name__ == "__main__":
    main()
