#!/bin/sh
# Trace commits carry a signature where git's configuration asks for one, and git itself takes it.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# A project whose repository signs commits, with the key that is ann's.
signing() {
    project '
node { "out/a", inputs = { "in" }, run = { "cp", "in", "out/a" } }
target "x" { "out/a", default = true }'
    put in one
    git config user.name Ann
    git config user.email ann@example.org
    git config commit.gpgSign true
}

with_ssh() {
    command -v ssh-keygen >/dev/null || exit 0
    signing
    ssh-keygen -q -t ed25519 -N "${1-}" -C ann -f key
    printf 'ann@example.org %s\n' "$(cat key.pub)" >allowed
    git config gpg.format ssh
    git config user.signingKey "$PWD/key"
    git config gpg.ssh.allowedSignersFile "$PWD/allowed"
}

assert_signed() {
    git verify-commit spak/x >"$scratch/out" 2>"$scratch/err" || fail 'git verify-commit refuses'
    assert_equal "$(git log -1 --format='%G? %GS' spak/x)" "G ann@example.org" 'what git log says of the signature'
    git fsck --strict 2>&1 | grep -v '^notice' >"$scratch/out" || true
    [ ! -s "$scratch/out" ] || fail 'git fsck complains'
}

# Why is in the warning, the commit is there, and it carries no signature. Arguments: what the warning says.
assert_unsigned() {
    assert_exit 0
    assert_contains err 'warning[T105]: the trace is not signed: ' 'git tag -s' "$@"
    assert_equal "$(git log -1 --format='%s %G?' spak/x)" 'x: first run (ok) N' 'the commit'
    assert_file out/a one
    assert_equal "$(ls "$TMPDIR")" '' 'what is left in TMPDIR'
}

own_temporary_folder() {
    TMPDIR=$scratch/tmp
    export TMPDIR
    rm -rf "$TMPDIR"
    mkdir "$TMPDIR"
}

test_ssh_key_file() {
    own_temporary_folder
    with_ssh
    spak build
    assert_exit 0
    assert_lacks err warning
    assert_signed
    git log -1 --show-signature spak/x >"$scratch/out" 2>&1
    assert_contains out 'Good "git" signature for ann@example.org with ED25519 key' 'x: first run (ok)' 'Spak-Format: 1'
    put in two
    spak build
    assert_signed
    assert_equal "$(git rev-list --count spak/x)" 2 runs
    assert_equal "$(ls "$TMPDIR")" '' 'what is left in TMPDIR'
    spak log x
    assert_contains out 'x: in'
    spak reproduce x
    assert_contains out IDENTICAL
}

test_no_signature_where_git_wants_none() {
    with_ssh
    git config commit.gpgSign false
    spak build
    assert_exit 0
    assert_equal "$(git log -1 --format=%G? spak/x)" N 'the signature'
    git cat-file commit spak/x >"$scratch/out"
    assert_lacks out gpgsig
}

test_ssh_key_in_an_agent() {
    command -v ssh-agent >/dev/null || exit 0
    with_ssh
    eval "$(ssh-agent -s)" >/dev/null
    trap 'kill "$SSH_AGENT_PID"' EXIT
    ssh-add -q key
    rm key
    git config user.signingKey "key::$(cat key.pub)"
    spak build
    assert_exit 0
    assert_signed
    git config --unset user.signingKey
    git config gpg.ssh.defaultKeyCommand 'ssh-add -L'
    put in two
    spak build
    assert_signed
}

test_openpgp() {
    command -v gpg >/dev/null || exit 0
    signing
    GNUPGHOME=$(mktemp -d "$scratch/g.XXXX") # short: the agent's socket lies there
    export GNUPGHOME
    gpg --batch --quiet --passphrase '' --quick-generate-key 'Ann <ann@example.org>' >"$scratch/out" 2>&1 || exit 0
    spak build
    assert_exit 0
    assert_lacks err warning
    git verify-commit spak/x >"$scratch/out" 2>"$scratch/err" || fail 'git verify-commit refuses'
    assert_contains err 'Good signature from "Ann <ann@example.org>"'
    gpgconf --kill all
}

test_the_program_that_git_names() {
    own_temporary_folder
    with_ssh
    put signer <<END
#!/bin/sh
echo "\$@" | sed 's,/[^ ]*/,,g' >>"$PWD/called"
exec ssh-keygen "\$@"
END
    chmod +x signer
    git config gpg.ssh.program "$PWD/signer"
    spak build
    assert_exit 0
    assert_signed
    assert_equal "$(sed q called)" '-Y sign -n git -f key commit' 'how it was called'
}

test_what_fails_is_said_and_nothing_is_lost() {
    own_temporary_folder
    with_ssh
    git config gpg.ssh.program "$PWD/nowhere"
    spak build
    assert_unsigned nowhere
    with_ssh
    git config user.signingKey "$PWD/absent"
    spak build
    assert_unsigned 'ssh-keygen: ' absent
    with_ssh
    git config --unset user.signingKey
    spak build
    assert_unsigned "git's user.signingKey names no key"
    with_ssh
    git config gpg.ssh.defaultKeyCommand 'echo nothing'
    git config --unset user.signingKey
    spak build
    assert_unsigned 'gpg.ssh.defaultKeyCommand gives no key'
    with_ssh
    git config gpg.format runes
    spak build
    git config gpg.format ssh # git stops at one that it does not know
    assert_unsigned "git's gpg.format is \"runes\""
    with_ssh
    git config gpg.ssh.program false
    spak build
    assert_unsigned 'false: it says nothing'
    put in two # and the next run is signed again
    git config gpg.ssh.program ssh-keygen
    spak build
    assert_signed
}

test_json_has_the_warning() {
    with_ssh
    git config user.signingKey "$PWD/absent"
    spak build --json
    assert_contains out '"event":"trace"' '"warning":"the trace is not signed: '
}

test_two_at_once_are_both_signed() {
    with_ssh
    put spakfile <<'END'
node { "out/a", inputs = { "in" }, run = { "cp", "in", "out/a" } }
node { "out/b", inputs = { "in" }, run = { "cp", "in", "out/b" } }
target "x" { "out/a" }
target "y" { "out/b" }
END
    spak build x y
    assert_exit 0
    for target in x y; do
        git verify-commit "spak/$target" 2>"$scratch/err" || fail "$target is not signed"
    done
}

run_tests "$0" "$@"
