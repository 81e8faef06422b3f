#!/usr/bin/env python3
"""Holds the sources of the engine to the table of src/README.md.

usage: layers.py src/README.md FILE...      (FILE: every .c and .h under src/)

The table gives each module a layer; a module includes only modules of lower layers. A file belongs to the
module with the longest name that is its own up to the end or an underscore. Programs under src/runner
include the engine's lower layers but no other program's headers, and the engine never includes theirs.
Foreign headers stay with the modules that own them, and conditional compilation with os.
"""
import posixpath
import re
import sys

FOREIGN = {  # header: the modules that may include it
    "lua.h": {"script", "bind", "luajson", "runner/lua"},
    "lauxlib.h": {"script", "bind", "luajson", "runner/lua"},
    "lualib.h": {"script", "bind", "runner/lua"},
    "git2.h": {"trace"},
    "zlib.h": {"store"},
    "lmdb.h": {"store"},
    "openssl/": {"hash", "sign"},
    "jansson.h": {"json"},
    "cuda": {"runner/gpu"},
    "nvrtc": {"runner/gpu"},
}
CONDITIONAL = {"os", "sandbox"}  # kernels and C libraries differ; the rest of the engine does not
SHARED_BY_RUNNERS = {"runner/candidate", "runner/study"}
RUNNER_MAY_INCLUDE_BELOW = 4  # and what the engine and spak-lua share:
RUNNER_MAY_ALSO_INCLUDE = {"luajson", "guide"}


def read_table(path):
    layers = {}
    for line in open(path, encoding="utf-8"):
        row = re.match(r"\|\s*(\d+)\s*\|\s*([^|]+?)\s*\|", line)
        if row:
            for name in re.split(r",\s*", row.group(2)):
                layers["cmd" if name.startswith("cmd/") else name] = int(row.group(1))
    return layers


def module_of(path, layers):
    """The module that a file under src/ belongs to, None when the table has none for it."""
    inner = path.split("src/", 1)[1] if "src/" in path else path
    if inner.startswith("cmd/"):
        return "cmd"
    if inner.startswith("runner/"):
        stem = re.sub(r"\.[ch]$", "", inner[len("runner/"):])
        return "runner/" + re.split(r"[/_]", stem)[0]
    stem = re.sub(r"\.[ch]$", "", inner)
    owners = [m for m in layers if stem == m or stem.startswith(m + "_")]
    return max(owners, key=len, default=None)


def verbs_of(files):
    """The files of src/cmd that define a verb; the others there are what verbs share."""
    return {re.sub(r".*/(\w+)\.c$", r"\1", path) for path in files
            if "/cmd/" in path and path.endswith(".c")
            and re.search(r"^const struct cmd cmd_", open(path, encoding="utf-8").read(), re.M)}


class Judge:
    def __init__(self, layers, files):
        self.layers = layers
        self.files = set(files)
        self.verbs = verbs_of(files)
        self.faults = []

    def fault(self, path, line, text):
        self.faults.append(f"{path}:{line}: {text}")

    def own_include(self, path, line, module, header):
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(path), header))
        target = beside if beside in self.files else "src/" + header.replace("../", "")
        theirs = module_of(target, self.layers)
        if theirs is None:
            self.fault(path, line, f'"{header}" belongs to no module of the table')
        elif theirs == module:
            verb = posixpath.basename(header)[:-2]
            if module == "cmd" and verb in self.verbs and not path.endswith(f"/{verb}.c"):
                self.fault(path, line, f'verbs do not know each other: "{header}"')
        elif theirs.startswith("runner/"):
            if theirs not in SHARED_BY_RUNNERS or not module.startswith("runner/"):
                self.fault(path, line, f'{module} must not include a program\'s header "{header}"')
        elif module.startswith("runner/"):
            if (self.layers[theirs] >= RUNNER_MAY_INCLUDE_BELOW
                    and theirs not in RUNNER_MAY_ALSO_INCLUDE):
                self.fault(path, line, f"a program under src/runner must not include {theirs}"
                                       f" (layer {self.layers[theirs]})")
        elif self.layers[theirs] >= self.layers[module]:
            self.fault(path, line, f"{module} (layer {self.layers[module]}) must not include"
                                   f" {theirs} (layer {self.layers[theirs]})")

    def foreign_include(self, path, line, module, header):
        for name, owners in FOREIGN.items():
            if header.startswith(name) and module not in owners:
                self.fault(path, line, f"<{header}> belongs to {', '.join(sorted(owners))},"
                                       f" not to {module}")

    def conditional(self, path, line, module, text):
        guard = re.match(r"#ifndef SPAK_\w+_H$", text)
        if not guard and module not in CONDITIONAL and not module.startswith("runner/"):
            self.fault(path, line, f"conditional compilation outside os: {text}")

    def file(self, path):
        module = module_of(path, self.layers)
        if module is None:
            self.fault(path, 1, "no module of the table owns this file")
            return
        for number, text in enumerate(open(path, encoding="utf-8"), 1):
            own = re.match(r'\s*#\s*include\s+"([^"]+)"', text)
            foreign = re.match(r"\s*#\s*include\s+<([^>]+)>", text)
            if own and own.group(1).endswith(".h"):
                self.own_include(path, number, module, own.group(1))
            elif foreign:
                self.foreign_include(path, number, module, foreign.group(1))
            elif re.match(r"#\s*if", text):
                self.conditional(path, number, module, text.strip())


def main(table, files):
    layers = read_table(table)
    if len(layers) < 10:
        sys.exit(f"{table}: found only {len(layers)} modules; has the table moved?")
    judge = Judge(layers, files)
    for path in files:
        judge.file(path)
    print("\n".join(judge.faults) or f"{len(files)} files keep to {len(layers)} modules")
    return 1 if judge.faults else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
