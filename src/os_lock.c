#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int flock_passing_fault(int fd, int how)
{
    int fault = os_fault("lock");

    if (fault) {
        errno = fault;
        return -1;
    }
    return flock(fd, how);
}

/* Somebody may remove out/ between our open and our lock: then the lock is on a file without a
 * name. */
static bool still_named(int fd, const char *path)
{
    struct stat ours;
    struct stat named;

    return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

static int lock(const char *path, int how, int *fd, bool *held_elsewhere, struct err *e)
{
    *fd = -1;
    for (;;) {
        int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

        if (file < 0)
            return err_errno(e, ERR_os, "cannot open the lock %s", path);
        while (flock_passing_fault(file, how) < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EWOULDBLOCK && held_elsewhere) {
                *held_elsewhere = true;
                close(file);
                return 0;
            }
            err_errno(e, ERR_os, "cannot lock %s", path);
            close(file);
            return -1;
        }
        if (still_named(file, path)) {
            *fd = file;
            return 0;
        }
        close(file);
    }
}

int os_lock_try(const char *path, int *fd, bool *held_elsewhere, struct err *e)
{
    *held_elsewhere = false;
    return lock(path, LOCK_EX | LOCK_NB, fd, held_elsewhere, e);
}

int os_lock_wait(const char *path, int *fd, struct err *e)
{
    return lock(path, LOCK_EX, fd, NULL, e);
}

void os_unlock(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
