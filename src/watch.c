#define _GNU_SOURCE
#include "watch_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE_MS = 1000 };

#define COMES_OR_GOES                                                                              \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)
#define OF_FILES (COMES_OR_GOES | IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE)

/* A folder that is watched: one of the stamps' or one above it. Two spellings of a folder have one
 * number of inotify's. */
struct watched {
    const char *path;
    uint32_t folder; /* of the stamps; STAMP_NONE: only a part of the way */
    int wd;
    uint32_t next; /* the other spelling, plus 1 */
};

struct watch {
    const char *state_dir;
    const char *root;
    int listen_fd, inotify_fd, signal_fd;
    int own_wd; /* of the engine's folder */
    bool over;
    struct stamps *stamps; /* NULL: nobody asked yet */
    struct arena arena;    /* of the list below */
    struct watched *list;
    size_t count, cap;
    struct strmap by_path;
    uint32_t *by_wd; /* index into list, plus 1 */
    size_t wd_cap;
    bool stale;        /* not everything is watched any more */
    uint64_t number;   /* of the last event */
    uint64_t lost_at;  /* before this one nothing is known */
    uint64_t clean_at; /* when all stamps held */
    uint64_t *changed; /* one a stamp: its last event */
    bool *always;      /* what inotify does not see */
};

static void lose(struct watch *w)
{
    w->lost_at = ++w->number;
    w->stale = true;
}

static void forget(struct watch *w)
{
    if (w->inotify_fd >= 0)
        close(w->inotify_fd);
    stamps_free(w->stamps);
    strmap_release(&w->by_path);
    arena_release(&w->arena);
    free(w->list);
    free(w->by_wd);
    free(w->changed);
    free(w->always);
    w->list = NULL;
    w->by_wd = NULL;
    w->changed = NULL;
    w->always = NULL;
    w->stamps = NULL;
    w->inotify_fd = -1;
    w->count = w->cap = w->wd_cap = 0;
    lose(w);
}

static void index_wd(struct watch *w, struct watched *one)
{
    size_t wd = (size_t)one->wd;

    if (wd >= w->wd_cap) {
        size_t cap = 2 * wd + 64;

        w->by_wd = xrealloc(w->by_wd, cap * sizeof(*w->by_wd));
        memset(w->by_wd + w->wd_cap, 0, (cap - w->wd_cap) * sizeof(*w->by_wd));
        w->wd_cap = cap;
    }
    one->next = w->by_wd[wd];
    w->by_wd[wd] = (uint32_t)(one - w->list) + 1;
}

static int no_room(struct err *e)
{
    err_errno(e, ERR_os, "cannot watch all the folders of this project");
    return err_hint(e, "raise the limit: sysctl fs.inotify.max_user_watches=1000000");
}

static int add_one(struct watch *w, const char *path, uint32_t folder, struct err *e)
{
    uint32_t known = strmap_get(&w->by_path, path);

    if (known != STRMAP_NONE)
        return 0;
    if (w->count == w->cap) {
        w->cap = w->cap ? 2 * w->cap : 256;
        w->list = xrealloc(w->list, w->cap * sizeof(*w->list));
    }
    struct watched *one = &w->list[w->count];
    *one = (struct watched){.path = path, .folder = folder};
    one->wd = inotify_add_watch(w->inotify_fd, path,
                                (folder == STAMP_NONE ? COMES_OR_GOES : OF_FILES) | IN_ONLYDIR |
                                    IN_MASK_ADD);
    if (one->wd < 0 && errno == ENOSPC)
        return no_room(e);
    strmap_set(&w->by_path, path, (uint32_t)w->count++);
    if (one->wd >= 0)
        index_wd(w, one);
    return 0;
}

/* All folders above: when one of those is moved, so is what lies in it. */
static int add_way(struct watch *w, const char *path, struct err *e)
{
    while (strcmp(path, ".") != 0 && strcmp(path, "/") != 0) {
        path = os_dirname(&w->arena, path);
        if (strmap_get(&w->by_path, path) != STRMAP_NONE)
            return 0;
        if (add_one(w, path, STAMP_NONE, e) < 0)
            return -1;
    }
    return 0;
}

/* A folder that is not there, or not where its name says, tells nothing of what is behind the name.
 */
static bool tells(struct watch *w, const char *folder)
{
    struct err ignored = {0};
    char *real = os_realpath(&w->arena, folder, &ignored);
    bool same = real && !strcmp(real, os_join(&w->arena, w->root, folder));
    uint32_t at = strmap_get(&w->by_path, folder);

    err_release(&ignored);
    return same && at != STRMAP_NONE && w->list[at].wd >= 0;
}

/* Of a name in a folder: a link's target and another name of a file are somewhere else. */
static bool is_elsewhere(int folder, const char *name)
{
    struct stat st;

    if (folder < 0 || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    return S_ISLNK(st.st_mode) || (S_ISREG(st.st_mode) && st.st_nlink > 1);
}

static void find_unseen(struct watch *w, uint32_t folder)
{
    const char *path = stamps_folder(w->stamps, folder);
    bool folder_tells = tells(w, path);
    int fd = os_open_folder(path);
    uint32_t first, count;

    stamps_in_folder(w->stamps, folder, &first, &count);
    for (uint32_t i = first; i < first + count; i++)
        w->always[i] = !folder_tells || is_elsewhere(fd, stamps_name(w->stamps, i));
    if (fd >= 0)
        close(fd);
}

static int take_stamps(struct watch *w, struct err *e)
{
    struct arena arena = {0};
    int rc = 0;

    forget(w);
    w->stale = false;
    w->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (w->inotify_fd < 0)
        return err_errno(e, ERR_os, "cannot ask the kernel for changes of files");
    w->own_wd = inotify_add_watch(w->inotify_fd, w->state_dir, IN_DELETE | IN_MOVE_SELF);
    w->stamps = stamps_map(arena_printf(&arena, "%s/stamps", w->state_dir), NULL);
    arena_release(&arena);
    if (!w->stamps)
        return 0;
    w->changed = xcalloc(stamps_count(w->stamps) + 1, sizeof(*w->changed));
    w->always = xcalloc(stamps_count(w->stamps) + 1, sizeof(*w->always));
    for (uint32_t i = 0; rc == 0 && i < stamps_folder_count(w->stamps); i++)
        rc = add_one(w, stamps_folder(w->stamps, i), i, e);
    for (uint32_t i = 0; rc == 0 && i < stamps_folder_count(w->stamps); i++)
        rc = add_way(w, stamps_folder(w->stamps, i), e);
    for (uint32_t i = 0; rc == 0 && i < stamps_count(w->stamps); i++)
        if (stamps_kind(w->stamps, i) == STAMP_EXACT)
            rc = add_one(w, stamps_path(w->stamps, i, &w->arena), STAMP_NONE, e);
    for (uint32_t i = 0; rc == 0 && i < stamps_folder_count(w->stamps); i++)
        find_unseen(w, i);
    return rc;
}

static void mark(struct watch *w, uint32_t stamp)
{
    if (stamp != STAMP_NONE)
        w->changed[stamp] = ++w->number;
}

/* The name may stand for something else now. */
static void look_again(struct watch *w, const struct watched *in, const char *name)
{
    uint32_t stamp = stamps_find_in(w->stamps, in->folder, name);
    int fd = os_open_folder(in->path);

    if (stamp != STAMP_NONE && is_elsewhere(fd, name))
        w->always[stamp] = true;
    if (fd >= 0)
        close(fd);
}

static bool is_way(struct watch *w, const char *folder, const char *name)
{
    struct arena arena = {0};
    const char *path = name;

    if (strcmp(folder, ".") != 0)
        path = arena_printf(&arena, "%s%s%s", folder, strcmp(folder, "/") ? "/" : "", name);
    bool way = strmap_get(&w->by_path, path) != STRMAP_NONE;
    arena_release(&arena);
    return way;
}

static void take_event(struct watch *w, const struct inotify_event *event)
{
    if (event->wd == w->own_wd && event->wd >= 0) {
        w->over |= !(event->mask & IN_DELETE) || !strcmp(event->name, "watch");
        return;
    }
    if (event->mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF)) {
        lose(w);
        return;
    }
    if (event->wd < 0 || (size_t)event->wd >= w->wd_cap || event->len == 0)
        return;
    for (uint32_t at = w->by_wd[event->wd]; at; at = w->list[at - 1].next) {
        const struct watched *one = &w->list[at - 1];

        if ((event->mask & COMES_OR_GOES) && is_way(w, one->path, event->name))
            lose(w);
        if (event->mask & COMES_OR_GOES)
            mark(w, stamps_find(w->stamps, one->path));
        if (one->folder == STAMP_NONE)
            continue;
        mark(w, stamps_find_in(w->stamps, one->folder, event->name));
        if (event->mask & (IN_CREATE | IN_MOVED_TO))
            look_again(w, one, event->name);
    }
}

static void take_events(struct watch *w)
{
    char bytes[1 << 16] __attribute__((aligned(8)));
    ssize_t n;

    while (w->inotify_fd >= 0 && (n = read(w->inotify_fd, bytes, sizeof(bytes))) > 0)
        for (char *at = bytes; at < bytes + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;

            take_event(w, event);
            at += sizeof(*event) + event->len;
        }
}

static void reply(struct watch *w, int fd)
{
    struct watch_reply head = {.number = w->number};
    struct ids which = {0};

    if (w->stamps) {
        head.stamps = stamps_id(w->stamps);
        head.known = w->clean_at >= w->lost_at;
    }
    for (uint32_t i = 0; head.known && i < stamps_count(w->stamps); i++)
        if (w->always[i] || w->changed[i] > w->clean_at)
            ids_push(&which, i);
    head.count = (uint32_t)which.len;
    if (watch_send(fd, &head, sizeof(head)) && which.len > 0)
        watch_send(fd, which.at, which.len * sizeof(*which.at));
    ids_release(&which);
}

/* Every event from before the request is taken first: what changed before somebody asked is in the
 * answer. */
static int serve_one(struct watch *w, struct err *e)
{
    struct watch_request request;
    int fd = accept4(w->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        return 0;
    watch_be_patient(fd, PATIENCE_MS);
    if (watch_receive(fd, &request, sizeof(request))) {
        bool ours = w->stamps && stamps_id(w->stamps) == request.stamps;

        take_events(w);
        if (request.kind == WATCH_ASK && (!ours || w->stale))
            rc = take_stamps(w, e);
        if (rc == 0 && request.kind == WATCH_ASK)
            reply(w, fd);
        if (request.kind == WATCH_CLEAN && ours && request.number >= w->lost_at)
            w->clean_at = request.number > w->clean_at ? request.number : w->clean_at;
    }
    close(fd);
    return rc;
}

static int open_socket(struct watch *w, struct err *e)
{
    struct sockaddr_un address;

    if (!watch_address(w->state_dir, &address))
        return err_set(e, ERR_os, "%s is too long a name for a socket", w->state_dir);
    unlink(address.sun_path);
    w->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (w->listen_fd < 0 || bind(w->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(w->listen_fd, 16) < 0)
        return err_errno(e, ERR_os, "cannot listen at %s", address.sun_path);
    return 0;
}

static int open_signals(struct watch *w, struct err *e)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    w->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    return w->signal_fd < 0 ? err_errno(e, ERR_os, "cannot listen for signals") : 0;
}

static int serve(struct watch *w, struct err *e)
{
    while (!w->over) {
        struct pollfd fds[] = {{.fd = w->signal_fd, .events = POLLIN},
                               {.fd = w->listen_fd, .events = POLLIN},
                               {.fd = w->inotify_fd, .events = POLLIN}};

        if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
            return err_errno(e, ERR_os, "cannot wait for changes");
        if (fds[0].revents)
            return 0;
        if (fds[2].revents)
            take_events(w);
        if (fds[1].revents && serve_one(w, e) < 0)
            return -1;
    }
    return 0;
}

int watch_serve(const char *state_dir, struct err *e)
{
    struct watch w = {
        .state_dir = state_dir, .listen_fd = -1, .inotify_fd = -1, .signal_fd = -1, .own_wd = -1};
    struct arena arena = {0};
    struct sockaddr_un address;
    bool elsewhere = false;
    int lock_fd = -1;
    int rc = os_lock_try(arena_printf(&arena, "%s/watch.lock", state_dir), &lock_fd, &elsewhere, e);

    if (rc == 0 && elsewhere) {
        err_set(e, ERR_os, "another spak watches this project already");
        rc = err_hint(e, "one is enough: builds find it by themselves");
    }
    if (rc == 0) {
        w.root = os_realpath(&arena, ".", e);
        rc = w.root ? 0 : -1;
    }
    if (rc == 0)
        rc = open_signals(&w, e);
    if (rc == 0)
        rc = open_socket(&w, e);
    if (rc == 0)
        rc = take_stamps(&w, e);
    if (rc == 0)
        rc = serve(&w, e);
    if (w.listen_fd >= 0 && watch_address(state_dir, &address))
        unlink(address.sun_path);
    forget(&w);
    if (w.listen_fd >= 0)
        close(w.listen_fd);
    if (w.signal_fd >= 0)
        close(w.signal_fd);
    os_unlock(&lock_fd);
    arena_release(&arena);
    return rc;
}
