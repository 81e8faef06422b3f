"""What the gate, the guide and tuning are each worth: a small study with all eight ways to leave them out.

usage: ablation.py [--runs N] [--proposals N] [--seed N]

A scripted author proposes candidates (ablation.c) and is sometimes wrong: in the design, as the mutants of a law are, or in the code alone. With the gate a
design has to satisfy the law on the CPU before it costs device time; with the guide only the design that it names is proposed; with tuning the freedom that
it leaves is searched. The device is the CPU runner. Every run is a function of its seed, but for the times.
"""
import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BIN = os.path.join(ROOT, "out", "bin")
DESIGN_FAULTS = ["l_not_rescaled", "o_not_rescaled", "rescale_inverted", "local_max_only", "tail_dropped"]
CODE_FAULTS = ["wrong_column", "half_written"]
TILES = [4, 32, 256, 1024]
FOLD, THREE_PASSES, SEARCHING = range(3)


class Bench:
    """The runner, the prover and what they were asked already; compiling is no device time."""

    def __init__(self, folder):
        self.folder = folder
        self.proofs = {}
        self.reference = self.compile("reference", [])

    def compile(self, name, defines):
        path = os.path.join(self.folder, name + ".so")
        if not os.path.exists(path):
            subprocess.run(["cc", "-O2", "-std=gnu11", "-fPIC", "-shared", *defines, os.path.join(HERE, "ablation.c"), "-o", path, "-lm"], check=True)
        return path

    def candidate(self, form, fault, tile):
        name = "form%d-%s-%d" % (form, fault, tile)
        return name, self.compile(name, ["-DFORM=%d" % form, "-DFAULT=" + fault, "-DTILE=%d" % tile])

    def runner(self, job, name, object):
        def shape(rows, columns):
            return {"name": "%dx%d" % (rows, columns), "dims": [rows, columns], "elements": [rows * columns, columns, rows],
                    "flops": 4 * rows * columns, "bytes": 4 * rows * columns}
        shapes = [shape(1, 1), shape(5, 37), shape(9, 301)] if job == "check" else [shape(64, 1024)]
        spec = {"op": "attend", "reference": self.reference, "bound": 1e-5, "timeout_s": 10, "budget_s": 0.05, "min_blocks": 5, "max_blocks": 9,
                "buffers": [{"name": "x", "role": "in"}, {"name": "v", "role": "in"}, {"name": "o", "role": "out"}],
                "shapes": shapes, "kernels": [{"name": name, "object": object}]}
        path, out = os.path.join(self.folder, "spec.json"), os.path.join(self.folder, "out.json")
        with open(path, "w") as file:
            json.dump(spec, file)
        begin = time.monotonic()
        subprocess.run([os.path.join(BIN, "spak-cpu"), job, path, "--out", out], stderr=subprocess.DEVNULL)
        took = time.monotonic() - begin
        with open(out) as file:
            return json.load(file), took

    def check(self, name, object):
        result, took = self.runner("check", name, object)
        return result["status"] == "PASS", took

    def rate(self, name, object):
        result, took = self.runner("bench", name, object)
        samples = result["shapes"][0]["kernels"][name]["samples_ns"]
        return (4 * 64 * 1024 / statistics.median(samples) if samples else 0.0), took

    def law_holds(self, fault):
        """The prover on the design as it was proposed; asked once for each design."""
        if fault in CODE_FAULTS:
            fault = "NONE"  # a simulation of the design does not know the code
        if fault not in self.proofs:
            spec = {"name": "tiling", "asserts": "any tiling in any order gives the state of the three-pass softmax", "seed": "ab",
                    "sim": ["python3", os.path.join(ROOT, "invariants", "softmax_tiling.py")] + ([] if fault == "NONE" else ["--mutant", fault]),
                    "cases": [["n", {"int": [1, 5]}], ["tile", {"int": [1, 6]}], ["s", {"list": {"grid": [0, 2, -1, "-inf"]}, "len": "n"}], ["order", {"perm": "n"}]],
                    "scope": {"exhaustive": 3, "random": 200}, "mutants": os.path.join(ROOT, "invariants", "softmax_tiling.mutants")}
            path, out = os.path.join(self.folder, "law.json"), os.path.join(self.folder, "proof.json")
            with open(path, "w") as file:
                json.dump(spec, file)
            begin = os.times()
            subprocess.run([os.path.join(BIN, "spak-prove"), path, "--out", out], stderr=subprocess.DEVNULL)
            end = os.times()
            with open(out) as file:
                holds = json.load(file)["status"] == "verified"
            self.proofs[fault] = holds, end.children_user + end.children_system - begin.children_user - begin.children_system
            return self.proofs[fault]
        return self.proofs[fault][0], 0.0


def propose(author, guide):
    """A design, what is wrong with it, and a value for its freedom."""
    form = FOLD if guide else author.choice([FOLD, THREE_PASSES, SEARCHING])
    draw = author.random()
    fault = author.choice(DESIGN_FAULTS) if draw < 0.5 else author.choice(CODE_FAULTS) if draw < 0.65 else "NONE"
    return form, fault, author.choice(TILES)


def run(bench, gate, guide, tuning, seed, proposals):
    author = random.Random(seed)
    found = {"proposals": None, "tries": None, "device_s": 0.0, "wasted_s": 0.0, "gate_s": 0.0, "best": 0.0, "let": 0, "wrong": False}
    tries = 0
    for number in range(1, proposals + 1):
        form, fault, tile = propose(author, guide)
        if gate:
            holds, took = bench.law_holds(fault)
            found["gate_s"] += took
            if not holds:
                continue
        tries += 1
        name, object = bench.candidate(form, fault, tile)
        right, took = bench.check(name, object)
        found["device_s"] += took
        if not right:
            found["wasted_s"] += took
            continue
        found["let"] += fault != "NONE"  # right where it was tried, by luck
        if found["tries"] is None and fault == "NONE":
            found["proposals"], found["tries"] = number, tries
        for value in TILES if tuning and form == FOLD else [tile]:
            name, object = bench.candidate(form, fault, value)
            rate, took = bench.rate(name, object)
            found["device_s"] += took
            if rate > found["best"]:
                found["best"], found["wrong"] = rate, fault != "NONE"
    return found


def mean(runs, key):
    values = [run[key] for run in runs if run[key] is not None]
    return sum(values) / len(values) if values else float("nan")


def row(gate, guide, tuning, runs):
    best = [run["best"] for run in runs if run["best"] > 0]
    middle = statistics.median(best) if best else float("nan")
    spread = (statistics.pstdev(best) / statistics.mean(best) * 100) if best else float("nan")
    word = {True: "on", False: "off"}
    return "| %-4s | %-5s | %-6s | %9.1f | %12.1f | %8.2f | %6.2f | %6.2f | %7.2f | %6.0f %% | %4d | %5s |" % (
        word[gate], word[guide], word[tuning], mean(runs, "proposals"), mean(runs, "tries"), mean(runs, "device_s"), mean(runs, "wasted_s"), mean(runs, "gate_s"),
        middle, spread, sum(run["let"] for run in runs), "%d/%d" % (sum(run["wrong"] for run in runs), len(best)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--proposals", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print("%d runs of %d proposals each; proposals and device tries to the first correct candidate, device and gate seconds a run, the best rate,\nhow much it scatters from run to run; let: faulty candidates that passed the check; final: runs whose best candidate was one" % (given.runs, given.proposals))
    print("| gate | guide | tuning | proposals | device tries | device s | wasted | gate s | GFLOP/s | std dev  | let  | final |")
    print("| ---- | ----- | ------ | --------- | ------------ | -------- | ------ | ------ | ------- | -------- | ---- | ----- |")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder)
        for gate, guide, tuning in itertools.product([False, True], repeat=3):
            bench.proofs = {}
            runs = [run(bench, gate, guide, tuning, given.seed + number, given.proposals) for number in range(given.runs)]
            print(row(gate, guide, tuning, runs), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
