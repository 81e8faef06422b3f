/* usage: fuzz_<name> [CASES [FIRST]]     tries cases FIRST, FIRST + 1, ... */
#include "fuzz.h"

#include "os.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile unsigned long long present;

/* Async-signal-safe: the process is about to end for a fault that was just reported. */
static void name_case(void)
{
    char line[128];
    int len = snprintf(line, sizeof line, "fuzz_%s: case %llu; alone: fuzz_%s 1 %llu\n",
                       fuzz_target.name, present, fuzz_target.name, present);

    if (write(STDERR_FILENO, line, (size_t)len) < 0)
        return;
}

static void on_signal(int signal_number)
{
    name_case();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* Of the sanitizers, where the program was built with one. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

void fuzz_expect(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz_%s: %s\n", fuzz_target.name, what);
    abort();
}

void fuzz_refused(struct err *e)
{
    fuzz_expect(e->set && e->message && *e->message, "an error says nothing");
    err_release(e);
}

const char *fuzz_file(const char *bytes, size_t len)
{
    static char path[4096];
    const char *folder = getenv("TMPDIR");
    struct err e = {0};

    snprintf(path, sizeof path, "%s/fuzz_%s.%d", folder && *folder ? folder : "/tmp",
             fuzz_target.name, (int)getpid());
    fuzz_expect(os_write_in_place(path, bytes, len, &e) == 0, "no room for the input");
    return path;
}

/* Bytes that parsers care about. */
static const char *const tokens[] = {
    "\n",       "\r\n",     "\\\n",  "\\",         " ",
    ":",        "\"",       "'",     "{",          "}",
    "[[",       "]]",       "#",     "$",          "```",
    "```lua\n", "--",       "\xff",  "\xc3\x28",   "\xe2\x80\xa8",
    "0",        "-1",       "1e999", "4294967296", "18446744073709551616",
    "../",      "/",        "\t",    "=",          ",",
    "null",     "\x1b[31m", "end",   "\"\"",
};

static void insert(struct buf *b, size_t at, const char *bytes, size_t len)
{
    buf_reserve(b, len);
    memmove(b->ptr + at + len, b->ptr + at, b->len - at);
    memcpy(b->ptr + at, bytes, len);
    b->len += len;
}

static void drop(struct buf *b, size_t at, size_t len)
{
    memmove(b->ptr + at, b->ptr + at + len, b->len - at - len);
    b->len -= len;
}

static void mutate(struct buf *b, struct rng *rng)
{
    size_t at = rng_below(rng, b->len + 1);
    size_t len = rng_below(rng, b->len - at + 1);
    const char *token = tokens[rng_below(rng, ARRAY_LEN(tokens))];
    char nul = 0;

    if (len > 64 && rng_below(rng, 8))
        len = rng_below(rng, 64);
    switch (rng_below(rng, 7)) {
    case 0:
        if (at < b->len)
            b->ptr[at] ^= (char)(1 << rng_below(rng, 8));
        break;
    case 1:
        if (at < b->len)
            b->ptr[at] = (char)rng_below(rng, 256);
        break;
    case 2:
        drop(b, at, len);
        break;
    case 3: {
        struct buf copy = {0};
        buf_add(&copy, b->ptr + at, len);
        if (b->len < 1 << 16)
            insert(b, rng_below(rng, b->len + 1), buf_text(&copy), copy.len);
        buf_release(&copy);
        break;
    }
    case 4:
        insert(b, at, &nul, 1);
        break;
    default:
        insert(b, at, token, strlen(token));
    }
}

/* Case K: one of the seeds, or the beginning of one and the end of another, mutated up to 8 times.
 */
static void make_case(unsigned long long k, struct buf *out)
{
    struct rng rng = {k * 0x9e3779b97f4a7c15ULL + 1};
    size_t seeds = 0;

    while (fuzz_target.seeds[seeds])
        seeds++;
    const char *first = fuzz_target.seeds[rng_below(&rng, seeds)];
    const char *second = fuzz_target.seeds[rng_below(&rng, seeds)];
    buf_reserve(out, 1 << 17);
    buf_reset(out);
    if (rng_below(&rng, 4) == 0) {
        buf_add(out, first, rng_below(&rng, strlen(first) + 1));
        buf_addstr(out, second + rng_below(&rng, strlen(second) + 1));
    } else {
        buf_addstr(out, first);
    }
    for (size_t n = rng_below(&rng, 8); n; n--)
        mutate(out, &rng);
}

int main(int argc, char **argv)
{
    unsigned long long cases = argc > 1 ? strtoull(argv[1], NULL, 10) : fuzz_target.cases;
    unsigned long long first = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    struct buf input = {0};

    signal(SIGSEGV, on_signal);
    signal(SIGABRT, on_signal);
    signal(SIGALRM, on_signal);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(name_case);
    for (present = first; present < first + cases; present++) {
        make_case(present, &input);
        /* An exact copy: a byte read behind the end is a fault that the sanitizer sees. */
        char *exact = xmalloc(input.len ? input.len : 1);
        if (input.len)
            memcpy(exact, input.ptr, input.len);
        alarm(20); /* a parser that hangs */
        fuzz_target.one(exact, input.len);
        free(exact);
    }
    alarm(0);
    buf_release(&input);
    printf("fuzz_%s: %llu cases\n", fuzz_target.name, cases);
    return 0;
}
