#define _GNU_SOURCE
#include "sandbox.h"

#include "os_arch.h"
#include "sandbox_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Landlock's numbers are written out: the engine must compile with C library headers that are older
 * than the kernel it runs on. */
enum { LANDLOCK_VERSION = 1 << 0, LANDLOCK_PATH_BENEATH = 1, LANDLOCK_NEWEST = 7 };

enum access {
    EXECUTE = 1 << 0,
    WRITE_FILE = 1 << 1,
    READ_FILE = 1 << 2,
    READ_DIR = 1 << 3,
    REMOVE_DIR = 1 << 4,
    REMOVE_FILE = 1 << 5,
    MAKE_CHAR = 1 << 6,
    MAKE_DIR = 1 << 7,
    MAKE_REG = 1 << 8,
    MAKE_SOCK = 1 << 9,
    MAKE_FIFO = 1 << 10,
    MAKE_BLOCK = 1 << 11,
    MAKE_SYM = 1 << 12,
    REFER = 1 << 13,     /* version 2 */
    TRUNCATE = 1 << 14,  /* version 3 */
    IOCTL_DEV = 1 << 15, /* version 5 */
};
enum {
    ACCESS_READ = EXECUTE | READ_FILE | READ_DIR,
    ACCESS_DEVICE = READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | IOCTL_DEV,
    ACCESS_NAME_THREADS = WRITE_FILE | TRUNCATE,
    ACCESS_WRITE = ACCESS_READ | WRITE_FILE | TRUNCATE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR |
                   MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_SYM | REFER,
    ACCESS_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV,
};
enum {
    NET_TCP = 3 /* version 4: bind, connect */,
    SCOPE = 3 /* version 6: abstract sockets, signals */
};

/* The powers of root by which it could look into other processes, or reach the kernel and the
 * network past the rules. Those over files stay, the rules bind them. */
static const int dropped_capabilities[] = {
    2 /* DAC_READ_SEARCH */, 12 /* NET_ADMIN */,  13 /* NET_RAW */,   16 /* SYS_MODULE */,
    17 /* SYS_RAWIO */,      19 /* SYS_PTRACE */, 21 /* SYS_ADMIN */, 22 /* SYS_BOOT */,
    25 /* SYS_TIME */,       34 /* SYSLOG */,     38 /* PERFMON */,   39 /* BPF */,
};

struct ruleset {
    uint64_t files;
    uint64_t net;
    uint64_t scope;
};
struct rule {
    uint64_t access;
    int32_t fd;
} __attribute__((packed));

struct sandbox {
    int ruleset_fd; /* -1: this kernel has no Landlock */
    int watch_fd;   /* -1: nobody watches */
    uint64_t handled;
    bool filtered;
    struct sock_fprog filter;
    uint64_t memory_bytes;
    uint64_t file_bytes;
    uint64_t processes;
};

struct sandbox_kernel sandbox_kernel_now(void)
{
    long version = syscall(OS_CALL_LANDLOCK_CREATE_RULESET, NULL, (size_t)0, LANDLOCK_VERSION);

    return (struct sandbox_kernel){version < 0 ? 0 : (int)version, sandbox_filter_supported()};
}

enum sandbox_level sandbox_supported(const char **text)
{
    static const char *const names[][2] = {
        {"none", "seccomp"},
        {"landlock-1", "landlock-1 seccomp"},
        {"landlock-2", "landlock-2 seccomp"},
        {"landlock-3", "landlock-3 seccomp"},
        {"landlock-4", "landlock-4 seccomp"},
        {"landlock-5", "landlock-5 seccomp"},
        {"landlock-6", "landlock-6 seccomp"},
        {"landlock-7", "landlock-7 seccomp"},
    };
    struct sandbox_kernel now = sandbox_kernel_now();
    int version = now.landlock < LANDLOCK_NEWEST ? now.landlock : LANDLOCK_NEWEST;

    if (text)
        *text = names[version][now.filter];
    if (version == 0)
        return SANDBOX_NONE;
    return now.filter ? SANDBOX_FULL : SANDBOX_FILES;
}

const char *const *sandbox_system_paths(void)
{
    static const char *const paths[] = {
        "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
        /* where NixOS and Guix keep everything */
        "/nix/store", "/gnu/store", "/run/current-system",
        /* what the dynamic loader, the C library and the usual tools read at start */
        "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload",
        "/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/localtime", "/etc/timezone",
        "/etc/locale.alias", "/etc/terminfo", "/etc/mime.types", "/etc/os-release",
        "/etc/gitconfig", "/etc/fonts", "/etc/alternatives", "/etc/python3", "/etc/ssl/openssl.cnf",
        "/etc/ssl/certs", "/etc/pki/tls/openssl.cnf", "/etc/crypto-policies", "/etc/OpenCL",
        "/etc/vulkan", NULL};

    return paths;
}

static const char *const kernel_paths[] = {"/proc", "/sys", NULL};
static const char *const device_paths[] = {"/dev/null",   "/dev/zero",    "/dev/full",
                                           "/dev/random", "/dev/urandom", "/dev/tty",
                                           "/dev/ptmx",   "/dev/pts",     NULL};
static const char *const scratch_paths[] = {"/dev/shm", NULL};

bool sandbox_is_accelerator(const char *path)
{
    static const char *const whole[] = {"dri", "kfd", "dxg", "accel"};
    if (!text_starts_with(path, "/dev/"))
        return false;
    const char *name = path + strlen("/dev/");
    size_t len = strcspn(name, "/");

    for (size_t i = 0; i < ARRAY_LEN(whole); i++)
        if (strlen(whole[i]) == len && strncmp(name, whole[i], len) == 0)
            return true;
    return text_starts_with(name, "nvidia");
}

static uint64_t handled_files(int version)
{
    uint64_t all = (1 << 13) - 1;

    if (version >= 2)
        all |= REFER;
    if (version >= 3)
        all |= TRUNCATE;
    if (version >= 5)
        all |= IOCTL_DEV;
    return all;
}

/* A newer kernel takes this struct as one of the past, an older one only as long as it knows it. */
static int create_ruleset(struct sandbox *sandbox, int version, bool network, struct err *e)
{
    struct ruleset set = {.files = handled_files(version)};
    size_t bytes = offsetof(struct ruleset, net);

    if (version == 0)
        return 0;
    if (version >= 4) {
        bytes = offsetof(struct ruleset, scope);
        set.net = network ? 0 : NET_TCP;
    }
    if (version >= 6) {
        bytes = sizeof set;
        set.scope = SCOPE;
    }
    sandbox->handled = set.files;
    sandbox->ruleset_fd = (int)syscall(OS_CALL_LANDLOCK_CREATE_RULESET, &set, bytes, 0);
    if (sandbox->ruleset_fd < 0)
        return err_errno(e, ERR_os, "cannot create a Landlock ruleset");
    return 0;
}

/* Returns an errno. */
static int allow_fd(const struct sandbox *sandbox, int fd, uint64_t access)
{
    struct rule rule = {.access = access & sandbox->handled, .fd = fd};
    struct stat stat;

    if (fstat(fd, &stat) < 0)
        return errno;
    if (!S_ISDIR(stat.st_mode))
        rule.access &= ACCESS_OF_FILES;
    if (rule.access == 0)
        return 0;
    if (syscall(OS_CALL_LANDLOCK_ADD_RULE, sandbox->ruleset_fd, LANDLOCK_PATH_BENEATH, &rule, 0))
        return errno;
    return 0;
}

static int allow(const struct sandbox *sandbox, const char *path, uint64_t access)
{
    int fd;
    int error;

    if (sandbox->ruleset_fd < 0)
        return 0;
    fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno;
    error = allow_fd(sandbox, fd, access);
    close(fd);
    return error;
}

/* What cannot be allowed stays refused; that is the error to show, when something asks for it. */
static void allow_all(const struct sandbox *sandbox, const char *const *paths, uint64_t access)
{
    for (; paths && *paths; paths++)
        allow(sandbox, *paths, access);
}

static int allow_writes(const struct sandbox *sandbox, const char *const *paths, struct err *e)
{
    for (; paths && *paths; paths++) {
        errno = allow(sandbox, *paths, ACCESS_WRITE);
        if (errno)
            return err_errno(e, ERR_os, "cannot let a command write %s", *paths);
    }
    return 0;
}

/* CUDA's driver names its threads through /proc/self/task/N/comm and gives up where it may not.
 * Which processes and threads there will be is not known beforehand, so it is all of /proc that
 * the user may write. The names in /dev are for who makes a sandbox within this one. */
static void allow_accelerators(const struct sandbox *sandbox)
{
    DIR *dev = opendir("/dev");
    struct dirent *entry;
    char path[sizeof entry->d_name + sizeof "/dev/"];

    allow(sandbox, "/proc", ACCESS_NAME_THREADS);
    allow(sandbox, "/dev", READ_DIR);
    if (!dev)
        return;
    while ((entry = readdir(dev))) {
        strcpy(stpcpy(path, "/dev/"), entry->d_name);
        if (sandbox_is_accelerator(path))
            allow(sandbox, path, ACCESS_DEVICE);
    }
    closedir(dev);
}

int sandbox_prepare_for(struct sandbox_kernel kernel, const struct sandbox_policy *policy,
                        struct sandbox **out, struct err *e)
{
    struct sandbox *sandbox = xcalloc(1, sizeof *sandbox);

    sandbox->ruleset_fd = sandbox->watch_fd = -1;
    sandbox->memory_bytes = policy->memory_bytes;
    sandbox->file_bytes = policy->file_bytes;
    sandbox->processes = policy->processes;
    sandbox->filtered = kernel.filter;
    sandbox->filter = sandbox_filter(policy->network);
    if (create_ruleset(sandbox, kernel.landlock, policy->network, e) < 0)
        goto fail;
    allow_all(sandbox, kernel_paths, ACCESS_READ);
    allow_all(sandbox, device_paths, ACCESS_DEVICE);
    if (!policy->alone)
        allow_all(sandbox, scratch_paths, ACCESS_WRITE);
    allow_all(sandbox, policy->read, ACCESS_READ);
    allow_all(sandbox, policy->list, READ_DIR);
    if (policy->devices)
        allow_accelerators(sandbox);
    if (allow_writes(sandbox, policy->write, e) < 0)
        goto fail;
    *out = sandbox;
    return 0;
fail:
    sandbox_free(sandbox);
    return -1;
}

int sandbox_prepare(const struct sandbox_policy *policy, struct sandbox **out, struct err *e)
{
    return sandbox_prepare_for(sandbox_kernel_now(), policy, out, e);
}

/* Lowers only: a limit of the surroundings that is tighter stays. */
static int limit(int resource, uint64_t value)
{
    struct rlimit now;

    if (getrlimit(resource, &now) < 0)
        return errno;
    if (now.rlim_max == RLIM_INFINITY || value < now.rlim_max)
        now.rlim_max = value;
    if (now.rlim_cur == RLIM_INFINITY || value < now.rlim_cur)
        now.rlim_cur = value;
    return setrlimit(resource, &now) < 0 ? errno : 0;
}

static int apply_limits(const struct sandbox *sandbox)
{
    int error = limit(RLIMIT_CORE, 0);

    if (!error && sandbox->memory_bytes)
        error = limit(RLIMIT_AS, sandbox->memory_bytes);
    if (!error && sandbox->file_bytes)
        error = limit(RLIMIT_FSIZE, sandbox->file_bytes);
    if (!error && sandbox->processes)
        error = limit(RLIMIT_NPROC, sandbox->processes);
    return error;
}

/* Out of the bounding set: exec gives root what is left there. Who is not root has none to lose and
 * is not allowed to. */
static void drop_capabilities(void)
{
    for (size_t i = 0; i < ARRAY_LEN(dropped_capabilities); i++)
        if (prctl(PR_CAPBSET_DROP, dropped_capabilities[i], 0, 0, 0) < 0 && errno == EPERM)
            return;
}

int sandbox_apply(void *ctx)
{
    const struct sandbox *sandbox = ctx;
    int error = apply_limits(sandbox);

    if (error)
        return error;
    drop_capabilities();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return errno;
    if (sandbox->ruleset_fd >= 0 &&
        syscall(OS_CALL_LANDLOCK_RESTRICT_SELF, sandbox->ruleset_fd, 0) < 0)
        return errno;
    error = sandbox->filtered ? sandbox_filter_apply(&sandbox->filter) : 0;
    if (!error && sandbox->watch_fd >= 0)
        sandbox_watch_apply(sandbox->watch_fd);
    return error;
}

int *sandbox_watch_fd(struct sandbox *sandbox)
{
    return &sandbox->watch_fd;
}

void sandbox_free(struct sandbox *sandbox)
{
    if (!sandbox)
        return;
    if (sandbox->ruleset_fd >= 0)
        close(sandbox->ruleset_fd);
    free(sandbox);
}

int sandbox_reserve(const char *path, struct err *e)
{
    static const struct timespec long_ago[2] = {{0, 0}, {0, 0}};
    int fd;
    int rc = 0;

    if (os_remove(path, e) < 0)
        return -1;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_errno(e, ERR_os, "cannot make the output %s", path);
    if (futimens(fd, long_ago) < 0)
        rc = err_errno(e, ERR_os, "cannot date the output %s", path);
    close(fd);
    return rc;
}

bool sandbox_still_reserved(const struct os_stat *stat)
{
    return stat->kind == OS_FILE && stat->size_bytes == 0 && stat->mtime_ns == 0;
}
