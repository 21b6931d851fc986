"""Numbers of the system calls that attacks use, from the kernel's headers: by name, x86-64 and aarch64 (None: absent)."""

from __future__ import annotations

import platform

_TABLE: dict[str, tuple[int | None, int | None]] = {
    "open": (2, None), "clock_nanosleep": (230, 115), "openat": (257, 56), "openat2": (437, 437), "creat": (85, None), "stat": (4, None),
    "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291), "access": (21, None), "faccessat": (269, 48),
    "faccessat2": (439, 439), "readlink": (89, None), "readlinkat": (267, 78), "getdents64": (217, 61),
    "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50), "chroot": (161, 51), "mkdir": (83, None),
    "mkdirat": (258, 34), "mknod": (133, None), "mknodat": (259, 33), "unlink": (87, None), "unlinkat": (263, 35),
    "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276), "link": (86, None), "linkat": (265, 37),
    "symlink": (88, None), "symlinkat": (266, 36), "truncate": (76, 45), "chmod": (90, None), "fchmodat": (268, 53),
    "fchmodat2": (452, 452), "chown": (92, None), "fchownat": (260, 54), "utimensat": (280, 88), "setxattr": (188, 5),
    "getxattr": (191, 8), "listxattr": (194, 11), "removexattr": (197, 14), "setxattrat": (463, 463),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27), "fanotify_init": (300, 262), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None),
    "clone": (56, 220), "clone3": (435, 435), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "bpf": (321, 280), "userfaultfd": (323, 282), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "perf_event_open": (298, 241), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "process_mrelease": (448, 448), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424), "kcmp": (312, 272), "setns": (308, 268), "unshare": (272, 97),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "statmount": (457, 457), "listmount": (458, 458),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "sethostname": (170, 161), "setdomainname": (171, 162), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "syslog": (103, 116), "acct": (163, 89),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "iopl": (172, None), "ioperm": (173, None),
    "modify_ldt": (154, None), "arch_prctl": (158, None), "personality": (135, 92), "seccomp": (317, 277),
    "prctl": (157, 167), "setrlimit": (160, 164), "prlimit64": (302, 261), "setpriority": (141, 140),
    "ioprio_set": (251, 30), "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274), "kill": (62, 129), "tkill": (200, 130),
    "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setsid": (112, 157),
    "setpgid": (109, 154), "setuid": (105, 146), "setgid": (106, 144), "setgroups": (116, 159),
    "setresuid": (117, 147), "setresgid": (119, 149), "setfsuid": (122, 151), "setfsgid": (123, 152),
    "capset": (126, 91), "capget": (125, 90), "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203),
    "bind": (49, 200), "listen": (50, 201), "accept": (43, 202), "accept4": (288, 242), "sendto": (44, 206),
    "sendmsg": (46, 211), "sendmmsg": (307, 269), "recvmsg": (47, 212), "recvmmsg": (299, 243),
    "getsockname": (51, 204), "getpeername": (52, 205), "setsockopt": (54, 208), "shmget": (29, 194),
    "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191),
    "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180),
    "mq_unlink": (241, 181), "mmap": (9, 222), "mprotect": (10, 226), "pkey_mprotect": (329, 288),
    "mremap": (25, 216), "remap_file_pages": (216, 234), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "mbind": (237, 235), "set_mempolicy": (238, 237), "get_mempolicy": (239, 236), "lookup_dcookie": (212, 18),
    "splice": (275, 76), "vmsplice": (278, 75), "tee": (276, 77), "sendfile": (40, 71), "copy_file_range": (326, 285),
    "fallocate": (285, 47), "ftruncate": (77, 46), "sync_file_range": (277, 84), "ioctl": (16, 29), "fcntl": (72, 25),
    "timer_create": (222, 107), "timer_settime": (223, 110), "timerfd_create": (283, 85), "eventfd2": (290, 19),
    "signalfd4": (289, 74), "epoll_create1": (291, 20), "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446), "cachestat": (451, 451), "get_robust_list": (274, 100),
    "ustat": (136, None), "sysfs": (139, None), "uselib": (134, None), "getpid": (39, 172), "gettid": (186, 178),
    "lsm_set_self_attr": (460, 460), "lsm_get_self_attr": (459, 459), "map_shadow_stack": (453, 453),
    "set_mempolicy_home_node": (450, 450), "futex_waitv": (449, 449), "pkey_alloc": (330, 289),
    "getitimer": (36, 102), "setitimer": (38, 103), "alarm": (37, None), "mlockall": (151, 230), "mlock": (149, 228),
    "nice": (None, None), "io_setup": (206, 0), "flock": (73, 32), "fsync": (74, 82), "sync": (162, 81),
    "syncfs": (306, 267), "restart_syscall": (219, 128), "rseq": (334, 293), "membarrier": (324, 283),
    "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "pipe2": (293, 59), "close_range": (436, 436),
    "umask": (95, 166),
    "sysinfo": (99, 179),
    "futex": (202, 98),
    "madvise": (28, 233),
    "waitid": (247, 95),
}  # fmt: skip

X32 = 0x4000_0000
"""Added to a number, it names the call of the x32 interface of x86-64."""


def numbers() -> dict[str, int]:
    """The numbers of this machine."""
    column = {"x86_64": 0, "aarch64": 1}[platform.machine()]
    return {name: number for name, both in _TABLE.items() if (number := both[column]) is not None}
