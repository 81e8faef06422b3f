#include "os.h"
#include "scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int enter_temp(void **state)
{
    char *dir = scratch_template("os");

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

static void ok(int rc, struct err *e)
{
    if (rc != 0 || e->set)
        fail_msg("%s", e->set ? e->message : "-1 without an error");
}

static void put(const char *path, const char *text)
{
    struct err e = {0};

    ok(os_write(path, text, strlen(text), 0644, &e), &e);
}

static void assert_content(const char *path, const char *text)
{
    struct buf out = {0};
    struct err e = {0};

    ok(os_read(path, &out, &e), &e);
    assert_string_equal(buf_text(&out), text);
    buf_release(&out);
}

static enum os_kind kind_at(const char *path)
{
    struct os_stat stat;
    struct err e = {0};

    ok(os_lstat(path, &stat, &e), &e);
    return stat.kind;
}

static size_t entries_in(const char *path)
{
    struct arena arena = {0};
    struct strs names = {0};
    struct err e = {0};
    size_t count;

    ok(os_list(path, &arena, &names, &e), &e);
    count = names.len;
    strs_release(&names);
    arena_release(&arena);
    return count;
}

/* Runs `fn` in a child in the empty folder `name` with the fault set; returns its exit code, or
 * minus the signal. */
static int with_fault(const char *name, const char *fault, int (*fn)(void))
{
    int status;
    pid_t pid;

    assert_int_equal(mkdir(name, 0755), 0);
    pid = fork();
    if (pid == 0) {
        if (chdir(name) != 0 || setenv("SPAK_FAULT", fault, 1) != 0)
            _exit(99);
        _exit(fn());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void stat_tells_kinds_apart(void **state)
{
    struct os_stat stat;
    struct err e = {0};

    (void)state;
    put("kinds", "12345");
    assert_int_equal(symlink("kinds", "kinds.link"), 0);
    assert_int_equal(symlink("nowhere", "kinds.dangling"), 0);
    assert_int_equal(mkfifo("kinds.fifo", 0644), 0);
    ok(os_stat("kinds", &stat, &e), &e);
    assert_int_equal(stat.kind, OS_FILE);
    assert_int_equal(stat.size_bytes, 5);
    assert_int_equal(stat.mode, 0644);
    assert_false(stat.executable);
    assert_true(llabs(stat.mtime_ns - os_wall_ns()) < 60000000000);
    ok(os_stat("kinds.link", &stat, &e), &e);
    assert_int_equal(stat.kind, OS_FILE);
    ok(os_lstat("kinds.link", &stat, &e), &e);
    assert_int_equal(stat.kind, OS_LINK);
    ok(os_stat("kinds.dangling", &stat, &e), &e);
    assert_int_equal(stat.kind, OS_ABSENT);
    assert_int_equal(kind_at("kinds.dangling"), OS_LINK);
    assert_int_equal(kind_at("."), OS_DIR);
    assert_int_equal(kind_at("kinds.fifo"), OS_OTHER);
    assert_int_equal(kind_at("kinds/below-a-file"), OS_ABSENT);
    assert_int_equal(chmod("kinds", 0750), 0);
    ok(os_stat("kinds", &stat, &e), &e);
    assert_true(stat.executable);
    ok(os_stat(".", &stat, &e), &e);
    assert_false(stat.executable);
}

static void stat_of_a_loop_is_an_error(void **state)
{
    struct os_stat stat;
    struct err e = {0};

    (void)state;
    assert_int_equal(symlink("loop", "loop"), 0);
    assert_int_equal(os_stat("loop", &stat, &e), -1);
    assert_int_equal(e.code, ERR_os);
    assert_non_null(strstr(e.message, "loop"));
    err_release(&e);
}

static void read_appends_every_byte(void **state)
{
    struct buf out = {0};
    struct err e = {0};
    char *big = xmalloc(300000);

    (void)state;
    for (size_t i = 0; i < 300000; i++)
        big[i] = (char)(i * 7);
    ok(os_write("big", big, 300000, 0644, &e), &e);
    buf_addstr(&out, "head");
    ok(os_read("big", &out, &e), &e);
    assert_int_equal(out.len, 300004);
    assert_memory_equal(out.ptr, "head", 4);
    assert_memory_equal(out.ptr + 4, big, 300000);
    assert_int_equal(out.ptr[out.len], '\0');
    free(big);
    buf_release(&out);
}

static void read_of_files_without_a_size(void **state)
{
    struct buf out = {0};
    struct err e = {0};

    (void)state;
    ok(os_read("/proc/self/status", &out, &e), &e);
    assert_non_null(strstr(out.ptr, "Threads:"));
    buf_release(&out);
    put("empty", "");
    ok(os_read("empty", &out, &e), &e);
    assert_int_equal(out.len, 0);
    assert_string_equal(buf_text(&out), "");
    buf_release(&out);
}

static void read_says_what_it_could_not_read(void **state)
{
    struct buf out = {0};
    struct err e = {0};

    (void)state;
    assert_int_equal(os_read("absent.txt", &out, &e), -1);
    assert_string_equal(e.message, "cannot read absent.txt: No such file or directory");
    err_release(&e);
    assert_int_equal(os_read(".", &out, &e), -1);
    assert_string_equal(e.message, "cannot read .: Is a directory");
    err_release(&e);
    buf_release(&out);
}

static void write_replaces_and_sets_the_mode(void **state)
{
    struct os_stat stat;
    struct err e = {0};
    mode_t before = umask(077);

    (void)state;
    put("w", "old");
    assert_int_equal(chmod("w", 0444), 0);
    ok(os_write("w", "new\0x", 5, 0755, &e), &e);
    umask(before);
    ok(os_stat("w", &stat, &e), &e);
    assert_int_equal(stat.mode, 0755);
    assert_int_equal(stat.size_bytes, 5);
    ok(os_write_durable("w", "kept", 4, 0600, &e), &e);
    assert_content("w", "kept");
    ok(os_stat("w", &stat, &e), &e);
    assert_int_equal(stat.mode, 0600);
}

/* Who holds the old file open keeps reading the old text: the new one is another inode. */
static void write_does_not_touch_the_old_file(void **state)
{
    char text[8] = "";
    int fd;

    (void)state;
    put("held", "old");
    fd = open("held", O_RDONLY);
    put("held", "new");
    assert_int_equal(read(fd, text, sizeof(text)), 3);
    assert_string_equal(text, "old");
    close(fd);
    assert_content("held", "new");
}

static void write_that_fails_leaves_nothing(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(mkdir("full", 0755), 0);
    assert_int_equal(mkdir("full/taken", 0755), 0);
    assert_int_equal(os_write("full/taken", "x", 1, 0644, &e), -1);
    assert_non_null(strstr(e.message, "full/taken"));
    err_release(&e);
    assert_int_equal(entries_in("full"), 1);
    assert_int_equal(os_write("full/no/such/folder", "x", 1, 0644, &e), -1);
    err_release(&e);
}

static int write_over_old(void)
{
    struct err e = {0};
    struct buf out = {0};
    const char *fault = getenv("SPAK_FAULT");
    char *copy = xstrdup(fault);
    int rc;

    unsetenv("SPAK_FAULT");
    put("f", "old");
    setenv("SPAK_FAULT", copy, 1);
    rc = os_write_durable("f", "new", 3, 0644, &e);
    unsetenv("SPAK_FAULT");
    free(copy);
    if (os_read("f", &out, &(struct err){0}) < 0 || entries_in(".") != 1)
        return 50;
    if (rc == 0)
        return strcmp(out.ptr, "new") == 0 ? 0 : 51;
    if (!strstr(e.message, "f: ") || (strstr(e.message, "No space") && !e.hint))
        return 52;
    return strcmp(out.ptr, "old") == 0 ? 1 : 53;
}

static void a_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    assert_int_equal(with_fault("f1", "write:1:ENOSPC", write_over_old), 1);
    assert_int_equal(with_fault("f2", "fsync:1:EIO", write_over_old), 1);
    assert_int_equal(with_fault("f3", "rename:1:ENOSPC", write_over_old), 1);
    assert_int_equal(with_fault("f4", "open:1:ENOSPC", write_over_old), 1);
    assert_int_equal(with_fault("f5", "write:2:ENOSPC", write_over_old), 0);
}

static void an_interrupted_call_is_tried_again(void **state)
{
    (void)state;
    assert_int_equal(with_fault("i1", "write:1:EINTR", write_over_old), 0);
    assert_int_equal(with_fault("i2", "open:1:EINTR", write_over_old), 0);
    assert_int_equal(with_fault("i3", "rename:1:EINTR", write_over_old), 0);
    assert_int_equal(with_fault("i4", "fsync:1:EINTR", write_over_old), 0);
}

static void a_kill_leaves_the_old_file(void **state)
{
    (void)state;
    assert_int_equal(with_fault("k1", "write:1:KILL", write_over_old), -SIGKILL);
    assert_content("k1/f", "old");
    assert_int_equal(with_fault("k2", "rename:1:KILL", write_over_old), -SIGKILL);
    assert_content("k2/f", "old");
    assert_int_equal(entries_in("k2"), 2); /* and the temporary, with its known prefix */
}

static int read_with_fault(void)
{
    struct buf out = {0};
    struct err e = {0};

    return os_read("/etc/passwd", &out, &e) < 0 ? (strstr(e.message, "Input/output") ? 1 : 2) : 0;
}

static int mkdirs_with_fault(void)
{
    struct err e = {0};

    return os_mkdirs("a/b/c", &e) < 0 ? 1 : kind_at("a/b/c") == OS_DIR ? 0 : 2;
}

static int remove_with_fault(void)
{
    struct err e = {0};

    put("x", "x");
    return os_remove("x", &e) < 0 ? (kind_at("x") == OS_FILE ? 1 : 3)
                                  : (kind_at("x") == OS_ABSENT ? 0 : 2);
}

static int list_with_fault(void)
{
    struct arena arena = {0};
    struct strs names = {0};
    struct err e = {0};

    return os_list(".", &arena, &names, &e) < 0 ? 1 : 0;
}

static void other_calls_pass_their_points(void **state)
{
    (void)state;
    assert_int_equal(with_fault("o1", "read:1:EIO", read_with_fault), 1);
    assert_int_equal(with_fault("o2", "read:2:EIO", read_with_fault), 1);
    assert_int_equal(with_fault("o3", "read:1:EINTR", read_with_fault), 0);
    assert_int_equal(with_fault("o4", "mkdir:1:ENOSPC", mkdirs_with_fault), 1);
    assert_int_equal(with_fault("o5", "mkdir:3:ENOSPC", mkdirs_with_fault), 1);
    assert_int_equal(with_fault("o6", "mkdir:1:EINTR", mkdirs_with_fault), 0);
    assert_int_equal(with_fault("o7", "remove:1:EIO", remove_with_fault), 1);
    assert_int_equal(with_fault("o8", "remove:1:EINTR", remove_with_fault), 0);
    assert_int_equal(with_fault("o9", "list:1:EIO", list_with_fault), 1);
    assert_int_equal(with_fault("o10", "list:1:EINTR", list_with_fault), 0);
}

static int pass_unknown_point(void)
{
    close(2);
    os_fault("no-such-point");
    return 0;
}

static void bad_faults_are_bugs_not_silence(void **state)
{
    (void)state;
    assert_int_equal(with_fault("b1", "write:1:EIO", pass_unknown_point), -SIGABRT);
    assert_int_equal(with_fault("b2", "read:0:EIO", read_with_fault), -SIGABRT);
    assert_int_equal(with_fault("b3", "read:1:EWHAT", read_with_fault), -SIGABRT);
}

static void fault_points_are_sorted(void **state)
{
    const char *const *points = os_fault_points();

    (void)state;
    assert_non_null(points[0]);
    for (size_t i = 1; points[i]; i++)
        assert_true(strcmp(points[i - 1], points[i]) < 0);
    assert_int_equal(os_fault("write"), 0);
}

static void copy_takes_content_and_the_given_mode(void **state)
{
    struct os_stat stat;
    struct err e = {0};

    (void)state;
    put("from", "content");
    ok(os_copy("from", "to", 0555, &e), &e);
    assert_content("to", "content");
    ok(os_stat("to", &stat, &e), &e);
    assert_int_equal(stat.mode, 0555);
    assert_int_equal(os_copy("absent", "to", 0644, &e), -1);
    assert_string_equal(e.message, "cannot read absent: No such file or directory");
    err_release(&e);
    assert_content("to", "content");
}

static void write_in_place_keeps_the_file_it_found(void **state)
{
    struct os_stat before;
    struct os_stat after;
    struct err e = {0};

    (void)state;
    put("place", "a longer text than the next");
    ok(os_stat("place", &before, &e), &e);
    ok(os_write_in_place("place", "short", 5, &e), &e);
    ok(os_stat("place", &after, &e), &e);
    assert_int_equal(before.inode, after.inode);
    assert_content("place", "short");
    ok(os_write_in_place("place.new", "x", 1, &e), &e);
    assert_content("place.new", "x");
    assert_int_equal(os_write_in_place("no/such/folder", "x", 1, &e), -1);
    assert_non_null(strstr(e.message, "cannot write no/such/folder"));
    err_release(&e);
}

static void rename_names_both_sides(void **state)
{
    struct err e = {0};

    (void)state;
    put("r1", "x");
    ok(os_rename("r1", "r2", &e), &e);
    assert_content("r2", "x");
    assert_int_equal(kind_at("r1"), OS_ABSENT);
    assert_int_equal(os_rename("r1", "r3", &e), -1);
    assert_non_null(strstr(e.message, "r1 to r3"));
    err_release(&e);
}

static void mkdirs_makes_what_is_missing(void **state)
{
    struct err e = {0};

    (void)state;
    ok(os_mkdirs("m/a//b/./c/", &e), &e);
    assert_int_equal(kind_at("m/a/b/c"), OS_DIR);
    ok(os_mkdirs("m/a/b/c", &e), &e);
    ok(os_mkdirs(".", &e), &e);
    ok(os_mkdirs("/", &e), &e);
    ok(os_mkdirs_for("m/x/y/file", &e), &e);
    assert_int_equal(kind_at("m/x/y"), OS_DIR);
    assert_int_equal(kind_at("m/x/y/file"), OS_ABSENT);
    ok(os_mkdirs_for("file-here", &e), &e);
    ok(os_mkdirs_for("/file-at-the-root", &e), &e);
    put("m/file", "");
    assert_int_equal(os_mkdirs("m/file", &e), -1);
    assert_non_null(strstr(e.message, "Not a directory"));
    err_release(&e);
    assert_int_equal(os_mkdirs("m/file/below", &e), -1);
    err_release(&e);
}

static void remove_takes_trees_but_not_through_links(void **state)
{
    struct err e = {0};

    (void)state;
    ok(os_mkdirs("outside", &e), &e);
    put("outside/precious", "x");
    ok(os_mkdirs("tree/a/b/c", &e), &e);
    put("tree/f", "");
    put("tree/a/b/g", "");
    assert_int_equal(symlink("../outside", "tree/link"), 0);
    assert_int_equal(symlink("../../outside/precious", "tree/a/link"), 0);
    assert_int_equal(chmod("tree/a/b", 0555), 0);
    ok(os_remove("tree", &e), &e);
    assert_int_equal(kind_at("tree"), OS_ABSENT);
    assert_content("outside/precious", "x");
    assert_int_equal(symlink("outside", "to-outside"), 0);
    ok(os_remove("to-outside", &e), &e);
    assert_content("outside/precious", "x");
    ok(os_remove("never-was", &e), &e);
    ok(os_remove("outside/precious", &e), &e);
    assert_int_equal(kind_at("outside/precious"), OS_ABSENT);
}

static void remove_of_a_deep_tree(void **state)
{
    struct buf path = {0};
    struct err e = {0};

    (void)state;
    buf_addstr(&path, "deep");
    for (int i = 0; i < 1000; i++)
        buf_addstr(&path, "/d");
    ok(os_mkdirs(path.ptr, &e), &e);
    ok(os_remove("deep", &e), &e);
    assert_int_equal(kind_at("deep"), OS_ABSENT);
    buf_release(&path);
}

static void list_is_sorted_by_bytes(void **state)
{
    struct arena arena = {0};
    struct strs names = {0};
    struct err e = {0};

    (void)state;
    ok(os_mkdirs("l", &e), &e);
    put("l/b", "");
    put("l/.hidden", "");
    put("l/B", "");
    put("l/a b", "");
    ok(os_list("l", &arena, &names, &e), &e);
    assert_int_equal(names.len, 4);
    assert_string_equal(names.at[0], ".hidden");
    assert_string_equal(names.at[1], "B");
    assert_string_equal(names.at[2], "a b");
    assert_string_equal(names.at[3], "b");
    strs_release(&names);
    assert_int_equal(os_list("l/none", &arena, &names, &e), -1);
    assert_non_null(strstr(e.message, "cannot list l/none"));
    err_release(&e);
    strs_release(&names);
    arena_release(&arena);
}

static void a_temporary_is_kept_or_dropped(void **state)
{
    struct err e = {0};
    char *temp;
    int fd;

    (void)state;
    ok(os_mkdirs("t", &e), &e);
    ok(os_temp_open("t/x", 0640, &temp, &fd, &e), &e);
    assert_true(text_starts_with(temp, "t/" OS_TEMP_PREFIX));
    ok(os_write_fd(fd, "ab", 2, "t/x", &e), &e);
    ok(os_write_fd(fd, "cd", 2, "t/x", &e), &e);
    assert_int_equal(kind_at("t/x"), OS_ABSENT);
    ok(os_temp_keep("t/x", temp, fd, false, &e), &e);
    assert_content("t/x", "abcd");
    ok(os_temp_open("t/y", 0640, &temp, &fd, &e), &e);
    os_temp_drop(temp, fd);
    assert_int_equal(entries_in("t"), 1);
}

static long resident_pages(void)
{
    long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &all, &resident), 2);
    fclose(file);
    return resident;
}

static long sum_of(const char *bytes, size_t len)
{
    long sum = 0;

    for (size_t i = 0; i < len; i += 512)
        sum += bytes[i];
    return sum;
}

/* What only this process has changed must not go with it. */
static void a_map_that_rests_holds_no_memory(void **state)
{
    const size_t len = (size_t)8 << 20;
    char *bytes = malloc(len);
    struct err e = {0};
    struct os_map map;
    int fd;

    (void)state;
    assert_non_null(bytes);
    memset(bytes, 'x', len);
    ok(os_write("mapped", bytes, len, 0644, &e), &e);
    ok(os_open_read("mapped", &fd, &e), &e);
    char *shared = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    char *private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    assert_true(shared != MAP_FAILED && private != MAP_FAILED);
    private[0] = 'y';
    long sum = sum_of(shared, len), before = resident_pages();
    assert_true(os_map_find(fd, &map));
    assert_ptr_equal(map.at, shared);
    assert_int_equal(map.bytes, len);
    os_map_rest(&map);
    assert_true(before - resident_pages() > 1024);
    assert_int_equal(sum_of(shared, len), sum);
    assert_int_equal(private[0], 'y');
    munmap(shared, len);
    assert_false(os_map_find(fd, &map));
    munmap(private, 4096);
    close(fd);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stat_tells_kinds_apart),
        cmocka_unit_test(stat_of_a_loop_is_an_error),
        cmocka_unit_test(read_appends_every_byte),
        cmocka_unit_test(read_of_files_without_a_size),
        cmocka_unit_test(read_says_what_it_could_not_read),
        cmocka_unit_test(write_replaces_and_sets_the_mode),
        cmocka_unit_test(write_does_not_touch_the_old_file),
        cmocka_unit_test(write_that_fails_leaves_nothing),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
        cmocka_unit_test(an_interrupted_call_is_tried_again),
        cmocka_unit_test(a_kill_leaves_the_old_file),
        cmocka_unit_test(other_calls_pass_their_points),
        cmocka_unit_test(bad_faults_are_bugs_not_silence),
        cmocka_unit_test(fault_points_are_sorted),
        cmocka_unit_test(copy_takes_content_and_the_given_mode),
        cmocka_unit_test(write_in_place_keeps_the_file_it_found),
        cmocka_unit_test(rename_names_both_sides),
        cmocka_unit_test(mkdirs_makes_what_is_missing),
        cmocka_unit_test(remove_takes_trees_but_not_through_links),
        cmocka_unit_test(remove_of_a_deep_tree),
        cmocka_unit_test(list_is_sorted_by_bytes),
        cmocka_unit_test(a_temporary_is_kept_or_dropped),
        cmocka_unit_test(a_map_that_rests_holds_no_memory),
    };

    return cmocka_run_group_tests_name("os_file", tests, enter_temp, leave_temp);
}
