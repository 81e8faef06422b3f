/* scratch: where a test may write. */
#ifndef SPAK_TESTS_SCRATCH_H
#define SPAK_TESTS_SCRATCH_H

#include "base.h"
#include <stdlib.h>

/* A template for mkdtemp and mkstemp below TMPDIR; the caller frees it. */
static inline char *scratch_template(const char *name)
{
    const char *folder = getenv("TMPDIR");
    struct buf path = {0};

    buf_addf(&path, "%s/spak-test-%s-XXXXXX", folder && *folder ? folder : "/tmp", name);
    return path.ptr;
}

#endif
