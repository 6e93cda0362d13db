/* SPDX-License-Identifier: MPL-2.0 */
/* sandbox_calls.c - system calls, by seccomp: those that no node makes fail with EPERM.
 * A list of what is denied, because libraries differ in what they call for one and the same
 * thing, and a node that is killed for that would be worse than one without a sandbox. */
#include "daemon/io/sandbox_internal.h"

#ifdef CHAPTERD_HAVE_SECCOMP

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/socket.h>

static const char *const denied[] = {
    /* other programs, and what others do */
    "execve",
    "execveat",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "pidfd_getfd",
    /* the kernel itself */
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "kexec_load",
    "kexec_file_load",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "syslog",
    "reboot",
    "acct",
    "swapon",
    "swapoff",
    "quotactl",
    "quotactl_fd",
    "nfsservctl",
    "lookup_dcookie",
    "iopl",
    "ioperm",
    "modify_ldt",
    "vm86",
    "vm86old",
    "personality",
    /* what the file system looks like */
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "unshare",
    "setns",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "open_by_handle_at",
    "fanotify_init",
    "mknod",
    "mknodat",
    /* keys of the kernel, the clock, the machine's name */
    "add_key",
    "request_key",
    "keyctl",
    "settimeofday",
    "clock_settime",
    "clock_settime64",
    "clock_adjtime",
    "clock_adjtime64",
    "adjtimex",
    "stime",
    "sethostname",
    "setdomainname",
    /* who this is */
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "setfsuid",
    "setfsgid",
    "capset",
};

static bool deny(scmp_filter_ctx filter, const char *name, int error)
{
    const int number = seccomp_syscall_resolve_name(name);

    return number == __NR_SCMP_ERROR || /* no kernel of this architecture has it */
           seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)error), number, 0) == 0;
}

/* Threads, but no processes.  What clone3() is asked for no filter sees; without it the C
 * library calls clone(). */
static bool deny_processes(scmp_filter_ctx filter)
{
    return TRACED_BY_ITSELF ||
           (deny(filter, "ptrace", EPERM) && deny(filter, "fork", EPERM) &&
            deny(filter, "vfork", EPERM) && deny(filter, "clone3", ENOSYS) &&
            seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)) == 0);
}

/* Packets as they come, other machines on this one, the kernel's ciphers. */
static bool deny_sockets(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                            SCMP_A0(SCMP_CMP_GT, AF_NETLINK, 0)) == 0;
}

static bool fill(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < sizeof denied / sizeof denied[0]; i++)
        if (!deny(filter, denied[i], EPERM))
            return false;
    return deny_processes(filter) && deny_sockets(filter);
}

bool sandbox_limit_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const bool limited = filter != NULL && fill(filter) && seccomp_load(filter) == 0;

    if (filter != NULL)
        seccomp_release(filter);
    return limited;
}

#else

bool sandbox_limit_calls(void)
{
    return false;
}

#endif
