#!/usr/bin/env python3
"""The top level of the project is closed: a new file or folder there needs a better home.

usage: top_level.py NAME...      (NAME: what stands at the top level)
"""
import sys

CLOSED = set("spakfile bootstrap.sh src lua rules kernels invariants out tests README.md LICENSE".split())
NEEDED = CLOSED - {"out"}


def main(names):
    strangers = sorted(n for n in names if n not in CLOSED and not n.startswith("."))
    missing = sorted(NEEDED - set(names))
    for name in strangers:
        print(f"{name}: the top level is closed; put it under {', '.join(sorted(CLOSED - {'out'}))}")
    for name in missing:
        print(f"{name}: missing from the top level")
    if not strangers and not missing:
        print(f"{len(names)} names, none of them new")
    return 1 if strangers or missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
