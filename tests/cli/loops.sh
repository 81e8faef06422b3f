#!/bin/sh
# What each loop may touch: planning no accelerator and no source, execution no guide and no proof, a candidate's compiler nothing but the candidate.
. "$(dirname "$0")/lib.sh"

# An accelerator for the sandbox: its name is all that counts. Skipped where /dev is not ours.
accelerator() {
    device=/dev/nvidia-spak-$$
    : >"$device" 2>/dev/null || exit 77
    trap 'rm -f "$device"' EXIT
}

test_planning_opens_no_accelerator() {
    (accelerator) || return 0
    accelerator
    project "node { 'out/plan', phase = 'outer', shell = true, run = 'cat $device >out/plan' }
node { 'out/run', phase = 'inner', device = true, shell = true, run = 'cat $device >out/run' }"
    SPAK_FACTS=gpu.count=1 spak build -k
    assert_exit 3
    assert_contains err "error[P301]: out/plan plans, and tried to open $device"
    assert_file out/run ''
}

# Whoever is refused and goes on as if nothing had happened is found as well, however it names the device.
test_planning_that_shrugs_off_a_device_is_found() {
    (accelerator) || return 0
    accelerator
    ln -s "$device" "$scratch/alias"
    here=${device#/dev/}
    up=../../../../../../../../../..
    project "for i, path in ipairs { '$device', '$scratch/alias', '/dev/shm/../$here', '$up/$up/dev/$here' } do
  node { 'out/' .. i, phase = 'outer', inputs = 'reach.py', run = { '/usr/bin/python3', 'reach.py', path, 'out/' .. i } }
end
node { 'out/busy', phase = 'outer', inputs = 'busy.py', timeout = 20, run = { '/usr/bin/python3', 'busy.py', 'out/busy' } }
node { 'out/honest', phase = 'outer', inputs = 'reach.py', run = { '/usr/bin/python3', 'reach.py', '/dev/null', 'out/honest' } }
node { 'out/soft', phase = 'outer', soft_fail = true, shell = true, run = '(cat $device; echo x >out/soft) 2>/dev/null; exit 1' }
node { 'out/threads', phase = 'outer', shell = true, run = '(sh -c \"cat $device\" || true) 2>/dev/null & wait; echo x >out/threads' }"
    put reach.py <<'END'
import os, sys
try:
    os.open(sys.argv[1], os.O_RDWR)
except OSError:
    pass
open(sys.argv[2], "w").write("planned\n")
END
    put busy.py <<'END'
import os, sys, time
if os.fork() == 0:
    os.setsid()
    until = time.time() + 10
    while time.time() < until:
        try:
            os.close(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            sys.exit()
open(sys.argv[1], "w").write("planned\n")
END
    begun=$(date +%s)
    spak build -k
    assert_exit 3
    [ $(($(date +%s) - begun)) -lt 9 ] || fail "who is left behind is waited for"
    for node in out/1 out/2 out/3 out/4 out/soft out/threads; do
        assert_contains err "error[P301]: $node plans, and tried to open $device, and went on when it was refused"
        assert_absent "$node"
    done
    assert_file out/honest planned
    assert_file out/busy planned
}

test_planning_asks_for_no_device() {
    project "node { 'out/plan', phase = 'outer', device = true, shell = true, run = 'true >out/plan' }"
    spak build
    assert_exit 3
    assert_contains err 'error[P302]: out/plan plans, and asks for a device'
}

test_no_loop_declares_a_source() {
    for phase in outer inner; do
        project "node { 'invariants/law.py', phase = '$phase', shell = true, run = 'echo >invariants/law.py' }"
        spak build
        assert_exit 3
        assert_contains err 'error[P302]: invariants/law.py writes among the sources'
        assert_absent invariants/law.py
    done
}

test_execution_makes_no_guide_and_no_proof() {
    for kind in guide invariant hypothesis admission; do
        project "node { 'out/x', kind = '$kind', phase = 'inner', write = 'x' }"
        spak build
        assert_exit 3
        assert_contains err 'error[P302]: out/x is execution, and makes what only planning may make'
    done
}

test_execution_writes_no_guide_no_law_no_reference_and_no_result() {
    for path in out/guide.md laws/law.py reference.c out/result.json out/.spak/state.mdb .git/config; do
        project "node { 'out/guide.md', kind = 'guide', phase = 'outer', write = 'intent' }
node { 'out/result.json', write = '1' }
node { 'out/run', phase = 'inner', inputs = { 'out/guide.md', 'out/result.json', 'laws/law.py', 'reference.c' },
  shell = true, run = 'echo worse >>$path; echo done >out/run' }"
        put laws/law.py law
        put reference.c reference
        spak build -k
        assert_lacks out/guide.md worse
        assert_lacks laws/law.py worse
        assert_lacks reference.c worse
        assert_lacks out/result.json worse
        assert_lacks .git/config worse
        spak fsck
        assert_exit 0
    done
}

candidate_of() { # C text
    project 'use "op" "kernel"
op "scale" { title = "y = 2 x", dims = { "n" }, bound = 1e-6, reference = "study/reference.c",
  buffers = { { "x", "in", function(s) return s.n end }, { "y", "out", function(s) return s.n end } },
  flops = function(s) return s.n end, bytes = function(s) return 8 * s.n end }
kernel "scale/fast" { source = "fast/fast.c" }'
    put study/reference.c 'int secret(void) { return 42; }'
    put fast/fast.c "$1"
    spak build out/kernel/scale/fast.so
}

test_a_candidate_is_compiled() {
    candidate_of 'int candidate(void) { return 0; }'
    assert_exit 0
}

test_a_candidate_does_not_read_the_machine() {
    candidate_of '__asm__(".incbin \"/etc/passwd\"");'
    assert_exit 3
    assert_contains err 'error[P303]' 'reads /etc/passwd, which is no part of the candidate'
    candidate_of '#include "/etc/passwd"'
    assert_exit 3
    assert_contains err 'error[P303]' '/etc/passwd'
}

test_a_candidate_does_not_read_the_reference() {
    candidate_of '#include "../study/reference.c"'
    assert_exit 3
    assert_contains err 'error[P303]' 'reads study/reference.c'
    candidate_of '__asm__(".incbin \"study/reference.c\"");'
    assert_exit 3
    assert_contains err 'error[P303]' 'reads study/reference.c'
    assert_absent out/kernel/scale/fast.so
}

test_a_candidate_does_not_fill_the_machine() {
    candidate_of '__asm__(".skip 4000000000, 1");'
    assert_exit 1
    assert_contains err 'error[N101]'
    assert_absent out/kernel/scale/fast.so
}

run_tests "$0" "$@"
