#define _GNU_SOURCE
#include "os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fault(const char *point)
{
    int number = os_fault(point);

    if (number)
        errno = number;
    return number != 0;
}

/* One sentence for each cause that a person can do something about. */
static int fail(struct err *e, const char *verb, const char *path)
{
    int number = errno;

    err_errno(e, ERR_os, "cannot %s %s", verb, path);
    if (number == ENOSPC || number == EDQUOT)
        err_hint(e, "free some space on that file system, then run the same command again");
    else if (number == EROFS)
        err_hint(e, "the file system is mounted read-only");
    else if (number == EACCES || number == EPERM)
        err_hint(e, "check who owns it and its permissions (ls -ld %s)", path);
    else if (number == EMFILE || number == ENFILE)
        err_hint(e, "raise the limit of open files (ulimit -n)");
    errno = number;
    return -1;
}

static enum os_kind kind_of(mode_t mode)
{
    if (S_ISREG(mode))
        return OS_FILE;
    if (S_ISDIR(mode))
        return OS_DIR;
    return S_ISLNK(mode) ? OS_LINK : OS_OTHER;
}

static int64_t time_ns(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int fill_stat(int rc, const struct stat *in, const char *path, struct os_stat *out,
                     struct err *e)
{
    *out = (struct os_stat){.kind = OS_ABSENT};
    if (rc < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : fail(e, "look at", path);
    out->kind = kind_of(in->st_mode);
    out->mode = in->st_mode & 07777;
    out->executable = out->kind == OS_FILE && (in->st_mode & 0111) != 0;
    out->device = in->st_dev;
    out->inode = in->st_ino;
    out->size_bytes = (uint64_t)in->st_size;
    out->mtime_ns = time_ns(in->st_mtim);
    out->ctime_ns = time_ns(in->st_ctim);
    return 0;
}

int os_stat(const char *path, struct os_stat *out, struct err *e)
{
    struct stat in;
    int rc = stat(path, &in);

    return fill_stat(rc, &in, path, out, e);
}

int os_open_folder(const char *path)
{
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool os_stat_at(int folder, const char *name, struct os_stat *out)
{
    struct stat in;
    struct err ignored = {0};
    int rc = -1;

    errno = ENOENT;
    if (folder >= 0)
        rc = fstatat(folder, name, &in, 0);
    rc = fill_stat(rc, &in, name, out, &ignored);
    err_release(&ignored);
    return rc == 0;
}

int os_lstat(const char *path, struct os_stat *out, struct err *e)
{
    struct stat in;
    int rc = lstat(path, &in);

    return fill_stat(rc, &in, path, out, e);
}

static int open_file(const char *path, int flags, mode_t mode)
{
    int fd;

    do {
        fd = fault("open") ? -1 : open(path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

int os_open_read(const char *path, int *fd, struct err *e)
{
    *fd = open_file(path, O_RDONLY, 0);
    return *fd < 0 ? fail(e, "read", path) : 0;
}

int os_read_fd(int fd, void *bytes, size_t len, size_t *got, const char *path, struct err *e)
{
    ssize_t n;

    do {
        n = fault("read") ? -1 : read(fd, bytes, len);
    } while (n < 0 && errno == EINTR);
    *got = n > 0 ? (size_t)n : 0;
    return n < 0 ? fail(e, "read", path) : 0;
}

int os_read(const char *path, struct buf *out, struct err *e)
{
    struct stat stat;
    size_t room = 4096;
    size_t got = 1;
    int fd = open_file(path, O_RDONLY, 0);
    int rc = 0;

    if (fd < 0)
        return fail(e, "read", path);
    /* One byte more than the size, so that the end is found without growing. */
    if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_size > 0)
        room = (size_t)stat.st_size + 1;
    while (rc == 0 && got > 0) {
        rc = os_read_fd(fd, buf_reserve(out, room), room, &got, path, e);
        out->len += got;
        room = room > got ? room - got : 65536;
    }
    if (out->ptr)
        out->ptr[out->len] = '\0';
    close(fd);
    return rc;
}

/* What is written in one call lies together in the kernel's memory, and whoever maps the file and
 * looks at one page of that has all of it mapped. */
#define WRITE_BYTES ((size_t)64 << 10)

int os_write_fd(int fd, const void *bytes, size_t len, const char *path, struct err *e)
{
    const char *from = bytes;

    while (len > 0) {
        ssize_t n = fault("write") ? -1 : write(fd, from, len < WRITE_BYTES ? len : WRITE_BYTES);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(e, "write", path);
        from += n;
        len -= (size_t)n;
    }
    return 0;
}

int os_write_at(int fd, const void *bytes, size_t len, uint64_t offset, const char *path,
                struct err *e)
{
    const char *from = bytes;

    while (len > 0) {
        ssize_t n = fault("write_at") ? -1 : pwrite(fd, from, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(e, "write", path);
        from += n;
        offset += (size_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* The name of a temporary beside `path`; on the heap, because it is freed when the file is kept or
 * dropped. */
static char *temp_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    int dir_len = slash ? (int)(slash - path) + 1 : 0;
    struct buf name = {0};
    uint64_t noise = 0;

    if (getrandom(&noise, sizeof(noise), 0) != (ssize_t)sizeof(noise))
        noise = (uint64_t)os_monotonic_ns() ^ (uint64_t)getpid() << 40;
    buf_addf(&name, "%.*s" OS_TEMP_PREFIX "%016llx", dir_len, path, (unsigned long long)noise);
    return name.ptr;
}

int os_temp_open(const char *path, uint32_t mode, char **temp, int *fd, struct err *e)
{
    do {
        *temp = temp_name(path);
        *fd = open_file(*temp, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (*fd >= 0)
            break;
        free(*temp);
        *temp = NULL;
    } while (errno == EEXIST);
    if (*fd < 0)
        return fail(e, "write", path);
    /* Not through open: there the umask takes bits away. */
    if (fchmod(*fd, (mode_t)mode) < 0) {
        fail(e, "set the mode of", path);
        os_temp_drop(*temp, *fd);
        *temp = NULL;
        *fd = -1;
        return -1;
    }
    return 0;
}

void os_temp_drop(char *temp, int fd)
{
    if (fd >= 0)
        close(fd);
    if (temp)
        unlink(temp);
    free(temp);
}

static int rename_path(const char *from, const char *to)
{
    int rc;

    do {
        rc = fault("rename") ? -1 : rename(from, to);
    } while (rc < 0 && errno == EINTR);
    return rc;
}

static int sync_fd(int fd)
{
    int rc;

    do {
        rc = fault("fsync") ? -1 : fsync(fd);
    } while (rc < 0 && errno == EINTR);
    return rc;
}

/* After this the name itself survives a power cut. File systems that cannot sync a folder say
 * EINVAL. */
static int sync_folder_of(const char *path, struct err *e)
{
    struct arena arena = {0};
    const char *dir = os_dirname(&arena, path);
    int fd = open_file(dir, O_RDONLY | O_DIRECTORY, 0);
    int rc = fd < 0 ? -1 : sync_fd(fd);

    if (rc < 0 && errno == EINVAL)
        rc = 0;
    if (rc < 0)
        fail(e, "sync", dir);
    if (fd >= 0)
        close(fd);
    arena_release(&arena);
    return rc;
}

int os_temp_keep(const char *path, char *temp, int fd, bool durable, struct err *e)
{
    int rc = 0;

    if (durable && sync_fd(fd) < 0)
        rc = fail(e, "sync", path);
    /* EINTR from close has closed the descriptor on Linux. */
    if (close(fd) < 0 && errno != EINTR && rc == 0)
        rc = fail(e, "write", path);
    if (rc == 0 && rename_path(temp, path) < 0)
        rc = fail(e, "replace", path);
    if (rc < 0) {
        os_temp_drop(temp, -1);
        return rc;
    }
    free(temp);
    return durable ? sync_folder_of(path, e) : 0;
}

static int write_whole(const char *path, const void *bytes, size_t len, uint32_t mode, bool durable,
                       struct err *e)
{
    char *temp;
    int fd;

    if (os_temp_open(path, mode, &temp, &fd, e) < 0)
        return -1;
    if (os_write_fd(fd, bytes, len, path, e) < 0) {
        os_temp_drop(temp, fd);
        return -1;
    }
    return os_temp_keep(path, temp, fd, durable, e);
}

int os_write(const char *path, const void *bytes, size_t len, uint32_t mode, struct err *e)
{
    return write_whole(path, bytes, len, mode, false, e);
}

int os_write_in_place(const char *path, const void *bytes, size_t len, struct err *e)
{
    int fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    int rc;

    if (fd < 0)
        return fail(e, "write", path);
    rc = os_write_fd(fd, bytes, len, path, e);
    if (close(fd) < 0 && rc == 0)
        rc = fail(e, "write", path);
    return rc;
}

int os_write_durable(const char *path, const void *bytes, size_t len, uint32_t mode, struct err *e)
{
    return write_whole(path, bytes, len, mode, true, e);
}

static int copy_content(int in, const char *from, int out, const char *to, struct err *e)
{
    enum { PIECE_BYTES = 1 << 18 };
    char *piece = xmalloc(PIECE_BYTES);
    size_t got;
    int rc;

    do {
        rc = os_read_fd(in, piece, PIECE_BYTES, &got, from, e);
        if (rc == 0)
            rc = os_write_fd(out, piece, got, to, e);
    } while (rc == 0 && got > 0);
    free(piece);
    return rc;
}

int os_copy(const char *from, const char *to, uint32_t mode, struct err *e)
{
    char *temp = NULL;
    int out = -1;
    int in = open_file(from, O_RDONLY, 0);
    int rc;

    if (in < 0)
        return fail(e, "read", from);
    rc = os_temp_open(to, mode, &temp, &out, e);
    if (rc == 0) {
        rc = copy_content(in, from, out, to, e);
        if (rc < 0)
            os_temp_drop(temp, out);
        else
            rc = os_temp_keep(to, temp, out, false, e);
    }
    close(in);
    return rc;
}

int os_rename(const char *from, const char *to, struct err *e)
{
    struct buf both = {0};

    if (rename_path(from, to) == 0)
        return 0;
    buf_addf(&both, "%s to %s", from, to);
    fail(e, "rename", both.ptr);
    buf_release(&both);
    return -1;
}

/* 0 when the folder is there afterwards, whoever made it. */
static int make_folder(const char *path)
{
    struct stat stat_of;
    int rc;

    do {
        rc = fault("mkdir") ? -1 : mkdir(path, 0777);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0 && errno == EEXIST) {
        rc = stat(path, &stat_of);
        if (rc == 0 && !S_ISDIR(stat_of.st_mode)) {
            errno = ENOTDIR;
            rc = -1;
        }
    }
    return rc;
}

int os_mkdirs(const char *path, struct err *e)
{
    struct stat there;
    char *part;
    int rc = 0;

    /* Most often it is there already, or its parent is. */
    if (*path == '\0' || (stat(path, &there) == 0 && S_ISDIR(there.st_mode)) ||
        make_folder(path) == 0)
        return 0;
    if (errno != ENOENT)
        return fail(e, "make the folder", path);
    part = xstrdup(path);
    for (size_t i = 1; rc == 0 && path[i - 1]; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        part[i] = '\0';
        rc = make_folder(part);
        if (rc < 0)
            fail(e, "make the folder", part);
        part[i] = path[i];
    }
    free(part);
    return rc;
}

int os_mkdirs_for(const char *path, struct err *e)
{
    struct arena arena = {0};
    int rc = os_mkdirs(os_dirname(&arena, path), e);

    arena_release(&arena);
    return rc;
}

static DIR *open_folder(const char *path)
{
    DIR *dir;

    do {
        dir = fault("list") ? NULL : opendir(path);
    } while (!dir && errno == EINTR);
    return dir;
}

/* The next name other than . and ..; NULL at the end, with errno 0, or when reading failed. */
static const struct dirent *next_entry(DIR *dir)
{
    const struct dirent *entry;

    do {
        errno = 0;
        entry = readdir(dir);
    } while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    return entry;
}

int os_list(const char *path, struct arena *arena, struct strs *out, struct err *e)
{
    const struct dirent *entry;
    DIR *dir = open_folder(path);
    int rc = 0;

    if (!dir)
        return fail(e, "list", path);
    while ((entry = next_entry(dir)) != NULL)
        strs_push(out, arena_strdup(arena, entry->d_name));
    if (errno)
        rc = fail(e, "list", path);
    closedir(dir);
    strs_sort(out);
    return rc;
}

static int unlink_passing_fault(const char *path, bool folder)
{
    int rc;

    do {
        rc = fault("remove") ? -1 : folder ? rmdir(path) : unlink(path);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 && errno == ENOENT ? 0 : rc;
}

/* Removes the files of a folder and notes the folders in it. Commands may have made it read-only,
 * hence the chmod. */
static int empty_folder(const char *path, struct arena *arena, struct strs *folders, struct err *e)
{
    struct strs names = {0};
    struct os_stat stat;
    int rc = 0;

    chmod(path, 0700);
    if (os_list(path, arena, &names, e) < 0)
        rc = -1;
    for (size_t i = 0; rc == 0 && i < names.len; i++) {
        const char *below = arena_printf(arena, "%s/%s", path, names.at[i]);

        rc = os_lstat(below, &stat, e);
        if (rc == 0 && stat.kind == OS_DIR)
            strs_push(folders, below);
        else if (rc == 0 && unlink_passing_fault(below, false) < 0)
            rc = fail(e, "remove", below);
    }
    strs_release(&names);
    return rc;
}

int os_remove(const char *path, struct err *e)
{
    struct arena arena = {0};
    struct strs folders = {0};
    struct os_stat stat;
    int rc = os_lstat(path, &stat, e);

    if (rc < 0 || stat.kind == OS_ABSENT)
        return rc;
    if (stat.kind != OS_DIR)
        return unlink_passing_fault(path, false) < 0 ? fail(e, "remove", path) : 0;
    strs_push(&folders, path);
    for (size_t i = 0; rc == 0 && i < folders.len; i++)
        rc = empty_folder(folders.at[i], &arena, &folders, e);
    /* A folder was noted after the one it lies in: backwards, each is empty when its turn comes. */
    for (size_t i = folders.len; rc == 0 && i > 0; i--) {
        if (unlink_passing_fault(folders.at[i - 1], true) < 0)
            rc = fail(e, "remove", folders.at[i - 1]);
    }
    strs_release(&folders);
    arena_release(&arena);
    return rc;
}
