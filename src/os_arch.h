/* os_arch: numbers of system calls that differ between machines, so that no other code asks which
 * machine it is.
 *
 * Constants only. A call that a machine does not have is OS_NO_CALL, which equals no number of a
 * call. */
#ifndef SPAK_OS_ARCH_H
#define SPAK_OS_ARCH_H

#include <linux/audit.h>
#include <sys/syscall.h>

#define OS_NO_CALL (-1)

/* Added after Linux 5.0 and numbered alike on every machine; older C libraries do not name them. */
enum {
    OS_CALL_IO_URING_SETUP = 425,
    OS_CALL_PIDFD_OPEN = 434,
    OS_CALL_CLOSE_RANGE = 436,
    OS_CALL_OPENAT2 = 437,
    OS_CALL_LANDLOCK_CREATE_RULESET = 444,
    OS_CALL_LANDLOCK_ADD_RULE = 445,
    OS_CALL_LANDLOCK_RESTRICT_SELF = 446,
};

/* The machine as seccomp names it, and the 32-bit one whose programs it may run too; 0: a machine
 * whose numbers are not known here. A foreign call at or above OS_CALL_CEILING belongs to a third
 * numbering (x32). */
#if defined(__x86_64__) && defined(__LP64__)
#define OS_AUDIT_ARCH AUDIT_ARCH_X86_64
#define OS_AUDIT_ARCH_32 AUDIT_ARCH_I386
enum {
    OS_CALL_CEILING = 0x40000000,
    OS_CALL32_SOCKETCALL = 102,
    OS_CALL32_SOCKET = 359,
    OS_CALL32_IOCTL = 54
};
#elif defined(__aarch64__) && defined(__LP64__)
#define OS_AUDIT_ARCH AUDIT_ARCH_AARCH64
#define OS_AUDIT_ARCH_32 AUDIT_ARCH_ARM
enum {
    OS_CALL_CEILING = 0x40000000,
    OS_CALL32_SOCKETCALL = 102,
    OS_CALL32_SOCKET = 281,
    OS_CALL32_IOCTL = 54
};
#else
#define OS_AUDIT_ARCH 0
#define OS_AUDIT_ARCH_32 0
enum {
    OS_CALL_CEILING = 0x40000000,
    OS_CALL32_SOCKETCALL = 102,
    OS_CALL32_SOCKET = 359,
    OS_CALL32_IOCTL = 54
};
#endif

/* Calls that newer machines dropped for their ...at() form. */
enum {
#ifdef SYS_open
    OS_CALL_OPEN = SYS_open,
    OS_CALL_CREAT = SYS_creat,
    OS_CALL_UNLINK = SYS_unlink,
    OS_CALL_RMDIR = SYS_rmdir,
    OS_CALL_MKDIR = SYS_mkdir,
    OS_CALL_RENAME = SYS_rename,
    OS_CALL_LINK = SYS_link,
    OS_CALL_SYMLINK = SYS_symlink,
#else
    OS_CALL_OPEN = OS_NO_CALL,
    OS_CALL_CREAT = OS_NO_CALL,
    OS_CALL_UNLINK = OS_NO_CALL,
    OS_CALL_RMDIR = OS_NO_CALL,
    OS_CALL_MKDIR = OS_NO_CALL,
    OS_CALL_RENAME = OS_NO_CALL,
    OS_CALL_LINK = OS_NO_CALL,
    OS_CALL_SYMLINK = OS_NO_CALL,
#endif
#ifdef SYS_renameat
    OS_CALL_RENAMEAT = SYS_renameat,
#else
    OS_CALL_RENAMEAT = OS_NO_CALL,
#endif
};

#endif
