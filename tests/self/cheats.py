"""The table of cheats against what is there: every row of the list, every candidate, every test.

usage: cheats.py README.md scale.c scale.cu runner_gpu.sh SCRIPT...
"""
import re
import sys

table, cpu, gpu, gpu_script = (open(path).read() for path in sys.argv[1:5])
scripts = {re.search(r"([^/]+)\.sh$", path).group(1): open(path).read() for path in sys.argv[5:]}
faults = []
rows = re.findall(r"^\| (\w+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", table, re.M)
rows = [row for row in rows if row[0] != "id"]
ids = [row[0] for row in rows]
for number in range(1, 44):
    if ids.count("H%02d" % number) != 1:
        faults.append("row H%02d is there %d times" % (number, ids.count("H%02d" % number)))
known = {"cpu": set(re.findall(r"^#define ([A-Z_]+) \d+$", cpu, re.M)) | {"SWAPPED"}, "gpu": set(re.findall(r"\b([A-Z][A-Z_]+)\b", gpu))}
used = {"cpu": set(), "gpu": set()}
for id, _, _, tried in rows:
    for what in re.findall(r"`([^`]+)`", tried):
        kind, name, *rest = what.split()
        if kind in known:
            used[kind].add(name)
            if name not in known[kind]:
                faults.append("%s: there is no %s candidate %s" % (id, kind, name))
            if kind == "gpu" and not re.search(r"expect_%s %s (\d )?%s\b" % (rest[0], name, rest[1]), gpu_script):
                faults.append("%s: runner_gpu.sh does not expect %s to be %s" % (id, name, rest[1]))
        elif "\n%s()" % name not in scripts.get(kind, ""):
            faults.append("%s: there is no test %s in %s.sh" % (id, name, kind))
    if "`" not in tried and not re.match(r"- \w", tried):
        faults.append("%s: nothing tries it, and no reason is given" % id)
for name in sorted(known["cpu"] - used["cpu"] - {"HONEST"}):
    if name not in ("FILLS_OF_A_CHECK",):
        faults.append("no row names the candidate %s" % name)
print("\n".join(faults) or "%d rows, %d candidates" % (len(rows), len(used["cpu"]) + len(used["gpu"])))
sys.exit(bool(faults))
