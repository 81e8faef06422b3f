#define _GNU_SOURCE
#include "sandbox_parts.h"

#include "os_arch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define FIELD(name) ((unsigned)offsetof(struct seccomp_data, name))
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(field))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define TELL_OF(number)                                                                            \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(number), 0, 1), RETURN(SECCOMP_RET_USER_NOTIF)

/* Whatever opens a file is told of before it happens. */
static const struct sock_filter filter[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OS_AUDIT_ARCH, 1, 0),
    RETURN(SECCOMP_RET_ALLOW),
    LOAD(nr),
    TELL_OF(SYS_openat),
    TELL_OF(OS_CALL_OPEN),
    TELL_OF(OS_CALL_CREAT),
    TELL_OF(OS_CALL_OPENAT2),
    RETURN(SECCOMP_RET_ALLOW),
};

struct sandbox_watch {
    pthread_t thread;
    int from_fd;     /* where the child sends its listener */
    int *child_fd;   /* the sandbox's end */
    int stop_fds[2]; /* closed at the far end: enough */
    char found[PATH_MAX];
};

/* In the child: nothing here may fail the command, which is refused all the same. */
void sandbox_watch_apply(int to_fd)
{
    struct sock_fprog program = {.len = ARRAY_LEN(filter),
                                 .filter = (struct sock_filter *)(uintptr_t)filter};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char byte = 0;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (listener < 0)
        return;
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof listener);
    memcpy(CMSG_DATA(&control.header), &listener, sizeof listener);
    sendmsg(to_fd, &message, MSG_NOSIGNAL);
    close(listener); /* the message holds it; gone with it, calls end with ENOSYS */
}

static int receive(int from_fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char byte;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    int listener = -1;
    if (recvmsg(from_fd, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message))
        memcpy(&listener, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof listener);
    return listener;
}

/* Whether there is something to do on `fd`: false when it is enough, or nobody is left there. */
static bool await(const struct sandbox_watch *w, int fd)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = w->stop_fds[0], .events = POLLIN}};
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return false;
        if (p[1].revents) /* first: who is left behind could keep it busy for ever */
            return false;
        if (p[0].revents)
            return p[0].revents & POLLIN;
    }
}

/* The path of a call that is held, links followed; it may have been changed meanwhile, and whether
 * the call succeeds is not decided by it. */
static bool path_of(const struct seccomp_notif *call, char out[PATH_MAX])
{
    char path[PATH_MAX] = "", from[64], folder[PATH_MAX] = "", whole[2 * PATH_MAX + 1];
    bool at = call->data.nr == SYS_openat || call->data.nr == OS_CALL_OPENAT2;
    uint64_t address = call->data.args[at ? 1 : 0];
    size_t first = 4096 - address % 4096;
    struct iovec here = {path, sizeof path - 1};
    struct iovec there[2] = {
        {(void *)(uintptr_t)address, first},
        {(void *)(uintptr_t)(address + first), first < here.iov_len ? here.iov_len - first : 0}};
    if (process_vm_readv((pid_t)call->pid, &here, 1, there, 2, 0) <= 0)
        return false;
    if (*path != '/') {
        int dir = at ? (int)call->data.args[0] : AT_FDCWD;
        if (dir == AT_FDCWD)
            snprintf(from, sizeof from, "/proc/%d/cwd", (int)call->pid);
        else
            snprintf(from, sizeof from, "/proc/%d/fd/%d", (int)call->pid, dir);
        if (readlink(from, folder, sizeof folder - 1) <= 0)
            return false;
    }
    snprintf(whole, sizeof whole, "%s/%s", folder, path);
    return realpath(whole, out);
}

static void look_at(struct sandbox_watch *w, const struct seccomp_notif *call)
{
    char path[PATH_MAX];
    if (!*w->found && path_of(call, path) && sandbox_is_accelerator(path))
        memcpy(w->found, path, sizeof path);
}

static void *watch(void *ctx)
{
    struct sandbox_watch *w = ctx;
    int listener = await(w, w->from_fd) ? receive(w->from_fd) : -1;
    while (listener >= 0 && await(w, listener)) {
        struct seccomp_notif call = {0};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) {
            if (errno == EINTR || errno == ENOENT)
                continue;
            break;
        }
        look_at(w, &call);
        struct seccomp_notif_resp go_on = {.id = call.id,
                                           .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &go_on);
    }
    if (listener >= 0)
        close(listener);
    return NULL;
}

/* Where there is none, none can be reached for. */
static bool has_accelerator(void)
{
    DIR *dev = opendir("/dev");
    struct dirent *entry;
    bool found = false;
    while (dev && !found && (entry = readdir(dev))) {
        char path[sizeof entry->d_name + sizeof "/dev/"];
        snprintf(path, sizeof path, "/dev/%s", entry->d_name);
        found = sandbox_is_accelerator(path);
    }
    if (dev)
        closedir(dev);
    return found;
}

static void close_both(int fds[2])
{
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

int sandbox_watch_start(struct sandbox *sandbox, struct sandbox_watch **out, struct err *e)
{
    int ends[2] = {-1, -1};
    sigset_t all, before;
    *out = NULL;
    if (!sandbox_filter_supported() || !has_accelerator())
        return 0;
    struct sandbox_watch *w = xcalloc(1, sizeof *w);
    w->stop_fds[0] = w->stop_fds[1] = -1;
    if (pipe2(w->stop_fds, O_CLOEXEC) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        err_errno(e, ERR_os, "cannot watch a command");
        goto fail;
    }
    w->from_fd = ends[0];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = pthread_create(&w->thread, NULL, watch, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errno) {
        err_errno(e, ERR_os, "cannot start a thread");
        goto fail;
    }
    w->child_fd = sandbox_watch_fd(sandbox);
    *w->child_fd = ends[1];
    *out = w;
    return 0;
fail:
    close_both(ends);
    close_both(w->stop_fds);
    free(w);
    return -1;
}

const char *sandbox_watch_end(struct sandbox_watch *w, struct arena *arena)
{
    if (!w)
        return NULL;
    close(w->stop_fds[1]);
    pthread_join(w->thread, NULL);
    close(w->stop_fds[0]);
    close(w->from_fd);
    close(*w->child_fd);
    *w->child_fd = -1; /* who runs under this sandbox again is not watched */
    const char *found = *w->found ? arena_strdup(arena, w->found) : NULL;
    free(w);
    return found;
}
