#include "fuzz.h"

#include "json.h"
#include <string.h>

static const char *const seeds[] = {
    "{\"a\": [1, 2.5, -3e10, true, null], \"b\": {\"c\": \"text \\u00e9 \\n\"}}",
    "[[[[[[[[]]]]]]]]",
    "\"\\ud83d\\ude00\"",
    "{\"a\": 9007199254740993, \"a\": 1e308}",
    NULL,
};

/* What was accepted is written and read back as the same text. */
static void one(const char *bytes, size_t len)
{
    struct err e = {0};
    struct buf first = {0}, second = {0};
    json_t *value = json_parse(bytes, len, "fuzz.json", &e);

    if (!value) {
        fuzz_refused(&e);
        return;
    }
    json_compact(value, &first);
    json_t *again = json_parse(buf_text(&first), first.len, "again.json", &e);
    fuzz_expect(again != NULL, "what was written does not read back");
    json_compact(again, &second);
    fuzz_expect(first.len == second.len && memcmp(first.ptr, second.ptr, first.len) == 0,
                "the canonical form is not stable");
    json_decref(again);
    json_decref(value);
    buf_release(&first);
    buf_release(&second);
}

const struct fuzz_target fuzz_target = {"json", seeds, one, 50000};
