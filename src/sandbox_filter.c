#define _GNU_SOURCE
#include "sandbox_parts.h"

#include "base.h"
#include "os_arch.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* A kernel before 5.16 slows a filtered program down against speculation unless it is told not to;
 * that would change what a benchmark measures. */
enum { FILTER_ALLOW_SPECULATION = 1 << 2 };

#define FIELD(name) ((unsigned)offsetof(struct seccomp_data, name))
/* Arguments are 64 bits wide, and the kernel takes the lower 32 of those looked at here: both
 * machines have them first. */
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(field))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define IF_EQUAL(value, skip_if_not) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip_if_not))
#define UNLESS_EQUAL(value, skip_if) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (skip_if), 0)
#define IF_AT_LEAST(value, skip_if_not)                                                            \
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (value), 0, (skip_if_not))
#define REFUSE(error) RETURN(SECCOMP_RET_ERRNO | (error))
#define ALLOW RETURN(SECCOMP_RET_ALLOW)

/* A terminal that the command can open must not take input from it as if the user had typed it. */
#define NO_FAKE_TYPING(ioctl_call)                                                                 \
    IF_EQUAL((ioctl_call), 5), LOAD(args[1]), UNLESS_EQUAL(TIOCSTI, 2),                            \
        UNLESS_EQUAL(TIOCLINUX, 1), ALLOW, REFUSE(EPERM)

/* io_uring opens sockets without the socket call; programs take "no such call" as an old kernel and
 * do without. */
#define NO_NETWORK(socket_call)                                                                    \
    IF_EQUAL(OS_CALL_IO_URING_SETUP, 1), REFUSE(ENOSYS), IF_EQUAL((socket_call), 4),               \
        LOAD(args[0]), UNLESS_EQUAL(AF_UNIX, 1), REFUSE(EACCES), ALLOW

#define NO_NETWORK_LENGTH 7
#define NO_FAKE_TYPING_LENGTH 6

/* The 32-bit socketcall keeps its arguments in memory, where a filter cannot look. */
#define NO_SOCKETCALL IF_EQUAL(OS_CALL32_SOCKETCALL, 1), REFUSE(EACCES)
#define NO_SOCKETCALL_LENGTH 2

/* Programs for a machine of another kind, or in a third numbering, have no business in a build. */
static const struct sock_filter filter_offline[] = {
    LOAD(arch),
    IF_EQUAL(OS_AUDIT_ARCH, 4 + NO_NETWORK_LENGTH + NO_FAKE_TYPING_LENGTH),
    LOAD(nr),
    IF_AT_LEAST(OS_CALL_CEILING, 1),
    REFUSE(ENOSYS),
    NO_NETWORK(SYS_socket),
    NO_FAKE_TYPING(SYS_ioctl),
    ALLOW,
    IF_EQUAL(OS_AUDIT_ARCH_32,
             2 + NO_SOCKETCALL_LENGTH + NO_NETWORK_LENGTH + NO_FAKE_TYPING_LENGTH),
    LOAD(nr),
    NO_SOCKETCALL,
    NO_NETWORK(OS_CALL32_SOCKET),
    NO_FAKE_TYPING(OS_CALL32_IOCTL),
    ALLOW,
    REFUSE(ENOSYS),
};

static const struct sock_filter filter_online[] = {
    LOAD(arch),     IF_EQUAL(OS_AUDIT_ARCH, 4 + NO_FAKE_TYPING_LENGTH),
    LOAD(nr),       IF_AT_LEAST(OS_CALL_CEILING, 1),
    REFUSE(ENOSYS), NO_FAKE_TYPING(SYS_ioctl),
    ALLOW,          IF_EQUAL(OS_AUDIT_ARCH_32, 2 + NO_FAKE_TYPING_LENGTH),
    LOAD(nr),       NO_FAKE_TYPING(OS_CALL32_IOCTL),
    ALLOW,          REFUSE(ENOSYS),
};

bool sandbox_filter_supported(void)
{
    unsigned action = SECCOMP_RET_ERRNO;

    return OS_AUDIT_ARCH != 0 && syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

struct sock_fprog sandbox_filter(bool network)
{
    const struct sock_filter *filter = network ? filter_online : filter_offline;
    size_t length = network ? ARRAY_LEN(filter_online) : ARRAY_LEN(filter_offline);

    return (struct sock_fprog){.len = (unsigned short)length,
                               .filter = (struct sock_filter *)filter};
}

int sandbox_filter_apply(const struct sock_fprog *program)
{
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, FILTER_ALLOW_SPECULATION, program) == 0)
        return 0;
    if (errno == EINVAL && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program) == 0)
        return 0;
    return errno;
}
