#!/bin/sh
# What the rules for a GPU write as text: the instructions of a cubin, and the verdict of compute-sanitizer. Neither needs a device.
. "$(dirname "$0")/lib.sh"
steps=$(cd "$(dirname "$0")/../.." && pwd)/rules/step

test_instructions_are_counted_by_kind() {
    put "$scratch/listing" <<'END'
	.section	.text.matmul,"ax",@progbits
.text.matmul:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/              @!P0 BRA `(.L_x_1) ;
.L_x_1:
        /*0020*/                   HGMMA.64x256x16.F32.BF16 R24, gdesc[UR4], RZ, !UPT ;
        /*0030*/                   HGMMA.64x256x16.F32.BF16 R24, gdesc[UR8], R24, gsb0 ;
        /*0040*/             @UP0 UTMALDG.2D [UR8], [UR10] ;
        /*0050*/                   STL [R1], R2 ;
.text.other:
        /*0000*/                   EXIT ;
END
    awk -f "$steps/instructions.awk" "$scratch/listing" >"$scratch/out"
    cat >"$scratch/expected" <<'END'
Instructions of 'matmul': 6
HGMMA 2, HMMA 0, UTMALDG 1, UTMASTG 0, LDGSTS 0, LDSM 0, STSM 0, SYNCS 0, BAR 0, MUFU 0, LDL 0, STL 1
HGMMA 2, BRA 1, LDC 1, STL 1, UTMALDG 1
Instructions of 'other': 1
HGMMA 0, HMMA 0, UTMALDG 0, UTMASTG 0, LDGSTS 0, LDSM 0, STSM 0, SYNCS 0, BAR 0, MUFU 0, LDL 0, STL 0
EXIT 1
END
    diff "$scratch/expected" "$scratch/out" || fail 'the summary is another'
}

count() { # what stands in for nvdisasm
    put "$scratch/nvdisasm" "$1"
    chmod +x "$scratch/nvdisasm"
    TMPDIR=$scratch sh "$steps/instructions.sh" "$scratch/instructions" "$scratch/nvdisasm" x.cubin
}

test_a_cubin_s_text_says_what_is_in_it() {
    count "printf '.text.k:\n        /*0000*/                   EXIT ;\n'"
    assert_contains "$scratch/instructions" "Instructions of 'k': 1" 'EXIT 1'
}

test_a_disassembler_that_fails_fails_nothing_else() {
    count 'echo "nvdisasm fatal: no such architecture" >&2; exit 1'
    assert_contains "$scratch/instructions" 'the disassembler fails: nvdisasm fatal: no such architecture'
}

verdict() { # log...
    status=0
    rm -f "$scratch/verdict"
    TMPDIR=$scratch sh "$steps/sanitize.sh" "$scratch/out.txt" "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
}

test_the_verdict_has_a_line_for_each_log() {
    put "$scratch/wide.memcheck.txt" '========= ERROR SUMMARY: 0 errors'
    put "$scratch/wide.racecheck.txt" '========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)'
    verdict "$scratch/wide.memcheck.txt" "$scratch/wide.racecheck.txt"
    assert_exit 0
    assert_contains "$scratch/out.txt" 'wide.memcheck' 'wide.racecheck' 'nothing found'
}

test_what_is_found_fails_and_is_shown() {
    put "$scratch/clean.memcheck.txt" '========= ERROR SUMMARY: 0 errors'
    put "$scratch/wild.memcheck.txt" <<'END'
========= Invalid __global__ write of size 4 bytes
========= ERROR SUMMARY: 3 errors
END
    put "$scratch/hung.synccheck.txt" '========= COMPUTE-SANITIZER'
    rm -f "$scratch/out.txt"
    verdict "$scratch/clean.memcheck.txt" "$scratch/wild.memcheck.txt" "$scratch/hung.synccheck.txt"
    assert_exit 1
    assert_contains err '3 found' 'ended without a summary' 'Invalid __global__ write'
    [ ! -e "$scratch/out.txt" ] || fail 'a verdict is left although something was found'
}

test_without_a_device_the_verdict_says_skipped() {
    project - <<'END'
use "op" "sanitize"
op "copy" {
  title = "y = x", device = "gpu", dims = { "n" },
  buffers = { { "x", "in", function(s) return s.n end }, { "y", "out", function(s) return s.n end } },
  flops = function(s) return s.n end, bytes = function(s) return 8 * s.n end, reference = "reference.cu", bound = 1e-6,
}
sanitize "copy" { kernels = {}, shapes = {} }
END
    put reference.cu </dev/null
    [ ! -e /dev/nvidia0 ] || return 0 # there is one
    spak build sanitize/copy
    assert_exit 0
    assert_contains out/sanitize/copy.txt 'skipped: no device'
}

run_tests "$0" "$@"
