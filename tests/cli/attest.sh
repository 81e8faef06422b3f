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

run_tests "$0" "$@"
