#!/usr/bin/env python3
"""Refuses what must not be in the sources: marks of unfinished work, paths of somebody's machine, files
that are too long, tabs and trailing blanks.

usage: names.py FILE...
"""
import re
import sys

# Written with a class in each word, so that this file passes its own test.
FORBIDDEN = [
    (r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b", "a mark of unfinished work"),
    (r"(?<![\w.$}])/(wor[k]|User[s]|roo[t])/\w", "a path of somebody's machine"),
    (r"\bshare[d]/|\bDESIG[N]\.md|\bbrie[f]\.md|\bhelpe[r]s' ", "a document that is not here"),
    (r"(Licensed unde[r]|All rights reserve[d]|SPDX-Licens[e])", "a licence banner; LICENSE holds for all"),
    (r"[ \t]+$", "blanks at the end of the line"),
]
LONGEST = 700  # lines of a file that is no test


def faults(path):
    with open(path, encoding="utf-8") as text:
        lines = text.read().split("\n")
    if len(lines) > LONGEST + 1 and not path.startswith("tests/"):
        yield f"{path}:{LONGEST}: the file has {len(lines) - 1} lines, the limit is {LONGEST}"
    for number, line in enumerate(lines, 1):
        for pattern, what in FORBIDDEN:
            if re.search(pattern, line) and not path.endswith("/expected"):
                yield f"{path}:{number}: {what}: {line.strip()}"
        if "\t" in line and not path.endswith((".mutants", ".sh", "expected")):
            yield f"{path}:{number}: a tab"


def main(files):
    found = [fault for path in files for fault in faults(path)]
    print("\n".join(found) or f"{len(files)} files are clean")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if len(sys.argv) > 1 else __doc__)
