#!/bin/sh
# RO-Crates: what the profile asks for is there, what it names is there or named by its digest, and twice is the same.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

crated() {
    project - <<'END'
local greeting = param("greeting", "hello")
local sh = tool { name = "sh" }
node { "out/a b.txt", inputs = { "in:put" }, tools = "sh", env = { WHO = "ann" }, params = { greeting = greeting },
  run = { sh.path, "-c", 'cat in:put >"out/a b.txt"' } }
node { "out/c", inputs = { "out/a b.txt" }, run = { "cp", "out/a b.txt", "out/c" } }
node { dir "out/folder", inputs = { "in:put" }, run = { "cp", "in:put", "out/folder/file" } }
node { "out/text", write = "a text" }
node { "out/program", inputs = { "in:put" }, tools = "sh", run = { sh.path, "-c", "cp in:put out/program && chmod +x out/program" } }
target "x" { "out/c", "out/folder", "out/text", "out/program", default = true }
END
    put in:put one
    put LICENSE 'do as you like'
    put .gitignore /out/
    git add -A
    git -c user.name=Ann -c user.email=ann@example.org commit -qm one
    spak build -D greeting=hi
    assert_exit 0
}

# validate FOLDER: what RO-Crate 1.1 and the three run profiles demand of any crate.
validate() {
    python3 -S - "$1" <<'END' || fail 'the crate is not what the profile asks for'
import base64, hashlib, json, os, sys, urllib.parse
top = sys.argv[1]
text = open(f"{top}/ro-crate-metadata.json", encoding="utf-8").read()
crate = json.loads(text)
assert crate["@context"] == ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
graph = {}
for entity in crate["@graph"]:
    assert entity["@id"] not in graph, entity["@id"]
    assert entity["@type"], entity
    graph[entity["@id"]] = entity

def each(value):
    for one in value if isinstance(value, list) else [value]:
        yield one["@id"]
def kinds(entity):
    return entity["@type"] if isinstance(entity["@type"], list) else [entity["@type"]]
def of(kind):
    return [e for e in graph.values() if kind in kinds(e)]
def references(value):
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for key, inner in value.items():
            yield from references(inner) if key != "@id" else ()
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)

elsewhere = {"https://w3id.org/ro/crate/1.1", "http://schema.org/CompletedActionStatus", "http://schema.org/FailedActionStatus"}
for entity in graph.values():
    for there in references(entity):
        assert there in graph or there in elsewhere, (entity["@id"], there)

meta, root = graph["ro-crate-metadata.json"], graph["./"]
assert meta["@type"] == "CreativeWork" and meta["about"] == {"@id": "./"}
assert "https://w3id.org/ro/crate/1.1" in each(meta["conformsTo"])
assert root["@type"] == "Dataset" and root["name"] and root["description"] and root["datePublished"].endswith("Z")
profiles = set(each(root["conformsTo"]))
assert {f"https://w3id.org/ro/wfrun/{p}/0.5" for p in ("process", "workflow", "provenance")} <= profiles
for profile in profiles:
    assert graph[profile]["@type"] == "CreativeWork" and graph[profile]["version"]

parts = set(each(root["hasPart"]))
for entity in of("File") + [d for d in of("Dataset") if d is not root]:
    name = entity["@id"]
    assert name in parts, name
    if name.startswith("ni:///sha-256;"):
        raw = base64.urlsafe_b64decode(name[14:] + "=")
        assert "sha256" not in entity or raw.hex() == entity["sha256"], entity
        continue
    path = os.path.join(top, urllib.parse.unquote(name))
    assert os.path.isdir(path) if "Dataset" in kinds(entity) else os.path.isfile(path), path
    if "sha256" in entity and "Dataset" not in kinds(entity):
        assert hashlib.sha256(open(path, "rb").read()).hexdigest() == entity["sha256"], path
for folder, _, files in os.walk(top):
    for name in files:
        path = os.path.relpath(os.path.join(folder, name), top)
        inside = any(path.startswith(urllib.parse.unquote(p)) for p in parts if p.endswith("/"))
        assert inside or path == "ro-crate-metadata.json" or urllib.parse.quote(path, safe="/-._~") in parts, path

workflow = graph[root["mainEntity"]["@id"]]
assert {"File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"} <= set(kinds(workflow))
assert workflow["name"] and graph[workflow["programmingLanguage"]["@id"]]["@type"] == "ComputerLanguage"
tools, steps = set(each(workflow["hasPart"])), set(each(workflow["step"]))
for tool in tools:
    assert graph[tool]["@type"] == "SoftwareApplication" and graph[tool]["name"], tool
assert steps == {s["@id"] for s in of("HowToStep")}
for step in steps:
    assert graph[step]["workExample"]["@id"] in tools, step
mentions = set(each(root["mentions"]))
runs = [a for a in of("CreateAction") if a["instrument"]["@id"] == workflow["@id"]]
assert len(runs) == 1 and runs[0]["endTime"] and graph[runs[0]["agent"]["@id"]]["@type"] == "Person"
for action in of("CreateAction"):
    assert action["@id"] in mentions and action["name"], action
    assert action is runs[0] or action["instrument"]["@id"] in tools, action
    for thing in list(each(action.get("object", []))) + list(each(action.get("result", []))):
        assert set(kinds(graph[thing])) & {"File", "Dataset", "PropertyValue"}, thing
    failed = action["actionStatus"]["@id"].endswith("FailedActionStatus")
    assert failed or "error" not in action
controls = {c["@id"] for c in of("ControlAction")}
for control in controls:
    assert graph[control]["instrument"]["@id"] in steps
    assert "CreateAction" in kinds(graph[graph[control]["object"]["@id"]])
(engine,) = of("OrganizeAction")
assert set(each(engine["object"])) == controls and engine["result"]["@id"] == runs[0]["@id"]
assert graph[engine["instrument"]["@id"]]["softwareVersion"]
END
}

entity() { # folder, @id, a Python expression of the entity e
    python3 -S -c 'import json, sys
e = [e for e in json.load(open(sys.argv[1] + "/ro-crate-metadata.json"))["@graph"] if e["@id"] == sys.argv[2]][0]
print(eval(sys.argv[3]))' "$1" "$2" "$3"
}

test_a_crate_keeps_to_the_profile() {
    crated
    spak export ro-crate x
    assert_exit 0
    assert_contains out 'x-crate: x at ' '4 sources, 5 outputs'
    validate x-crate
    assert_file "x-crate/out/a b.txt" one
    assert_file x-crate/in:put one
    [ -x x-crate/out/program ] || fail 'the program is not executable'
    [ -d x-crate/out/folder ] || fail 'the folder is not there'
    assert_absent x-crate/.git
    assert_equal "$(entity x-crate ./ 'e["identifier"], e["license"]["@id"]')" "('$(git rev-parse spak/x)', 'LICENSE')" root
    assert_equal "$(entity x-crate '#action/out/c' 'e["object"][0]["@id"], e["result"][0]["@id"], e["description"]')" \
        "('out/a%20b.txt', 'out/c', 'cp out/a b.txt out/c')" 'a step'
    assert_equal "$(entity x-crate '#parameter-value/greeting' 'e["value"], e["exampleOfWork"]["@id"]')" "('hi', '#parameter/greeting')" 'a parameter'
    assert_equal "$(entity x-crate '#environment/out/a%20b.txt/WHO' 'e["value"]')" ann 'a variable'
    assert_equal "$(entity x-crate '#run' '"in%3Aput" in str(e["object"]), e["startTime"][:2], e["agent"]["@id"]')" "(True, '20', '#agent')" 'the run'
}

test_a_project_without_a_license_says_so() {
    crated
    git rm -q LICENSE
    git -c user.name=Ann -c user.email=ann@example.org commit -qm 'no license'
    spak build x -B
    spak export ro-crate x
    assert_exit 0
    validate x-crate
    assert_equal "$(entity x-crate ./ 'e["license"]["@id"]') $(entity x-crate '#no-license' 'e["name"]')" '#no-license No license is stated' root
}

test_twice_is_the_same() {
    crated
    spak export ro-crate x one
    spak export ro-crate x "$scratch/two"
    assert_exit 0
    diff -r one "$scratch/two" >"$scratch/out" || fail 'two exports differ'
    mkdir sub
    cd sub
    spak export ro-crate x three
    cmp three/ro-crate-metadata.json ../one/ro-crate-metadata.json || fail 'from a folder below it is another'
}

test_measurements_and_failures() {
    project - <<'END'
node { "out/guide", kind = "guide", write = "intent" }
node { metrics "out/m.json", measures = true, sandbox = false, guide = "out/guide", proofs = "out/invariant/tiny.json", inputs = { "m" },
  run = { "cp", "m", "out/m.json" } }
node { "out/broken", inputs = { "m" }, run = { "false" } }
node { "out/after", inputs = { "out/broken" }, run = { "cp", "out/broken", "out/after" } }
target "x" { "out/m.json", "out/after", default = true }
END
    law
    put m '{"metrics":[{"metric":"k.time","unit":"ns","median":100,"lo":99,"hi":101.5,"n":3}],"samples":{"k.time":[99,100,101.5]}}'
    spak build -k
    assert_exit 1
    spak export ro-crate x c
    assert_exit 0
    validate c
    assert_equal "$(entity c ./ 'e["variableMeasured"]')" "[{'@id': '#metric/k.time'}]" metrics
    assert_equal "$(entity c '#metric/k.time' 'e["value"], e["minValue"], e["maxValue"], e["unitText"]')" "(100.0, 99.0, 101.5, 'ns')" 'a metric'
    assert_equal "$(entity c '#action/out/broken' 'e["error"], "result" in e')" "('exit status 1', False)" 'what failed'
    assert_equal "$(entity c '#step/out/after' 'e["@type"]')" HowToStep 'what was skipped'
    assert_lacks c/ro-crate-metadata.json '#action/out/after'
    for name in samples.bin summary machine margins toolchain; do
        [ -s "c/spak-trace/$name" ] || fail "spak-trace/$name is not there"
    done
}

test_a_clone_has_no_store() {
    crated
    git clone -q . "$scratch/clone"
    cd "$scratch/clone"
    spak export ro-crate x c
    assert_exit 0
    assert_contains out '0 outputs' '5 outputs are named by their digests alone'
    validate c
    assert_contains c/ro-crate-metadata.json 'ni:///sha-256;'
}

test_texts_come_out_of_the_trace() {
    project '
node { traced "out/note", write = "told" }
target "x" { "out/note", default = true }'
    spak build
    assert_exit 0
    git show spak/x:out/files/out/note >"$scratch/out"
    assert_contains out told
    rm -rf out
    spak export ro-crate x c
    assert_exit 0
    validate c
    assert_file c/out/note told
}

test_nothing_is_overwritten_or_left() {
    crated
    put there/file mine
    spak export ro-crate x there
    assert_exit 2
    assert_contains err 'is there already'
    assert_file there/file mine
    mkdir empty
    spak export ro-crate x empty
    assert_exit 0
    spak export ro-crate nowhere c
    assert_exit 2
    assert_absent c
    spak export zip x c
    assert_exit 2
    assert_contains err 'the format is ro-crate'
    put ro-crate-metadata.json '{}'
    git add -A
    git -c user.name=Ann -c user.email=ann@example.org commit -qm taken
    spak build -B
    spak export ro-crate x c
    assert_exit 2
    assert_contains err 'the sources hold ro-crate-metadata.json'
    assert_absent c
    assert_equal "$(find . -name '.spak-tmp-*' | wc -l)" 0 'what is left behind'
}

# A stranger's trace: an output's path that leads out of the crate is never written.
test_a_path_that_leads_out() {
    crated
    git worktree add -q --detach w spak/x
    cd w
    sed -i 's,out/c ,out/../../../evil ,' out/out/c
    sed -i 's,out/text ,/tmp/evil ,' out/out/text
    git -c user.name=M -c user.email=m@example.org commit -qam "$(git log -1 --format=%B)"
    evil=$(git rev-parse HEAD)
    cd ..
    spak export ro-crate "$evil" deep/c
    assert_exit 0
    validate deep/c
    assert_equal "$(find . /tmp/evil -name 'evil*' 2>/dev/null)" '' 'what was written outside'
    assert_contains out '3 outputs' '2 outputs are named by their digests alone'
}

run_tests "$0" "$@"
