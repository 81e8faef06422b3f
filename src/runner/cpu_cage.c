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
/* The same, unless the first argument says the process itself. */
#define FORBID_BUT(number, self)                                                                   \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(number), 0, 4), LOAD(args[0]),                  \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(self), 1, 0),                               \
        RETURN(SECCOMP_RET_KILL_PROCESS), RETURN(SECCOMP_RET_ALLOW)

enum {
    CALL_PIDFD_SEND_SIGNAL = 424,
    CALL_IO_URING_SETUP = 425,
    CALL_CLONE3 = 435,
    CALL_PIDFD_GETFD = 438,
    CALL_PROCESS_MADVISE = 440,
};

/* Threads are welcome, processes are not. The flags of clone3 lie in memory, where no filter can
 * look: the C library takes "no such call" as an old kernel and uses clone. */
int cpu_cage(void)
{
    unsigned self = (unsigned)getpid();
    struct sock_filter filter[] = {
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
        FORBID(SYS_setsid),
        FORBID(SYS_setpgid),
        /* other processes */
        FORBID(SYS_ptrace),
        FORBID(SYS_process_vm_readv),
        FORBID(SYS_process_vm_writev),
        FORBID(CALL_PROCESS_MADVISE),
        FORBID(CALL_PIDFD_GETFD),
        FORBID(CALL_PIDFD_SEND_SIGNAL),
        FORBID(SYS_tkill),
        FORBID(SYS_rt_sigqueueinfo),
        FORBID(SYS_rt_tgsigqueueinfo),
        FORBID(SYS_seccomp),
        FORBID(SYS_perf_event_open),
        FORBID(SYS_userfaultfd),
        FORBID(SYS_bpf),
        /* the rest of the world, and what stays there when the process is gone */
        FORBID(SYS_socket),
        FORBID(SYS_socketpair),
        FORBID(CALL_IO_URING_SETUP),
        FORBID(SYS_shmget),
        FORBID(SYS_semget),
        FORBID(SYS_msgget),
        FORBID(SYS_mq_open),
        FORBID(SYS_add_key),
        FORBID(SYS_request_key),
        FORBID(SYS_keyctl),
        /* what all candidates share: the clock, and their turn */
        FORBID(SYS_adjtimex),
        FORBID(SYS_clock_adjtime),
        FORBID(SYS_clock_settime),
        FORBID(SYS_settimeofday),
        FORBID(SYS_setpriority),
        FORBID(SYS_sched_setscheduler),
        FORBID(SYS_sched_setparam),
        FORBID(SYS_sched_setattr),
        FORBID(SYS_ioprio_set),
        FORBID_BUT(SYS_kill, self),
        FORBID_BUT(SYS_tgkill, self),
        FORBID_BUT(SYS_prlimit64, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALL_CLONE3, 0, 1),
        RETURN(SECCOMP_RET_ERRNO | ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        LOAD(args[0]),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        RETURN(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = ARRAY_LEN(filter), .filter = filter};
    if (OS_AUDIT_ARCH == 0)
        return 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}
