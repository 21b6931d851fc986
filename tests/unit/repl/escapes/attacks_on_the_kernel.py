"""Attacks on the kernel's rarer doors, on memory that runs as code, and on the lock-down itself."""

from __future__ import annotations

from tests.unit.repl.escapes.attacks import Attack

_RUN = """
import mmap
m = mmap.mmap(-1, 4096, prot={prot})
m.write({code})
{then}
run = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(m)))
return run()
"""
_FORTY_TWO = r"b'\xb8\x2a\0\0\0\xc3' if os.uname().machine == 'x86_64' else b'\x40\x05\x80\xd2\xc0\x03\x5f\xd6'"
_ANSWERED = "(PermissionError|OSError) (EPERM|EACCES|ENOSYS) "
_EXECUTABLE = r"((PermissionError|OSError) (EPERM|EACCES|ENOSYS)|MemoryError) "

MEMORY = [
    Attack("memory_to_write_and_run", "import mmap\nreturn len(mmap.mmap(-1, 4096, prot=7))", core=True),
    Attack("machine_code_of_ones_own", _RUN.format(prot=7, code=_FORTY_TWO, then=""), core=True),
    Attack("memory_made_executable_later", """
        import mmap
        m = mmap.mmap(-1, 4096)
        return call('mprotect', ctypes.addressof(ctypes.c_char.from_buffer(m)), 4096, 5)
        """, core=True),
    Attack("memory_made_executable_with_bits_beyond_32", """
        import mmap
        m = mmap.mmap(-1, 4096)
        return call('mprotect', ctypes.addressof(ctypes.c_char.from_buffer(m)), 4096, (1 << 32) | 4)
        """, optional=True, denial=r"(PermissionError|OSError) (EPERM|EACCES|ENOSYS|EINVAL) "),
    Attack("memory_to_run_only", "return call('mmap', 0, 4096, 4, 0x22, -1, 0)"),
    Attack("memory_made_executable_with_a_key", """
        import mmap
        m = mmap.mmap(-1, 4096)
        return call('pkey_mprotect', ctypes.addressof(ctypes.c_char.from_buffer(m)), 4096, 7, -1)
        """),
    Attack("the_code_of_libc_made_writable", """
        at = ctypes.cast(LIBC.getpid, ctypes.c_void_p).value & ~4095
        call('mprotect', at, 4096, 7)
        return hex(at)
        """, core=True),
    Attack("a_stack_that_runs", """
        here = ctypes.c_long()
        return call('mprotect', ctypes.addressof(here) & ~4095, 4096, 7)
        """),
    Attack("personality_that_makes_all_memory_executable", "return call('personality', 0x0400000)", core=True),
    Attack("personality_without_random_addresses", "return call('personality', 0x0040000)"),
    Attack("shared_memory_of_system_v", """
        number = call('shmget', 0, 4096, 0o1600)
        at = call('shmat', number, 0, 0)
        call('shmctl', number, 0, 0)
        return at
        """, core=True),
    Attack("shared_memory_of_another_by_number", "return reach('shmat', -1, 0, 0)"),
    Attack("semaphores_of_system_v", """
        number = call('semget', 0, 1, 0o1600)
        return call('semctl', number, 0, 0, 0)
        """, core=True),
    Attack("messages_of_system_v", """
        number = call('msgget', 0, 0o1600)
        return call('msgctl', number, 0, 0)
        """, core=True),
    Attack("messages_of_posix", """
        name = f'stage-{os.getpid()}'.encode()
        fd = call('mq_open', name, 0o102, 0o600, 0)
        call('mq_unlink', name)
        return fd
        """, core=True, optional=True),
    Attack("semaphores_by_name", """
        LIBC.sem_open.restype = ctypes.c_void_p
        name = f'/stage-{os.getpid()}'.encode()
        if not LIBC.sem_open(name, 0o100, 0o600, 1): raise OSError(ctypes.get_errno(), 'sem_open')
        LIBC.sem_unlink(name)
        return 'opened'
        """),
    Attack("secret_memory", "return call('memfd_secret', 0)", optional=True),
    Attack("old_remapping_of_files", "return reach('remap_file_pages', 0, 0, 0, 0, 0)", optional=True),
    Attack("shadow_stack", "return reach('map_shadow_stack', 0, 0, 99)", optional=True),
    Attack("memory_of_another_node", "return reach('mbind', 0, 0, 99, 0, 0, 0)", optional=True),
    Attack("policy_of_memory", "return reach('set_mempolicy', 0, 0, 0)", optional=True),
]  # fmt: skip

KERNEL = [
    Attack("rings_of_requests", "return reach('io_uring_setup', 0, 0)", core=True, optional=True),
    Attack("enter_a_ring_of_requests", "return reach('io_uring_enter', -1, 0, 0, 0, 0, 0)", core=True, optional=True),
    Attack("register_at_a_ring_of_requests", "return reach('io_uring_register', -1, 0, 0, 0)", optional=True),
    Attack("asynchronous_requests", "return reach('io_setup', 0, 0)", optional=True),
    Attack("programs_in_the_kernel", "return reach('bpf', 0, 0, 0)", root=True, core=True, optional=True),
    Attack("page_faults_handled_in_user_space", "return reach('userfaultfd', 1 << 30)", optional=True, core=True),
    Attack("add_a_key", "return reach('add_key', 0, 0, 0, 0, -3)", core=True, optional=True),
    Attack("request_a_key", "return reach('request_key', 0, 0, 0, -3)", optional=True),
    Attack("ring_of_keys", "return reach('keyctl', 99999, 0, 0, 0, 0)", core=True, optional=True),
    Attack("counters_of_performance", "return reach('perf_event_open', 0, 0, -1, -1, 0)", core=True, optional=True),
    Attack("new_namespaces", "return call('unshare', 0x10000000)", core=True, optional=True),
    Attack("new_namespace_of_the_network", "return call('unshare', 0x40000000)", root=True, optional=True),
    Attack("own_table_of_files", "return call('unshare', 0x400)"),
    Attack("enter_a_namespace", "return reach('setns', -1, 0)", core=True),
    Attack("mount", "return reach('mount', 0, 0, 0, 0, 0)", root=True, core=True),
    Attack("unmount", "return reach('umount2', 0, 0)", root=True),
    Attack("pivot_root", "return reach('pivot_root', 0, 0)", root=True),
    Attack("open_a_tree", "return reach('open_tree', -100, 0, 0)", optional=True),
    Attack("open_a_file_system", "return reach('fsopen', 0, 99)", root=True, optional=True),
    Attack("pick_a_file_system", "return reach('fspick', -100, 0, 99)", root=True, optional=True),
    Attack("move_a_mount", "return reach('move_mount', -1, 0, -1, 0, 9999)", root=True, optional=True),
    Attack("attributes_of_a_mount", "return reach('mount_setattr', -1, 0, 0, 0, 0)", optional=True),
    Attack("list_of_mounts", "return reach('listmount', 0, 0, 0, 0)", optional=True),
    Attack("state_of_a_mount", "return reach('statmount', 0, 0, 0, 0)", optional=True),
    Attack("load_another_kernel", "return reach('kexec_load', 0, 17, 0, 0xffff)", root=True, optional=True, core=True),
    Attack("load_another_kernel_from_a_file", "return reach('kexec_file_load', -1, -1, 0, 0, 0xffff)", root=True, optional=True),
    Attack("load_a_module_of_the_kernel", "return reach('init_module', 0, 0, 0)", root=True, optional=True, core=True),
    Attack("load_a_module_from_a_file", "return reach('finit_module', -1, 0, 0)", root=True, optional=True),
    Attack("unload_a_module", "return reach('delete_module', 0, 0)", root=True, optional=True),
    Attack("reboot", "return reach('reboot', 1, 2, 3, 0)", root=True, core=True),
    Attack("swap", "return reach('swapon', 0, 0)", root=True, optional=True),
    Attack("name_of_the_machine", "return reach('sethostname', 0, 100000)", root=True, core=True),
    Attack("name_of_the_domain", "return reach('setdomainname', 0, 100000)", root=True),
    Attack("clock_of_the_machine", "return reach('clock_settime', 99, 0)", core=True),
    Attack("time_of_day", "return reach('settimeofday', 1, 0)"),
    Attack("speed_of_the_clock", "return reach('adjtimex', 0)", core=True),
    Attack("speed_of_a_clock", "return reach('clock_adjtime', 0, 0)"),
    Attack("log_of_the_kernel", "return reach('syslog', 10, 0, 0)", core=True, optional=True),
    Attack("accounting", "return reach('acct', 1)", root=True, optional=True),
    Attack("quotas", "return reach('quotactl', 0, 0, 0, 0)", optional=True),
    Attack("ports_of_the_machine", "return call('ioperm', 0x80, 1, 1)", root=True, optional=True, machine="x86_64"),
    Attack("all_ports_of_the_machine", "return call('iopl', 0)", optional=True, machine="x86_64"),
    Attack("table_of_segments", "return reach('modify_ldt', 0, 0, 0)", optional=True, machine="x86_64", core=True),
    Attack("registers_of_segments", """
        value = ctypes.c_ulong()
        return call('arch_prctl', 0x1003, ctypes.byref(value))
        """, machine="x86_64", core=True),
    Attack("state_of_security_modules", "return reach('lsm_get_self_attr', 0, 0, 0, 0)", optional=True),
    Attack("change_the_state_of_security_modules", "return reach('lsm_set_self_attr', 0, 0, 0, 0)", optional=True),
    Attack("caches_of_pages", "return reach('cachestat', -1, 0, 0, 0)", optional=True),
    Attack("move_pages_between_pipes", "return reach('splice', -1, 0, -1, 0, 1, 0)"),
    Attack("pages_given_to_a_pipe", "return reach('vmsplice', -1, 0, 0, 0)"),
    Attack("copies_between_pipes", "return reach('tee', -1, -1, 1, 0)"),
    Attack("copies_between_files", "return reach('copy_file_range', -1, 0, -1, 0, 1, 0)"),
    Attack("files_sent_in_the_kernel", "return reach('sendfile', -1, -1, 0, 1)"),
    Attack("flush_all_disks", "return reach('syncfs', -1)"),
    Attack("allocate_in_a_file", "return reach('fallocate', -1, 0, 0, 1)"),
    Attack("locked_memory", "return reach('mlockall', 99)"),
    Attack("figures_of_the_machine", "return call('sysinfo', ctypes.create_string_buffer(256))"),
    Attack("locks_with_priority_inheritance", "return reach('futex', ctypes.byref(ctypes.c_int(0)), 6, 0, 0, 0, 0)", core=True),
    Attack("locks_handed_on_with_priority_inheritance", "return reach('futex', 0, 12, 0, 0, 0, 0)", optional=True),
    Attack("locks_with_bits_beyond_the_operations", "return reach('futex', ctypes.byref(ctypes.c_int(0)), 6 | 128 | 256, 0, 0, 0, 0)",
           optional=True),
    Attack("pages_merged_with_those_of_others", """
        import mmap
        m = mmap.mmap(-1, 4096)
        return call('madvise', ctypes.addressof(ctypes.c_char.from_buffer(m)), 4096, 12)
        """, optional=True),
    Attack("timers_of_the_kernel", """
        number = ctypes.c_int()
        return call('timer_create', 1, 0, ctypes.byref(number))
        """),
    Attack("timers_that_signal_a_thread_of_another", """
        event = (ctypes.c_int * 16)(0, 0, 28, 4, T['victim'])  # SIGEV_THREAD_ID
        return reach('timer_create', 1, event, ctypes.byref(ctypes.c_int()))
        """),
    Attack("timers_as_descriptors", "return call('timerfd_create', 1, 0)"),
    Attack("signals_as_descriptors", "return reach('signalfd4', -1, 0, 0, 0)"),
    Attack("pipes_of_notifications", "return os.pipe2(0o200)", optional=True, denial=r"(PermissionError|OSError) "),
    Attack("a_lock_on_a_file_that_others_use", "import fcntl\nreturn fcntl.lockf(0, fcntl.LOCK_SH) or 'locked'"),
    Attack("a_lock_on_a_whole_file_that_others_use", "import fcntl\nreturn fcntl.flock(0, fcntl.LOCK_SH) or 'locked'"),
    Attack("a_lease_on_a_file", "return reach('fcntl', 0, 1024, 2)", root=True),
    Attack("larger_pipes", "import fcntl\nr, w = os.pipe()\nreturn fcntl.fcntl(w, 1031, 1 << 17)"),
    Attack("speculation_of_the_processor", "return reach('prctl', 53, 0, 99, 0, 0)"),
    Attack("scheduling_by_core", "return reach('prctl', 62, 99, 0, 0, 0)"),
    Attack("children_of_another_process", "return reach('waitid', 0, T['victim'], 0, 4, 0)"),
    Attack("type_on_the_terminal", """
        import fcntl
        try: return fcntl.ioctl(0, 0x5412, b'x')
        except OSError as e:
            if e.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS): raise
            return f'looked at it: {e}'
        """, core=True),
    Attack("controls_of_a_device", "return reach('ioctl', 1, 0xdeadbeef, 0)"),
    Attack("a_call_of_the_other_interface", "return raw(0x40000000 | 39)", ends="either", machine="x86_64", optional=True, core=True),
    Attack("open_by_the_other_interface", "return raw(0x40000000 | 2, T['secret'].encode(), 0, 0)", ends="either",
           machine="x86_64", optional=True),
    Attack("exec_by_the_other_interface", "return raw(0x40000000 | 520, b'/bin/true', 0, 0)", ends="either", machine="x86_64", optional=True),
    Attack("a_call_with_a_number_beyond_32_bits", "return raw((1 << 32) | NR['openat'], -100, b'/etc/passwd', 0, 0)",
           ends="either"),
    Attack("a_call_with_a_negative_number", """
        try: return raw(-1)
        except OSError as e: return e
        """, ends="either", denial=".*"),
    Attack("machine_code_of_the_32_bit_interface", _RUN.format(
        prot=7, code=r"b'\xb8\x14\0\0\0\xcd\x80\xc3'", then=""), machine="x86_64", core=True),
]  # fmt: skip

LOCK = [
    Attack("a_filter_that_allows_everything", """
        allow = (ctypes.c_uint16 * 4)(6, 0, 0, 0x7fff)  # BPF_RET | BPF_K, SECCOMP_RET_ALLOW
        program = (ctypes.c_uint64 * 2)(1, ctypes.addressof(allow))
        call('prctl', 38, 1, 0, 0, 0)
        return call('seccomp', 1, 0, program)
        """, core=True),
    Attack("a_filter_that_asks_a_listener", """
        allow = (ctypes.c_uint16 * 4)(6, 0, 0, 0x7fff)
        program = (ctypes.c_uint64 * 2)(1, ctypes.addressof(allow))
        call('prctl', 38, 1, 0, 0, 0)
        return call('seccomp', 1, 8, program)
        """),
    Attack("a_filter_by_prctl", """
        allow = (ctypes.c_uint16 * 4)(6, 0, 0, 0x7fff)
        program = (ctypes.c_uint64 * 2)(1, ctypes.addressof(allow))
        call('prctl', 38, 1, 0, 0, 0)
        return call('prctl', 22, 2, program, 0, 0)
        """, core=True),
    Attack("readable_by_others_again", "return call('prctl', 4, 1, 0, 0, 0)", core=True),
    Attack("outliving_the_host", "return call('prctl', 1, 0, 0, 0, 0)", core=True),
    Attack("dying_by_a_harmless_signal", "return call('prctl', 1, 28, 0, 0, 0)"),
    Attack("privileges_by_exec_again", "return reach('prctl', 39, 0, 0, 0, 0)"),
    Attack("bits_that_keep_capabilities", "return reach('prctl', 8, 0, 0, 0, 0)"),
    Attack("a_tracer_of_ones_own", "return reach('prctl', 0x59616d61, -1, 0, 0, 0)", optional=True),
    Attack("adopting_orphans", "return call('prctl', 36, 1, 0, 0, 0)"),
    Attack("moving_the_map_of_memory", "return reach('prctl', 35, 99, 0, 0, 0)", optional=True),
    Attack("time_that_raises", "return reach('prctl', 26, 99, 0, 0, 0)"),
    Attack("ambient_capabilities", "return reach('prctl', 47, 4, 0, 0, 0)"),
    Attack("bits_of_prctl_beyond_32", "return call('prctl', (1 << 32) | 4, 1, 0, 0, 0)"),
    Attack("rules_for_files", "return reach('landlock_create_ruleset', 0, 0, 99)", optional=True),
    Attack("the_environment_of_the_host", """
        if ''.join(T['mark']) in os.environ.get(T['environment'], ''): return 'os.environ'
        raise PermissionError(errno.EACCES, 'not in the environment')
        """, core=True),
    Attack("the_environment_of_the_host_in_memory", """
        names = ctypes.POINTER(ctypes.c_char_p).in_dll(LIBC, 'environ')
        at, mark = 0, ''.join(T['mark']).encode()
        while names and names[at]:
            if mark in names[at]: return names[at]
            at += 1
        raise PermissionError(errno.EACCES, f'{at} variables, none of them the host\\'s')
        """, core=True),
    Attack("the_words_after_the_environment_on_the_stack", """
        import subprocess
        mark = ''.join(T['mark']).encode()
        text = b' '.join(a.encode() for a in [*sys.argv, *sys.orig_argv]) + b' '.join(k + b'=' + v for k, v in os.environb.items())
        if mark in text: return 'found'
        raise PermissionError(errno.EACCES, 'not there')
        """),
    Attack("the_command_line_of_the_zygote", """
        told = [word for word in [sys.executable, *sys.orig_argv] if '/' in word or str(T['host']) in word]
        if told: return told
        raise PermissionError(errno.EACCES, 'no path and no pid of the host')
        """),
    Attack("modules_of_the_host", """
        seen = [name for name in sys.modules if name.partition('.')[0] in ('langgraph_rlm', 'msgpack', 'pytest')]
        import langgraph_rlm
        return langgraph_rlm.__name__
        """, denial=r"(ModuleNotFoundError|PermissionError) ", optional=True),
]  # fmt: skip
