#!/usr/bin/env python3
"""Times build tools on the same graph, one after the other in every round, and prints medians and ratios.

usage: bench.py [OPTION]...
  --spak FILE        the spak to time (out/bin/spak)
  -n N,N,...         sizes of the graph (1000,10000)
  --cases C,C,...    full noop touch leaf header (all of them)
  --tools T,T,...    spak spak-sandbox spak-watch ninja samu make tup bam stat (all that are here)
  --rounds R         how often each is timed (5); a full build once
  -j JOBS            commands at once (the number of cores)
  --dir FOLDER       where the graphs are made, and found again the next time (out/bench/scale)
  --plot FILE.svg    the growth of every case over N, drawn by gnuplot

The tools work on copies of their own. `stat` is a program that only stats every file of the graph, on as many
threads as there are cores; `spak-watch` has `spak watch` running beside it. A tool that is not here, or cannot
build the graph, is left out with a line that says so. Nothing is judged: a person reads the table.
"""
import argparse
import glob
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import generate

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
CASES = ["full", "noop", "touch", "leaf", "header"]


class Tool:
    """A build tool in a folder of its own."""

    def __init__(self, name, graph, command, made):
        self.name, self.graph, self.command, self.made = name, graph, command, made
        self.beside = None  # what runs beside it, before it is timed

    def here(self):
        return shutil.which(self.command[0]) is not None


def all_tools(spak, jobs):
    j = f"-j{jobs}"
    build = [spak, "build", "-q", "--no-trace", j]
    watched = Tool("spak-watch", "spak", build + ["--no-sandbox"], ["out"])
    watched.beside = [spak, "watch"]
    return [
        Tool("spak", "spak", build + ["--no-sandbox"], ["out"]),
        Tool("spak-sandbox", "spak", build, ["out"]),
        watched,
        Tool("ninja", "ninja", ["ninja", j, "--quiet"], ["out", ".ninja_log", ".ninja_deps"]),
        Tool("samu", "ninja", ["samu", j], ["out", ".ninja_log", ".ninja_deps"]),
        Tool("make", "make", ["make", "-rRs", j], ["out"]),
        Tool("tup", "tup", ["tup", "--quiet", j], ["out", ".tup"]),
        Tool("bam", "bam", ["bam", "-j", str(jobs)], ["out", ".bam"]),
    ]


def clean(tool, n, folder):
    # Nothing is removed before the end: ext4 does not use the inode of a removed file again for minutes, and
    # who makes files beside many such ones pays for it.
    trash = tempfile.mkdtemp(prefix="trash-", dir=os.path.dirname(folder))
    for path in tool.made:
        if os.path.exists(os.path.join(folder, path)):
            os.rename(os.path.join(folder, path), os.path.join(trash, path))
    for target, _ in generate.edges(n):
        os.makedirs(os.path.join(folder, os.path.dirname(target)), exist_ok=True)
    if tool.name == "tup":
        subprocess.run(["tup", "init"], cwd=folder, check=False, capture_output=True)


def edit(case, n, folder, round_number):
    """What somebody did before the build that is timed."""
    leaf = os.path.join(folder, generate.source(n // 2))
    if case == "touch":
        os.utime(leaf)
    elif case in ("leaf", "header"):
        path = leaf if case == "leaf" else os.path.join(folder, generate.header(0))
        with open(path, "a", encoding="ascii") as out:
            out.write(f"{case} {round_number} {time.time_ns()}\n")


class Bench:
    def __init__(self, options):
        self.o = options
        self.dir = os.path.abspath(options.dir)
        self.seconds = {}  # (n, case, tool) to a list
        self.cpu = {}
        self.memory = {}

    def program(self, name, *flags):
        path = os.path.join(self.dir, name)
        source = os.path.join(HERE, name + ".c")
        if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source):
            os.makedirs(self.dir, exist_ok=True)
            subprocess.run(["cc", "-O2", "-o", path, source, *flags], check=True)
        return path

    def timed(self, command, folder):
        """Seconds, those of processors, and the most memory, in MB; None where it fails."""
        run = subprocess.run([self.program("timed", "-static"), *command], cwd=folder, capture_output=True, text=True, check=False)
        status, ns, cpu_ns, kib = [int(word) for word in run.stdout.split()] if run.returncode == 0 else (run.returncode, 0, 0, 0)
        if status:
            print(f"# {' '.join(command)}: exit {status}: {run.stderr[-300:].strip()}", flush=True)
            return None
        return ns / 1e9, cpu_ns / 1e9, kib / 1024

    def folder(self, tool, n):
        path = os.path.join(self.dir, str(n), tool.name)
        if not os.path.exists(os.path.join(path, "step")):
            shutil.rmtree(path, ignore_errors=True)
            os.makedirs(path)
            generate.generate(n, path, tool.graph, self.program("step", "-static"))
        return path

    def add(self, n, case, name, result):
        if result:
            self.seconds.setdefault((n, case, name), []).append(result[0])
            self.cpu.setdefault((n, case, name), []).append(result[1])
            self.memory[(n, case, name)] = max(result[2], self.memory.get((n, case, name), 0))

    def prepare(self, tool, n):
        """Builds from nothing, which is the case `full`; False where that fails."""
        folder = self.folder(tool, n)
        if "full" in self.o.cases or not os.path.exists(os.path.join(folder, "out/final")):
            clean(tool, n, folder)
            full = self.timed(tool.command, folder)
            if not full:
                return False
            if tool.beside is None:
                self.add(n, "full", tool.name, full)
        return self.timed(tool.command, folder) is not None

    def stat(self, n, list_file):
        if not os.path.exists(list_file):
            with open(list_file, "w", encoding="ascii") as out:
                out.write("\n".join(generate.sources(n) + [t for t, _ in generate.edges(n)]) + "\n")
        return self.timed([self.program("stats", "-pthread"), list_file, str(self.o.jobs)], os.path.join(self.dir, str(n), "spak"))

    def size(self, n):
        tools = [t for t in all_tools(self.o.spak, self.o.jobs) if t.name in self.o.tools]
        for tool in tools[:]:
            if not tool.here():
                print(f"# {tool.command[0]} is not on this machine: left out", flush=True)
            if not tool.here() or not self.prepare(tool, n):
                tools.remove(tool)
        beside = [subprocess.Popen(t.beside, cwd=self.folder(t, n), stderr=subprocess.DEVNULL) for t in tools if t.beside]
        time.sleep(2 if beside else 0)
        try:
            for case in [c for c in self.o.cases if c != "full"]:
                for number in range(self.o.rounds):
                    self.round(n, case, number, tools)
        finally:
            for process in beside:
                process.terminate()
                process.wait()

    def round(self, n, case, number, tools):
        for tool in tools:
            edit(case, n, self.folder(tool, n), number)
        time.sleep(0.05)  # an edit that somebody made by hand is never younger
        for tool in tools:
            self.add(n, case, tool.name, self.timed(tool.command, self.folder(tool, n)))
        if case == "noop" and "stat" in self.o.tools and any(t.name == "spak" for t in tools):
            self.add(n, case, "stat", self.stat(n, os.path.join(self.dir, str(n), "list")))

    def table(self, size):
        print(f"{'N':>8} {'case':7} {'tool':13} {'median s':>9} {'least':>8} {'cpu s':>8} {'MB':>7}  ninja/tool  by least  by cpu")
        for key, all_seconds in sorted(self.seconds.items(), key=lambda item: CASES.index(item[0][1])):
            n, case, name = key
            if n != size:
                continue
            ninja = (n, case, "ninja")
            ratios = ""
            if ninja in self.seconds:
                pairs = [(statistics.median, self.seconds), (min, self.seconds), (min, self.cpu)]
                ratios = " ".join(f"{of(table[ninja]) / max(of(table[key]), 1e-6):9.2f}x" for of, table in pairs)
            print(f"{n:8} {case:7} {name:13} {statistics.median(all_seconds):9.4f} {min(all_seconds):8.4f} "
                  f"{min(self.cpu[key]):8.4f} {self.memory[key]:7.1f} {ratios}", flush=True)

    def plot(self, path):
        """A picture for each case: seconds over N, both logarithmic."""
        lines = ["set terminal svg size 900,640 font 'sans,12'", f"set output '{path}'", "set logscale xy", "set key left top",
                 "set xlabel 'nodes'", "set ylabel 'seconds'", "set grid", f"set multiplot layout {-(-len(self.o.cases) // 2)},2"]
        for case in self.o.cases:
            names = sorted({k[2] for k in self.seconds if k[1] == case})
            if not names:
                continue
            lines.append(f"set title '{case}'")
            lines.append("plot " + ", ".join(f"'-' with linespoints title '{name}'" for name in names))
            for name in names:
                lines += [f"{k[0]} {statistics.median(v)}" for k, v in sorted(self.seconds.items()) if k[1:] == (case, name)] + ["e"]
        subprocess.run(["gnuplot"], input="\n".join(lines) + "\n", text=True, check=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__[__doc__.index("usage: ") + 7:])
    parser.add_argument("--spak", default=os.path.join(TOP, "out/bin/spak"))
    parser.add_argument("-n", default="1000,10000")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--tools", default="spak,spak-sandbox,spak-watch,ninja,samu,make,tup,bam,stat")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-j", dest="jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dir", default=os.path.join(TOP, "out/bench/scale"))
    parser.add_argument("--plot")
    options = parser.parse_args()
    options.cases = [c for c in CASES if c in options.cases.split(",")]
    options.tools = options.tools.split(",")
    options.spak = os.path.abspath(options.spak)
    bench = Bench(options)
    for n in [int(n) for n in options.n.split(",")]:
        bench.size(n)
        bench.table(n)
    for n in options.n.split(","):
        for trash in glob.glob(os.path.join(bench.dir, n, "trash-*")):
            shutil.rmtree(trash)
    if options.plot and shutil.which("gnuplot"):
        bench.plot(options.plot)
    elif options.plot:
        print("# gnuplot is not on this machine: no picture")


if __name__ == "__main__":
    sys.exit(main())
