#!/usr/bin/env python3
"""Writes one graph for several build tools: N sources, N objects that read 10 of N/10 headers each, N/100 links, one final.

usage: generate.py N FOLDER TOOL STEP

TOOL is spak, ninja, make, tup or bam (samurai reads ninja's file). STEP is the program that every command runs:
STEP OUT IN... Header 0 is read by every hundredth object, so it reaches 1 % of them.
"""
import os
import sys

READS = 10    # headers an object
MEMBERS = 100 # objects a link


def headers_of(i, count):
    """Of object i: the same numbers that the spakfile below computes."""
    ids = [1 + (i * 7 + k * 31) % (count - 1) for k in range(READS)]
    if i % 100 == 0:
        ids[0] = 0
    return ids


def source(i):
    return f"src/d{i // 100}/s{i}.c"


def header(i):
    return f"include/d{i // 100}/h{i}.h"


def made(i):
    return f"out/d{i // 100}/s{i}.o"


def link(i):
    return f"out/lib/l{i}.a"


def edges(n):
    """(output, inputs) of every command."""
    count = max(n // 10, 2)
    for i in range(n):
        yield made(i), [source(i)] + [header(h) for h in headers_of(i, count)]
    links = -(-n // MEMBERS)
    for i in range(links):
        yield link(i), [made(k) for k in range(i * MEMBERS, min((i + 1) * MEMBERS, n))]
    yield "out/final", [link(i) for i in range(links)]


def sources(n):
    return [source(i) for i in range(n)] + [header(i) for i in range(max(n // 10, 2))]


SPAKFILE = """local n, headers = {n}, {headers}
local min = math.min
local header = {{}}
for h = 0, headers - 1 do
  header[h] = ("include/d%d/h%d.h"):format(h // 100, h)
end
for i = 0, n - 1 do
  local object, inputs = ("out/d%d/s%d.o"):format(i // 100, i), {{ ("src/d%d/s%d.c"):format(i // 100, i) }}
  for k = 0, 9 do
    local h = 1 + (i * 7 + k * 31) % (headers - 1)
    h = k == 0 and i % 100 == 0 and 0 or h
    inputs[k + 2] = header[h]
  end
  node {{ object, inputs = inputs, run = {{ "./step", object, inputs }} }}
end
local links = {{}}
for i = 0, (n - 1) // 100 do
  local members = {{}}
  for k = i * 100, min(i * 100 + 99, n - 1) do
    members[#members + 1] = ("out/d%d/s%d.o"):format(k // 100, k)
  end
  links[i + 1] = ("out/lib/l%d.a"):format(i)
  node {{ links[i + 1], inputs = members, run = {{ "./step", links[i + 1], members }} }}
end
node {{ "out/final", inputs = links, run = {{ "./step", "out/final", links }} }}
target "all" {{ "out/final", default = true }}
"""


def write_spak(n, out):
    out.write(SPAKFILE.format(n=n, headers=max(n // 10, 2)))


def write_ninja(n, out):
    out.write("rule step\n  command = ./step $out $in\n")
    for target, inputs in edges(n):
        out.write(f"build {target}: step {' '.join(inputs)}\n")


def write_make(n, out):
    out.write("all: out/final\n")
    for target, inputs in edges(n):
        out.write(f"{target}: {' '.join(inputs)}\n\t./step $@ $^\n")


def write_tup(n, out):
    for target, inputs in edges(n):
        out.write(f": {' '.join(inputs)} |> ./step %o %f |> {target}\n")


def write_bam(n, out):
    for target, inputs in edges(n):
        out.write(f'AddJob("{target}", "", "./step {target} {" ".join(inputs)}")\n')
        for path in inputs:
            out.write(f'AddDependency("{target}", "{path}")\n')
    out.write('DefaultTarget("out/final")\n')


WRITERS = {
    "spak": ("spakfile", write_spak),
    "ninja": ("build.ninja", write_ninja),
    "make": ("Makefile", write_make),
    "tup": ("Tupfile", write_tup),
    "bam": ("bam.lua", write_bam),
}


def make_folders(folder, paths):
    for name in sorted({os.path.dirname(path) for path in paths}):
        os.makedirs(os.path.join(folder, name), exist_ok=True)


def write_sources(n, folder):
    make_folders(folder, sources(n))
    for path in sources(n):
        with open(os.path.join(folder, path), "w", encoding="ascii") as out:
            out.write(f"{os.path.basename(path)}\n")


def write_description(n, folder, tool):
    name, writer = WRITERS[tool]
    with open(os.path.join(folder, name), "w", encoding="ascii") as out:
        writer(n, out)


def generate(n, folder, tools, step):
    write_sources(n, folder)
    make_folders(folder, (target for target, _ in edges(n)))
    for tool in tools:
        write_description(n, folder, tool)
    there = os.path.join(folder, "step")
    with open(step, "rb") as program, open(there, "wb") as out:
        out.write(program.read())
    os.chmod(there, 0o755)


if __name__ == "__main__":
    if len(sys.argv) != 5 or sys.argv[3] not in WRITERS:
        sys.exit(__doc__)
    generate(int(sys.argv[1]), sys.argv[2], [sys.argv[3]], sys.argv[4])
