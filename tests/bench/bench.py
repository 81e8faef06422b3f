#!/usr/bin/env python3
"""Times build tools on the same graph, one after the other in every round, and prints medians and ratios.

usage: bench.py [OPTION]...
  --all              the whole table: 1k, 10k, 100k and 1M nodes, hashing, table and picture in the folder
  --spak FILE        the spak to time (out/bin/spak)
  -n N,N,...         sizes of the graph (1000,10000); from 1,000,000 on nothing but the no-op and the description
  --cases C,C,...    full noop touch leaf header parse (all of them)
  --tools T,T,...    spak spak-sandbox spak-watch ninja samu make tup bam stat floor lua (all that are here)
  --rounds R         how often each is timed (5, a million nodes 3); a full build once
  -j JOBS            commands at once (the number of cores)
  --dir FOLDER       where the graphs are made, and found again the next time (out/bench/scale)
  --hash             also how fast sources are hashed, beside the digest library alone
  --table FILE.md    all of it as a table in Markdown
  --plot FILE.svg    the growth of every case over N, drawn by gnuplot

The tools work on copies of their own. `stat` is a program that only stats every file of the graph, on as many
threads as there are cores, `floor` one that only runs the commands; `spak-watch` has `spak watch` running beside
it. `parse` is what a description costs that nobody has read yet: spak evaluates and freezes it, ninja parses its own,
`lua` is plain Lua over the same spakfile with a `node` that does nothing. A tool that is not here, or cannot build the graph, is left out with a line that says so. Nothing is judged: a
person reads the table.
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
import report

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
CASES = ["full", "noop", "touch", "leaf", "header", "parse"]
TOOLS = ["spak", "spak-sandbox", "spak-watch", "ninja", "samu", "make", "tup", "bam", "stat", "floor", "lua"]
GIANT = 1_000_000
HASHED_FILES, HASHED_BYTES = 128, 8 << 20


class Tool:
    """A build tool in a folder of its own."""

    def __init__(self, name, graph, command, made, most=GIANT - 1):
        self.name, self.graph, self.command, self.made, self.most = name, graph, command, made, most
        self.beside = None  # what runs beside it, before it is timed
        self.parse = None  # reads its description and does no more

    def here(self):
        return shutil.which(self.command[0]) is not None


def all_tools(spak, jobs):
    j = f"-j{jobs}"
    build = [spak, "build", "-q", "--no-trace", j]
    watched = Tool("spak-watch", "spak", build + ["--no-sandbox"], ["out"])
    watched.beside = [spak, "watch"]
    plain = Tool("spak", "spak", build + ["--no-sandbox"], ["out"], GIANT)
    plain.parse = [spak, "targets"]
    ninja = Tool("ninja", "ninja", ["ninja", j, "--quiet"], ["out", ".ninja_log", ".ninja_deps"], GIANT)
    ninja.parse = ["ninja", "-t", "rules"]
    return [
        plain,
        Tool("spak-sandbox", "spak", build, ["out"]),
        watched,
        ninja,
        Tool("samu", "ninja", ["samu", j], ["out", ".ninja_log", ".ninja_deps"]),
        Tool("make", "make", ["make", "-rRs", j], ["out"], GIANT),
        Tool("tup", "tup", ["tup", "--quiet", j], ["out", ".tup"], 10_000),
        Tool("bam", "bam", ["bam", "-j", str(jobs)], ["out", ".bam"]),
    ]


def clean(tool, n, folder):
    # Nothing is removed before the end: ext4 does not use the inode of a removed file again for minutes, and
    # who makes files beside many such ones pays for it.
    trash = tempfile.mkdtemp(prefix="trash-", dir=os.path.dirname(folder))
    for path in tool.made:
        if os.path.exists(os.path.join(folder, path)):
            os.rename(os.path.join(folder, path), os.path.join(trash, path))
    generate.make_folders(folder, (target for target, _ in generate.edges(n)))
    if tool.name == "tup":
        subprocess.run(["tup", "init"], cwd=folder, check=False, capture_output=True)


def warm(n, folder):
    """Reads what the commands will: some machines give back within a minute what nobody reads."""
    for path in generate.sources(n) + ["step"]:
        with open(os.path.join(folder, path), "rb") as source:
            source.read()


def edit(case, n, folder, round_number):
    """What somebody did before the build that is timed."""
    leaf = os.path.join(folder, generate.source(n // 2))
    frozen = os.path.join(folder, "out/.spak/graph")
    if case == "parse" and os.path.exists(frozen):
        os.remove(frozen)
    elif case == "touch":
        os.utime(leaf)
    elif case in ("leaf", "header"):
        path = leaf if case == "leaf" else os.path.join(folder, generate.header(0))
        with open(path, "a", encoding="ascii") as out:
            out.write(f"{case} {round_number} {time.time_ns()}\n")


def write_lines(path, lines):
    if not os.path.exists(path):
        with open(path, "w", encoding="ascii") as out:
            out.writelines(line + "\n" for line in lines)


def commands(n):
    return (f"./step {target} {' '.join(inputs)}" for target, inputs in generate.edges(n))


class Bench:
    def __init__(self, options):
        self.o = options
        self.dir = os.path.abspath(options.dir)
        self.results = report.Results()

    def program(self, name, *flags, source=None):
        path = os.path.join(self.dir, name)
        source = os.path.join(HERE, (source or name) + ".c")
        if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source):
            os.makedirs(self.dir, exist_ok=True)
            subprocess.run(["cc", "-O2", "-o", path, source, *flags], check=True)
        return path

    def step(self, n):
        if n < GIANT or os.uname().machine != "x86_64":
            return self.program("step", "-static")
        return self.program("bare", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-DBARE", source="step")

    def timed(self, command, folder):
        """Seconds, those of processors, and the most memory, in MB; None where it fails."""
        run = subprocess.run([self.program("timed", "-static"), *command], cwd=folder, capture_output=True, text=True, check=False)
        status, ns, cpu_ns, kib = [int(word) for word in run.stdout.split()] if run.returncode == 0 else (run.returncode, 0, 0, 0)
        if status:
            print(f"# {' '.join(command)}: exit {status}: {run.stderr[-300:].strip()}", flush=True)
            return None
        return ns / 1e9, cpu_ns / 1e9, kib / 1024

    def folder(self, tool, n):
        """A million nodes are made once, for all tools."""
        path = os.path.join(self.dir, str(n), tool.name if n < GIANT else "all")
        if not os.path.exists(os.path.join(path, "step")):
            shutil.rmtree(path, ignore_errors=True)
            os.makedirs(path)
            graphs = [tool.graph] if n < GIANT else ["spak", "ninja", "make"]
            generate.generate(n, path, graphs, self.step(n))
        return path

    def prepare(self, tool, n):
        """Builds from nothing, which is the case `full`; False where that fails."""
        folder = self.folder(tool, n)
        if n >= GIANT:
            return self.prepare_giant(tool, n, folder)
        if "full" in self.o.cases or not os.path.exists(os.path.join(folder, "out/final")):
            if tool.beside is None:
                clean(tool, n, folder)
                warm(n, folder)
                full = self.timed(tool.command, folder)
                if not full:
                    return False
                self.results.add(n, "full", tool.name, full)
            elif self.timed(tool.command, folder) is None:
                return False
        return self.timed(tool.command, folder) is not None

    def prepare_giant(self, tool, n, folder):
        """spak builds, ninja gets the log of who built, make needs none."""
        if not os.path.exists(os.path.join(folder, "out/final")):
            spak = all_tools(self.o.spak, self.o.jobs)[0]
            if self.timed(spak.command, folder) is None:
                return False
        if tool.name == "ninja" and not os.path.exists(os.path.join(folder, ".ninja_log")):
            with open(os.path.join(folder, ".ninja_log"), "w", encoding="ascii") as log, \
                 subprocess.Popen([self.program("forge")], cwd=folder, stdin=subprocess.PIPE, stdout=log, text=True) as forge:
                forge.stdin.writelines(command + "\n" for command in commands(n))
        if tool.name == "ninja":  # another version may keep another log, and would build everything
            return "no work to do" in subprocess.run(["ninja", "-n"], cwd=folder, capture_output=True, text=True, check=False).stdout
        return self.timed(tool.command, folder) is not None

    def stat(self, n, spak):
        names = os.path.join(self.dir, str(n), "list")
        write_lines(names, generate.sources(n) + [t for t, _ in generate.edges(n)])
        return self.timed([self.program("stats", "-pthread"), names, str(self.o.jobs)], self.folder(spak, n))

    def floor(self, n):
        """Only the commands; the last waits for the others."""
        folder = self.folder(Tool("floor", "make", [], ["out"]), n)
        clean(Tool("floor", "make", [], ["out"]), n, folder)
        warm(n, folder)
        *most, final = commands(n)
        write_lines(os.path.join(folder, "list"), most + ["", final])
        self.results.add(n, "full", "floor", self.timed([self.program("floor"), "list", str(self.o.jobs)], folder))

    def lua(self, n, spak):
        """The language alone: what a node is declared with is made, and thrown away."""
        stub = os.path.join(self.dir, "stub.lua")
        write_lines(stub, ["node = function() end", "target = function() return node end", 'dofile "spakfile"'])
        return self.timed(["lua5.4", stub], self.folder(spak, n))

    def size(self, n):
        tools = [t for t in all_tools(self.o.spak, self.o.jobs) if t.name in self.o.tools and n <= t.most]
        for tool in tools[:]:
            begin = time.time()
            if not tool.here():
                print(f"# {tool.command[0]} is not on this machine: left out", flush=True)
            if not tool.here() or not self.prepare(tool, n):
                tools.remove(tool)
            print(f"# {n} nodes, {tool.name}: {time.time() - begin:.0f} s to prepare", flush=True)
        if "floor" in self.o.tools and "full" in self.o.cases and n < GIANT:
            self.floor(n)
        beside = [subprocess.Popen(t.beside, cwd=self.folder(t, n), stderr=subprocess.DEVNULL) for t in tools if t.beside]
        time.sleep(2 if beside else 0)
        try:
            for case in [c for c in self.o.cases if c != "full" and (n < GIANT or c in ("noop", "parse"))]:
                for number in range(self.o.rounds if n < GIANT else min(3, self.o.rounds)):
                    self.round(n, case, number, tools)
        finally:
            for process in beside:
                process.terminate()
                process.wait()

    def round(self, n, case, number, tools):
        tools = [tool for tool in tools if case != "parse" or tool.parse]
        for tool in tools:
            edit(case, n, self.folder(tool, n), number)
        time.sleep(0.05)  # an edit that somebody made by hand is never younger
        for tool in tools:
            command = tool.parse if case == "parse" else tool.command
            self.results.add(n, case, tool.name, self.timed(command, self.folder(tool, n)))
        beside = {"noop": ("stat", self.stat), "parse": ("lua", self.lua)}.get(case)
        if beside and beside[0] in self.o.tools and any(t.name == "spak" for t in tools):
            self.results.add(n, case, beside[0], beside[1](n, tools[0]))

    def hashing(self):
        """How many bytes a second the planning of a node hashes that has them for inputs."""
        folder = os.path.join(self.dir, "hash")
        names = [f"in/{i}" for i in range(HASHED_FILES)]
        if not os.path.exists(os.path.join(folder, "list")):
            generate.make_folders(folder, names)
            for name in names:
                with open(os.path.join(folder, name), "wb") as out:
                    out.write(os.urandom(HASHED_BYTES))
            write_lines(os.path.join(folder, "spakfile"), ['node { "out/all", inputs = glob "in/*", run = { "true" } }'])
            write_lines(os.path.join(folder, "list"), names)
            time.sleep(0.1)
        for _ in range(self.o.rounds):
            shutil.rmtree(os.path.join(folder, "out"), ignore_errors=True)
            library = self.program("hashes", "-pthread", "-lcrypto")
            self.results.add(HASHED_FILES, "hash", "library", self.timed([library, "list", str(self.o.jobs)], folder))
            self.results.add(HASHED_FILES, "hash", "spak", self.timed([self.o.spak, "plan", "out/all"], folder))
        self.results.print_hashing(HASHED_FILES * HASHED_BYTES)


def main():
    parser = argparse.ArgumentParser(usage=__doc__[__doc__.index("usage: ") + 7:])
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--spak", default=os.path.join(TOP, "out/bin/spak"))
    parser.add_argument("-n", default="1000,10000")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-j", dest="jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dir", default=os.path.join(TOP, "out/bench/scale"))
    parser.add_argument("--hash", action="store_true")
    parser.add_argument("--table")
    parser.add_argument("--plot")
    options = parser.parse_args()
    if options.all:
        options.n, options.hash = "1000,10000,100000,1000000", True
        options.table, options.plot = os.path.join(options.dir, "table.md"), os.path.join(options.dir, "growth.svg")
    options.cases = [c for c in CASES if c in options.cases.split(",")]
    options.tools = options.tools.split(",")
    options.spak = os.path.abspath(options.spak)
    bench, begin = Bench(options), time.time()
    if options.hash:
        bench.hashing()
    for n in [int(n) for n in options.n.split(",") if n]:
        bench.size(n)
        bench.results.print_table(n)
        print(f"# {n} nodes: {time.time() - begin:.0f} s since the beginning", flush=True)
        if options.table:
            bench.results.write_markdown(options.table, HASHED_FILES * HASHED_BYTES)
    if options.plot and shutil.which("gnuplot"):
        bench.results.plot(options.plot)
    elif options.plot:
        print("# gnuplot is not on this machine: no picture")
    for n in options.n.split(","):
        for trash in glob.glob(os.path.join(bench.dir, n, "trash-*")):
            shutil.rmtree(trash)


if __name__ == "__main__":
    sys.exit(main())
