#define _GNU_SOURCE
#include "cpu.h"
#include "os_arch.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

#define FIELD(name) ((unsigned)offsetof(struct seccomp_data, name))
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(field))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))
/* Ends the process with SIGSYS: whoever calls this is no kernel. */
#define FORBID(number)                                                                             \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(number), 0, 1), RETURN(SECCOMP_RET_KILL_PROCESS)

enum { CALL_CLONE3 = 435, CALL_PROCESS_MADVISE = 440 };

/* Threads are welcome, processes are not. The flags of clone3 lie in memory, where no filter can
 * look: the C library takes "no such call" as an old kernel and uses clone. */
static struct sock_filter filter[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OS_AUDIT_ARCH, 1, 0),
    RETURN(SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),
#ifdef SYS_fork
    FORBID(SYS_fork),
    FORBID(SYS_vfork),
#endif
    FORBID(SYS_execve),
    FORBID(SYS_execveat),
    FORBID(SYS_ptrace),
    FORBID(SYS_process_vm_readv),
    FORBID(SYS_process_vm_writev),
    FORBID(CALL_PROCESS_MADVISE),
    FORBID(SYS_seccomp),
    FORBID(SYS_perf_event_open),
    FORBID(SYS_userfaultfd),
    FORBID(SYS_socket),
    FORBID(SYS_setsid),
    FORBID(SYS_setpgid),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALL_CLONE3, 0, 1),
    RETURN(SECCOMP_RET_ERRNO | ENOSYS),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
    LOAD(args[0]),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0),
    RETURN(SECCOMP_RET_KILL_PROCESS),
    RETURN(SECCOMP_RET_ALLOW),
};

int cpu_cage(void)
{
    struct sock_fprog program = {.len = ARRAY_LEN(filter), .filter = filter};
    if (OS_AUDIT_ARCH == 0)
        return 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}
