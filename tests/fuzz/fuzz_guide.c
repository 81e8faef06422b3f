#include "fuzz.h"

#include "guide.h"

static const char *const seeds[] = {
    "# Guide: fmha\n\n## Intent\n\nFold tiles of keys into a small state.\n\n## Freedoms\n\n- "
    "`block_m`: rows worked on together\n",
    "{\"freedoms\": {\"stages\": \"tiles on their way\"}, \"proofs\": {\"a\": \"sha256:00\"}}\n",
    "keep 128 rows in registers of sm_90a\n",
    "```c\nint x;\n```\n",
    NULL,
};

static void one(const char *bytes, size_t len)
{
    struct err e = {0};

    if (guide_lint(bytes, len, "fuzz.md", &e) < 0) {
        fuzz_expect(e.place.line > 0, "an offence without its line");
        fuzz_refused(&e);
    }
}

const struct fuzz_target fuzz_target = {"guide", seeds, one, 30000};
