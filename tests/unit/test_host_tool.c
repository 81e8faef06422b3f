#include "host.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int enter_temp(void **state)
{
    char *dir = scratch_template("tool");

    *state = dir;
    return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int leave_temp(void **state)
{
    struct err e = {0};
    int rc = chdir("/") == 0 ? os_remove(*state, &e) : -1;

    free(*state);
    return rc;
}

static void put(const char *path, const char *text, uint32_t mode)
{
    struct err e = {0};

    assert_int_equal(os_mkdirs_for(path, &e), 0);
    assert_int_equal(os_write(path, text, strlen(text), mode, &e), 0);
}

static const char compiler[] = "#!/bin/sh\n"
                               "case \"$1\" in\n"
                               "--version) echo '  toycc 1.2 '; echo more;;\n"
                               "--check) exit 0;;\n"
                               "--cc1) echo \"$(dirname \"$0\")/../lib/cc1\";;\n"
                               "--as) echo toyas;;\n"
                               "--gone) echo /nowhere/ld;;\n"
                               "--bare) echo no-such-program-anywhere;;\n"
                               "--fails) echo /etc/passwd; exit 3;;\n"
                               "esac\n";

static void install(const char *prefix)
{
    struct arena arena = {0};

    put(arena_printf(&arena, "%s/bin/toycc", prefix), compiler, 0755);
    put(arena_printf(&arena, "%s/lib/cc1", prefix), "the compiler proper", 0755);
    put(arena_printf(&arena, "%s/bin/toyas", prefix), "#!/bin/sh\n# as\n", 0755);
    arena_release(&arena);
}

static const char *const version_args[] = {"--version", NULL};
static const char *const check_args[] = {"--check", NULL};
static const char *const cc1_args[] = {"--cc1", NULL};
static const char *const as_args[] = {"--as", NULL};
static const char *const gone_args[] = {"--gone", NULL};
static const char *const bare_args[] = {"--bare", NULL};
static const char *const fails_args[] = {"--fails", NULL};
static const char *const *const parts[] = {cc1_args,   as_args,  gone_args, bare_args,
                                           fails_args, cc1_args, NULL};

static struct host_tool find(const struct host_tool_query *q, struct arena *arena, bool expected)
{
    struct host_tool tool;
    struct err e = {0};
    bool found;

    if (host_find_tool(q, NULL, arena, &tool, &found, &e) < 0)
        fail_msg("%s", e.message);
    assert_int_equal(found, expected);
    return tool;
}

/* Puts a folder in front of PATH for one call. */
static struct host_tool find_along(const char *dir, const struct host_tool_query *q,
                                   struct arena *arena, bool expected)
{
    char *before = xstrdup(getenv("PATH"));
    struct host_tool tool;

    setenv("PATH", arena_printf(arena, "%s:%s", dir, before), 1);
    tool = find(q, arena, expected);
    setenv("PATH", before, 1);
    free(before);
    return tool;
}

static void a_tool_is_its_file_and_its_parts(void **state)
{
    const char *const candidates[] = {"toycc", NULL};
    struct host_tool_query q = {"cc", candidates, version_args, check_args, parts};
    struct arena arena = {0};
    struct host_tool tool;

    install("p1");
    tool = find_along("p1/bin", &q, &arena, true);
    assert_string_equal(tool.path, arena_printf(&arena, "%s/p1/bin/toycc", (char *)*state));
    assert_string_equal(tool.version, "toycc 1.2");
    assert_int_equal(tool.files.len, 3);
    assert_string_equal(tool.files.at[0], tool.path);
    assert_string_equal(tool.files.at[1], arena_printf(&arena, "%s/p1/lib/cc1", (char *)*state));
    assert_string_equal(tool.files.at[2], arena_printf(&arena, "%s/p1/bin/toyas", (char *)*state));
    assert_false(digest_is_zero(&tool.digest));
    strs_release(&tool.files);
    arena_release(&arena);
}

static struct digest digest_in(const char *prefix)
{
    struct arena arena = {0};
    char *path = arena_printf(&arena, "%s/bin/toycc", prefix);
    char *bin = arena_printf(&arena, "%s/bin", prefix);
    const char *candidates[] = {path, NULL};
    struct host_tool_query q = {"cc", candidates, version_args, NULL, parts};
    struct host_tool tool = find_along(bin, &q, &arena, true);

    strs_release(&tool.files);
    arena_release(&arena);
    return tool.digest;
}

static void the_digest_knows_content_and_not_folders(void **state)
{
    struct digest here;
    struct digest there;
    struct digest changed;

    (void)state;
    install("p2");
    install("elsewhere/p3");
    here = digest_in("p2");
    there = digest_in("elsewhere/p3");
    assert_true(digest_equal(&here, &there));
    put("elsewhere/p3/lib/cc1", "another compiler", 0755);
    changed = digest_in("elsewhere/p3");
    assert_false(digest_equal(&here, &changed));
    put("p2/bin/toycc", "#!/bin/sh\nexit 0\n", 0755);
    changed = digest_in("p2");
    assert_false(digest_equal(&here, &changed));
}

static void the_name_that_was_found_is_kept(void **state)
{
    const char *const candidates[] = {"links/bin/cc++", NULL};
    struct host_tool_query q = {.name = "c++", .candidates = candidates};
    struct arena arena = {0};
    struct host_tool tool;

    put("real/bin/driver", "#!/bin/sh\n", 0755);
    assert_int_equal(mkdir("links", 0755), 0);
    assert_int_equal(symlink("../real/bin", "links/bin"), 0);
    assert_int_equal(symlink("driver", "real/bin/cc++"), 0);
    tool = find(&q, &arena, true);
    assert_string_equal(tool.path, arena_printf(&arena, "%s/real/bin/cc++", (char *)*state));
    assert_int_equal(tool.files.len, 1);
    assert_string_equal(tool.files.at[0],
                        arena_printf(&arena, "%s/real/bin/driver", (char *)*state));
    assert_string_equal(tool.version, "");
    strs_release(&tool.files);
    arena_release(&arena);
}

static void candidates_that_fail_the_check_are_passed_over(void **state)
{
    const char *const candidates[] = {"absent",   "c/not-a-program", "c/unfit",
                                      "c/broken", "c/fit",           NULL};
    struct host_tool_query q = {"python3", candidates, NULL, check_args, NULL};
    struct arena arena = {0};
    struct host_tool tool;

    put("c/not-a-program", "#!/bin/sh\n", 0644);
    put("c/unfit", "#!/bin/sh\nexit 1\n", 0755);
    put("c/broken", "#!/no/such/interpreter\n", 0755);
    put("c/fit", "#!/bin/sh\nexit 0\n", 0755);
    tool = find(&q, &arena, true);
    assert_string_equal(tool.path, arena_printf(&arena, "%s/c/fit", (char *)*state));
    strs_release(&tool.files);
    q.check_args = NULL;
    tool = find(&q, &arena, true);
    assert_string_equal(tool.path, arena_printf(&arena, "%s/c/unfit", (char *)*state));
    strs_release(&tool.files);
    arena_release(&arena);
}

static void nothing_found_is_no_error(void **state)
{
    const char *const candidates[] = {"no-such-program-anywhere", "/nor/here", NULL};
    const char *const none[] = {NULL};
    struct host_tool_query q = {.name = "x", .candidates = candidates};
    struct arena arena = {0};
    struct host_tool tool = find(&q, &arena, false);

    (void)state;
    assert_int_equal(tool.files.len, 0);
    assert_string_equal(tool.path, "");
    q.candidates = none;
    find(&q, &arena, false);
    q.candidates = NULL;
    find(&q, &arena, false);
    arena_release(&arena);
}

static void a_tool_that_knows_no_version_has_none(void **state)
{
    const char *const candidates[] = {"/bin/false", NULL};
    struct host_tool_query q = {
        .name = "f", .candidates = candidates, .version_args = version_args};
    struct arena arena = {0};
    struct host_tool tool;

    (void)state;
    put("noisy", "#!/bin/sh\necho oops; exit 1\n", 0755);
    tool = find(&q, &arena, true);
    strs_release(&tool.files);
    q.candidates = (const char *const[]){"./noisy", NULL};
    tool = find(&q, &arena, true);
    assert_string_equal(tool.version, "");
    strs_release(&tool.files);
    arena_release(&arena);
}

/* A shim starts another program: its own text is what we have, and a part may name the rest. */
static void a_shim_is_digested_as_the_script_it_is(void **state)
{
    const char *const candidates[] = {"shims/python3", NULL};
    const char *const where[] = {"-c", "import sys; print(sys.executable)", NULL};
    const char *const *const named[] = {where, NULL};
    struct host_tool_query q = {.name = "python3", .candidates = candidates, .part_args = named};
    struct arena arena = {0};
    struct host_tool first;
    struct host_tool second;

    put("versions/3/python3", "#!/bin/sh\necho \"$0\"\n", 0755);
    put("shims/python3",
        arena_printf(&arena, "#!/bin/sh\nexec '%s/versions/3/python3' \"$@\"\n", (char *)*state),
        0755);
    first = find(&q, &arena, true);
    assert_int_equal(first.files.len, 2);
    assert_true(text_ends_with(first.files.at[0], "/shims/python3"));
    assert_true(text_ends_with(first.files.at[1], "/versions/3/python3"));
    put("versions/3/python3", "#!/bin/sh\n# newer\necho \"$0\"\n", 0755);
    second = find(&q, &arena, true);
    assert_false(digest_equal(&first.digest, &second.digest));
    strs_release(&first.files);
    strs_release(&second.files);
    arena_release(&arena);
}

static void the_cache_is_used(void **state)
{
    struct host_tool_query q = {.name = "c", .candidates = (const char *const[]){"./cached", NULL}};
    struct hash_cache *cache = hash_cache_open("cache");
    struct arena arena = {0};
    struct err e = {0};

    (void)state;
    put("cached", "#!/bin/sh\n", 0755);
    usleep(40000);
    for (int i = 0; i < 3; i++) {
        struct host_tool tool;
        bool found;

        assert_int_equal(host_find_tool(&q, cache, &arena, &tool, &found, &e), 0);
        assert_true(found);
        strs_release(&tool.files);
    }
    assert_int_equal(hash_cache_misses(cache), 1);
    hash_cache_close(cache);
    arena_release(&arena);
}

static void the_compiler_of_this_machine_is_found(void **state)
{
    const char *const candidates[] = {"cc", "gcc", "clang", NULL};
    const char *const proper[] = {"-print-prog-name=cc1", NULL};
    const char *const assembler[] = {"-print-prog-name=as", NULL};
    const char *const *const cc_parts[] = {proper, assembler, NULL};
    struct host_tool_query q = {"cc", candidates, version_args, version_args, cc_parts};
    struct arena arena = {0};
    struct host_tool tool;

    (void)state;
    if (!os_which(&arena, "cc"))
        skip();
    tool = find(&q, &arena, true);
    assert_int_equal(tool.path[0], '/');
    assert_true(strlen(tool.version) > 5);
    assert_true(tool.files.len >= 1);
    strs_release(&tool.files);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tool_is_its_file_and_its_parts),
        cmocka_unit_test(the_digest_knows_content_and_not_folders),
        cmocka_unit_test(the_name_that_was_found_is_kept),
        cmocka_unit_test(candidates_that_fail_the_check_are_passed_over),
        cmocka_unit_test(nothing_found_is_no_error),
        cmocka_unit_test(a_tool_that_knows_no_version_has_none),
        cmocka_unit_test(a_shim_is_digested_as_the_script_it_is),
        cmocka_unit_test(the_cache_is_used),
        cmocka_unit_test(the_compiler_of_this_machine_is_found),
    };

    return cmocka_run_group_tests_name("host_tool", tests, enter_temp, leave_temp);
}
