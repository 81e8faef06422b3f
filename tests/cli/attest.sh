#!/bin/sh
# Signed statements: what they say, that SPAK checks them, and that openssl alone can.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

signed() {
    command -v ssh-keygen >/dev/null || exit 0
    project '
node { "out/a", inputs = { "in" }, run = { "cp", "in", "out/a" } }
target "x" { "out/a", default = true }'
    put in one
    spak build
    assert_exit 0
    ssh-keygen -q -t ed25519 -N '' -C ann -f key
    spak attest x --key key -o x.jsonl
    assert_exit 0
}

# payload and signature of the first envelope, and the signer's key as PEM
take_apart() {
    python3 -S - <<'END'
import base64, json
envelope = json.loads(open("x.jsonl").readline())
payload = base64.b64decode(envelope["payload"])
kind = envelope["payloadType"].encode()
open("payload", "wb").write(payload)
open("signed", "wb").write(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
open("signature", "wb").write(base64.b64decode(envelope["signatures"][0]["sig"]))
open("keyid", "w").write(envelope["signatures"][0]["keyid"])
key = base64.b64decode(open("key.pub").read().split()[1])[-32:]
der = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + key).decode()
open("key.pem", "w").write("-----BEGIN PUBLIC KEY-----\n" + der + "\n-----END PUBLIC KEY-----\n")
END
}

test_what_it_says() {
    signed
    take_apart
    digest=$(sha256sum out/a | cut -d' ' -f1)
    python3 -S - "$digest" "$(git rev-parse spak/x)" <<'END'
import json, sys
s = json.load(open("payload"))
assert s["_type"] == "https://in-toto.io/Statement/v1", s
assert s["predicateType"] == "https://slsa.dev/provenance/v1", s
assert {"name": "out/a", "digest": {"sha256": sys.argv[1]}} in s["subject"], s["subject"]
assert s["subject"][0]["digest"]["gitCommit"] == sys.argv[2], s["subject"]
definition = s["predicate"]["buildDefinition"]
assert definition["buildType"] == "urn:spak:node:v1"
assert definition["externalParameters"]["target"] == "x"
assert any(d["name"] == "in" for d in definition["resolvedDependencies"]), definition
assert s["predicate"]["runDetails"]["builder"]["id"].startswith("spak@")
END
    assert_equal "$(cat keyid)" "$(ssh-keygen -lf key.pub | cut -d' ' -f2)" keyid
    git notes --ref spak/attest show spak/x >note
    cmp note x.jsonl || fail 'the note is another'
}

test_openssl_alone_checks_it() {
    command -v openssl >/dev/null || exit 0
    signed
    take_apart
    openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in signed -sigfile signature >"$scratch/out" 2>&1 || fail 'openssl refuses'
    sed 's/out\/a/out\/b/' signed >changed
    ! openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in changed -sigfile signature >"$scratch/out" 2>&1 ||
        fail 'openssl takes a changed statement'
}

test_verify() {
    signed
    spak verify x.jsonl --key key.pub
    assert_exit 0
    assert_contains out 'good ' '1 outputs as signed, 0 of them not'
    ssh-keygen -q -t ed25519 -N '' -f other
    spak verify x.jsonl --key other.pub
    assert_exit 1
    assert_contains err 'the signature does not hold'
    python3 -S - <<'END'
import base64, json
e = json.loads(open("x.jsonl").readline())
e["payload"] = base64.b64encode(base64.b64decode(e["payload"]).replace(b"out/a", b"out/b")).decode()
open("y.jsonl", "w").write(json.dumps(e) + "\n")
END
    spak verify y.jsonl --key key.pub
    assert_exit 1
    assert_contains err 'the signature does not hold'
}

test_keys_that_are_none() {
    signed
    ssh-keygen -q -t ed25519 -N secret -f locked
    spak attest x --key locked
    assert_exit 1
    assert_contains err 'has a passphrase'
    ssh-keygen -q -t ecdsa -N '' -f curve
    spak attest x --key curve
    assert_contains err 'it is no Ed25519 key'
    head -c 200 key >short
    echo '-----END OPENSSH PRIVATE KEY-----' >>short
    spak attest x --key short
    assert_exit 1
    spak verify x.jsonl --key curve.pub
    assert_exit 1
}

test_keys_in_pem() {
    command -v openssl >/dev/null || exit 0
    signed
    openssl genpkey -algorithm ed25519 -out pem.key
    openssl pkey -in pem.key -pubout -out pem.pub
    spak attest x --key pem.key -o y.jsonl
    assert_exit 0
    spak verify y.jsonl --key pem.pub
    assert_exit 0
    assert_contains out 'good '
    spak verify y.jsonl --key key.pub
    assert_exit 1
    mv y.jsonl x.jsonl # and openssl takes it with its own key
    take_apart
    openssl pkeyutl -verify -pubin -inkey pem.pub -rawin -in signed -sigfile signature >"$scratch/out" 2>&1 || fail 'openssl refuses'
    openssl genpkey -algorithm ed25519 -aes256 -pass pass:secret -out locked.key
    spak attest x --key locked.key
    assert_exit 1
    assert_contains err 'has a passphrase'
    openssl genpkey -algorithm x25519 -out other.key
    spak attest x --key other.key
    assert_contains err 'it is no Ed25519 key'
    head -c 60 pem.key >short.key
    spak attest x --key short.key
    assert_exit 1
}

with_agent() {
    command -v ssh-agent >/dev/null || exit 0
    eval "$(ssh-agent -s)" >/dev/null
    trap 'kill "$SSH_AGENT_PID"' EXIT
}

test_the_agent_signs() {
    signed
    SSH_AUTH_SOCK='' spak attest x --agent
    assert_exit 1
    assert_contains err 'SSH_AUTH_SOCK is not set'
    SSH_AUTH_SOCK=$PWD/nowhere spak attest x --agent
    assert_exit 1
    assert_contains err 'cannot reach the ssh-agent'
    with_agent
    spak attest x --agent
    assert_exit 1
    assert_contains err 'has no Ed25519 key'
    ssh-keygen -q -t ecdsa -N '' -f curve
    ssh-keygen -q -t ed25519 -N secret -f second
    ssh-add -q curve
    ssh-add -q key
    mv key away
    spak attest x --agent -o y.jsonl
    assert_exit 0
    spak verify y.jsonl --key key.pub
    assert_exit 0
    spak attest x --agent --key second.pub
    assert_exit 1
    assert_contains err 'refuses to sign: it does not have this key'
    git config gpg.format ssh
    git config user.signingKey "key::$(cat key.pub)"
    spak attest x -o z.jsonl
    assert_exit 0
    cmp y.jsonl z.jsonl || fail 'Ed25519 signs the same in the same way'
}

# An agent that answers nonsense, to every length of it.
test_an_agent_that_is_none() {
    signed
    for answer in '' '\0\0\0\0' '\0\0\0\1\5' '\377\377\377\377\14' '\0\0\0\5\14\0\0\0\7' '\0\0\0\11\14\0\0\0\1\377\377\377\377' '\0\0\0\7\14'; do
        python3 -S - "$PWD/socket" "$answer" <<'END' &
import os, socket, sys
path, answer = sys.argv[1], sys.argv[2].encode().decode("unicode_escape").encode("latin-1")
if os.path.exists(path):
    os.remove(path)
s = socket.socket(socket.AF_UNIX)
s.bind(path + ".new")
s.listen(1)
os.rename(path + ".new", path)
c = s.accept()[0]
c.recv(100)
c.sendall(answer)
c.close()
END
        while [ ! -S socket ]; do sleep 0.02; done
        SSH_AUTH_SOCK=$PWD/socket spak attest x --agent
        assert_exit 1
        assert_contains err 'the ssh-agent '
        wait
        rm -f socket
    done
}

test_the_key_of_git() {
    signed
    spak attest x
    assert_exit 2
    assert_contains err "git's configuration names none"
    git config gpg.format ssh
    git config user.signingKey "$PWD/key"
    spak attest x -o y.jsonl
    assert_exit 0
    cmp x.jsonl y.jsonl || fail 'another key signed'
    spak verify y.jsonl
    assert_exit 0
}

test_a_trace_is_verified_by_its_notes_and_its_signature() {
    signed
    spak verify x
    assert_exit 1
    assert_contains out 'none  the commit ' '1 statements of signers that are not trusted here'
    assert_contains err 'nobody who is trusted here has signed'
    spak verify x --key key.pub
    assert_exit 0
    assert_contains out 'none  the commit ' 'good  https://slsa.dev/provenance/v1' '1 outputs as signed'
    printf '# who may sign\n\nann@example.org namespaces="git,file" %s\n' "$(cat key.pub)" >allowed
    git config gpg.ssh.allowedSignersFile "$PWD/allowed"
    spak verify x
    assert_exit 0
    git config gpg.format ssh
    git config user.signingKey "$PWD/key"
    git config user.email ann@example.org
    git config user.name Ann
    git config commit.gpgSign true
    put in two
    spak build
    spak verify x
    assert_exit 0
    assert_contains out 'good  the commit ' 'Good "git" signature for ann@example.org'
    git add spakfile
    git commit -qm spakfile
    git clone -q . "$scratch/clone"
    cd "$scratch/clone"
    spak init
    git fetch -q
    git config gpg.ssh.allowedSignersFile "$OLDPWD/allowed"
    spak verify x~
    assert_exit 0
    assert_contains out 'none  the commit ' 'good  https://slsa.dev' '1 outputs as signed, 1 of them not in this store'
}

test_what_was_forged_is_not_taken() {
    signed
    git config gpg.ssh.allowedSignersFile "$PWD/key.pub"
    put in two
    spak build
    git config user.name Ann
    git config user.email ann@example.org
    git notes --ref spak/attest copy spak/x~ spak/x # a statement on another run
    spak verify x
    assert_exit 1
    assert_contains err 'a statement on another commit is noted on this one'
    git config user.signingKey "$PWD/key" # a commit that was changed after it was signed
    git config gpg.format ssh
    git config commit.gpgSign true
    put in three
    spak build
    forged=$(git cat-file commit spak/x | sed 's/^x: in.*/x: out (ok)/' | git hash-object -t commit -w --stdin)
    spak verify "$forged"
    assert_exit 1
    assert_contains err "git does not take the commit's signature"
}

test_params_and_invariants() {
    command -v ssh-keygen >/dev/null || exit 0
    project '
local greeting = param("greeting", "hello")
node { "out/a", inputs = { "out/invariant/tiny.json" }, params = { greeting = greeting }, run = { "cp", "out/invariant/tiny.json", "out/a" } }
target "x" { "out/a", default = true }'
    law
    spak build -D greeting=good=day
    assert_exit 0
    ssh-keygen -q -t ed25519 -N '' -C ann -f key
    spak attest x --key key -o x.jsonl
    assert_exit 0
    python3 -S - "$(git rev-parse spak/x)" <<'END'
import base64, json, sys
provenance, tests = [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in open("x.jsonl")]
parameters = provenance["predicate"]["buildDefinition"]["externalParameters"]
assert parameters == {"target": "x", "params": {"greeting": "good=day"}}, parameters
assert tests["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
assert tests["subject"] == provenance["subject"]
result = tests["predicate"]
assert result["result"] == "PASSED" and result["failedTests"] == [], result
assert len(result["passedTests"]) == 1 and "invariant/tiny" in result["passedTests"][0], result
assert result["configuration"] == [{"name": "trace", "digest": {"gitCommit": sys.argv[1]}}], result
END
    spak verify x.jsonl --key key.pub
    assert_exit 0
    assert_contains out 'good  https://slsa.dev/provenance/v1' 'good  https://in-toto.io/attestation/test-result/v0.1'
    sed -i 's/lhs=$((2 \* x))/lhs=$((2 * x + x * x * x * x))/' spakfile # the law does not hold any more
    spak build -k
    assert_exit 3
    spak attest x --key key -o y.jsonl
    python3 -S - <<'END'
import base64, json
provenance, tests = [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in open("y.jsonl")]
result = tests["predicate"]
assert result["result"] == "FAILED" and result["passedTests"] == [] and len(result["failedTests"]) == 1, result
END
}

run_tests "$0" "$@"
