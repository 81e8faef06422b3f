/* proc_world: programs that are started and collected, for the tests of processes. */
#ifndef PROC_WORLD_H
#define PROC_WORLD_H

#include "os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const no_env[] = {NULL};

static inline struct os_spawn plain(const char *const *argv)
{
    return (struct os_spawn){
        .argv = argv, .env = no_env, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
}

static char *folder;
static char path_room[8][256];

/* A path in the test's folder; a slot each, good until the slot is used again. */
static inline const char *in_folder(int slot, const char *name)
{
    snprintf(path_room[slot], sizeof path_room[slot], "%s/%s", folder, name);
    return path_room[slot];
}

static inline void put(const char *path, const char *text, mode_t mode)
{
    struct err e = {0};

    assert_int_equal(os_write(path, text, strlen(text), mode, &e), 0);
}

/* Spawns with stdout in `out` and waits. */
static inline struct os_exit collect(struct os_spawn *how, struct buf *out)
{
    struct os_exit end = {0};
    struct err e = {0};
    char chunk[4096];
    int ends[2];
    pid_t pid;
    int pidfd;
    ssize_t n;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    how->stdout_fd = ends[1];
    assert_int_equal(os_spawn(how, &pid, &pidfd, &e), 0);
    close(ends[1]);
    while ((n = read(ends[0], chunk, sizeof chunk)) > 0)
        buf_add(out, chunk, (size_t)n);
    assert_int_equal(os_wait(pid, &end, &e), 0);
    close(ends[0]);
    close(pidfd);
    return end;
}

static inline struct os_exit collect_sh(const char *script, struct buf *out)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct os_spawn how = plain(argv);

    return collect(&how, out);
}

static inline bool has_ended(pid_t pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH;
}

/* Processes that nobody collects (an init that does not) count as ended too. */
static inline bool is_gone(pid_t pid)
{
    char path[64];
    char line[512] = "";
    FILE *file;

    if (has_ended(pid))
        return true;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return true;
    if (!fgets(line, sizeof line, file))
        line[0] = '\0';
    fclose(file);
    return strstr(line, ") Z ") != NULL;
}

static inline bool gone_within_ms(pid_t pid, int ms)
{
    for (; ms > 0 && !is_gone(pid); ms -= 5)
        usleep(5000);
    return is_gone(pid);
}

static inline int open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static inline int make_folder(void **state)
{
    static char name[] = "/tmp/spak-proc-XXXXXX";

    (void)state;
    folder = mkdtemp(name);
    return folder ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    struct err e = {0};

    (void)state;
    return os_remove(folder, &e);
}

#endif
