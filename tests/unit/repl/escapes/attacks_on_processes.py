"""Attacks on other processes: starting them, signalling them, reading them, changing them."""

from __future__ import annotations

from tests.unit.repl.escapes.attacks import Attack

_FAILED = r"(PermissionError|OSError|BlockingIOError|ModuleNotFoundError|NotImplementedError|BrokenProcessPool) "
_CHILD = "if pid == 0: os._exit(7)\nreturn os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])"

PROCESSES = [
    Attack("fork", f"pid = os.fork()\n{_CHILD}", core=True),
    Attack("fork_by_number", f"pid = call('fork')\n{_CHILD}", machine="x86_64"),
    Attack("clone_a_process", f"pid = call('clone', 17, 0, 0, 0, 0)\n{_CHILD}", core=True),
    Attack("clone_into_a_new_user_namespace", f"pid = call('clone', 0x10000000 | 17, 0, 0, 0, 0)\n{_CHILD}", optional=True),
    Attack("clone_with_the_parent_of_ones_own", """
        pid = call('clone', 0x8000 | 17, 0, 0, 0, 0)  # CLONE_PARENT: a sibling
        if pid == 0: os._exit(7)
        return pid
        """),
    Attack("clone_with_flags_beyond_32_bits", f"pid = call('clone', (1 << 32) | 17, 0, 0, 0, 0)\n{_CHILD}"),
    Attack("clone3_a_process", f"""
        args = (ctypes.c_uint64 * 8)(0, 0, 0, 0, 17, 0, 0, 0)
        pid = call('clone3', args, 64)
        {_CHILD.splitlines()[0]}
        {_CHILD.splitlines()[1]}
        """, core=True),
    Attack("fork_in_libc", f"pid = LIBC.fork()\nif pid < 0: raise OSError(ctypes.get_errno(), 'fork')\n{_CHILD}"),
    Attack("exec", "os.execv('/bin/echo', ['echo', 'ESCAPED', 'exec'])", core=True),
    Attack("exec_by_number", """
        argv = (ctypes.c_char_p * 4)(b'echo', b'ESCAPED', b'exec', None)
        return call('execve', b'/bin/echo', argv, (ctypes.c_char_p * 1)(None))
        """),
    Attack("exec_a_descriptor", "return reach('execveat', -1, b'', 0, 0, 0x1000)", core=True),
    Attack("exec_a_file_in_memory", """
        fd = os.memfd_create('attack', 0)
        with open('/bin/echo', 'rb') as f: os.write(fd, f.read())
        os.execve(fd, ['echo', 'ESCAPED', 'memory'], {})
        """),
    Attack("system", """
        status = os.system('exit 7')
        if status != 7 << 8: raise PermissionError(errno.EPERM, f'status {status}')
        return status
        """, core=True),
    Attack("popen", """
        with os.popen('echo hello') as p: text = p.read()
        if not text: raise PermissionError(errno.EPERM, 'no output')
        return text
        """, denial=_FAILED),
    Attack("subprocess", "import subprocess\nreturn subprocess.run(['/bin/echo', 'hi'], capture_output=True).stdout",
           denial=_FAILED, core=True),
    Attack("subprocess_with_a_shell", "import subprocess\nreturn subprocess.check_output('id', shell=True)", denial=_FAILED),
    Attack("posix_spawn", """
        pid = os.posix_spawn('/bin/true', ['true'], {})
        return os.waitpid(pid, 0)
        """, core=True),
    Attack("multiprocessing", """
        import multiprocessing
        p = multiprocessing.get_context('fork').Process(target=abs, args=(1,))
        p.start(); p.join()
        return p.exitcode
        """, denial=_FAILED),
    Attack("a_pool_of_processes", """
        from multiprocessing import get_context
        from concurrent.futures import ProcessPoolExecutor
        with ProcessPoolExecutor(1, mp_context=get_context('fork')) as pool: return pool.submit(abs, -3).result()
        """, denial=_FAILED),
    Attack("fork_with_a_terminal", f"import pty\npid, fd = pty.fork()\n{_CHILD}", denial=_FAILED, optional=True),
    Attack("signal_the_host", "os.kill(T['host'], 28)\nreturn 'SIGWINCH'", core=True),
    Attack("signal_the_parent", "os.kill(os.getppid(), 28)\nreturn 'SIGWINCH'", core=True),
    Attack("signal_everyone", "os.kill(-1, 0)\nreturn 'all of them could be signalled'", core=True),
    Attack("signal_the_own_group", "os.kill(0, 28)\nreturn 'SIGWINCH'"),
    Attack("signal_the_group_of_the_host", "return os.killpg(T['victim'], 28) or 'SIGWINCH'"),
    Attack("kill_a_child_of_the_host", "os.kill(T['victim'], 9)\nreturn 'SIGKILL'", core=True),
    Attack("kill_with_bits_beyond_32", "call('kill', (1 << 32) | T['victim'], 9)\nreturn 'SIGKILL'"),
    Attack("kill_a_thread_of_another", "call('tkill', T['victim'], 9)\nreturn 'SIGKILL'"),
    Attack("kill_a_thread_in_the_group_of_another", "call('tgkill', T['victim'], T['victim'], 9)\nreturn 'SIGKILL'", core=True),
    Attack("kill_by_a_group_beyond_32_bits", "call('tgkill', (1 << 32) | T['victim'], T['victim'], 9)\nreturn 'SIGKILL'"),
    Attack("queue_a_signal", """
        info = ctypes.create_string_buffer(b'\\x1c\\0\\0\\0\\0\\0\\0\\0\\xff\\xff\\xff\\xff', 128)
        return call('rt_sigqueueinfo', T['victim'], 28, info)
        """),
    Attack("queue_a_signal_to_a_thread", """
        info = ctypes.create_string_buffer(b'\\x1c\\0\\0\\0\\0\\0\\0\\0\\xff\\xff\\xff\\xff', 128)
        return call('rt_tgsigqueueinfo', T['victim'], T['victim'], 28, info)
        """),
    Attack("open_a_process", "return call('pidfd_open', T['victim'], 0)", core=True),
    Attack("take_a_descriptor_of_a_process", """
        fd = call('pidfd_open', T['victim'], 0)
        return call('pidfd_getfd', fd, 0, 0)
        """),
    Attack("take_a_descriptor_by_number", "return reach('pidfd_getfd', -1, 0, 0)", core=True),
    Attack("signal_an_opened_process", "return reach('pidfd_send_signal', -1, 0, 0, 0)"),
    Attack("trace_a_process", "return call('ptrace', 0x4206, T['victim'], 0, 0)", core=True),
    Attack("be_traced", "return call('ptrace', 0, 0, 0, 0)"),
    Attack("read_the_memory_of_a_process", """
        buffer = ctypes.create_string_buffer(16)
        here = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 16)
        there = (ctypes.c_uint64 * 2)(T['victim_address'], 16)
        call('process_vm_readv', T['victim'], here, 1, there, 1, 0)
        return buffer.raw[1:4]
        """, core=True),
    Attack("write_the_memory_of_a_process", "return reach('process_vm_writev', T['victim'], 0, 0, 0, 0, 0)", core=True),
    Attack("advise_the_memory_of_a_process", "return reach('process_madvise', -1, 0, 0, 0, 0)"),
    Attack("release_the_memory_of_a_process", "return reach('process_mrelease', -1, 0)"),
    Attack("compare_descriptors_of_processes", "return call('kcmp', T['victim'], os.getpid(), 0, 0, 0)", optional=True),
    Attack("move_the_memory_of_a_process", "return reach('move_pages', T['victim'], 0, 0, 0, 0, 0)", optional=True),
    Attack("migrate_the_memory_of_a_process", "return reach('migrate_pages', T['victim'], 0, 0, 0)", optional=True),
    Attack("read_the_robust_list_of_a_process", """
        head, size = ctypes.c_void_p(), ctypes.c_size_t()
        return call('get_robust_list', T['victim'], ctypes.byref(head), ctypes.byref(size))
        """),
    Attack("limits_of_the_host", """
        new = (ctypes.c_uint64 * 2)(64, 64)
        return call('prlimit64', T['victim'], 7, new, 0)
        """, core=True),
    Attack("read_limits_of_a_process", """
        old = (ctypes.c_uint64 * 2)()
        call('prlimit64', T['victim'], 7, 0, old)
        return old[0]
        """),
    Attack("raise_the_own_limits", """
        import resource
        soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        return 'unlimited'
        """, root=True, core=True, denial=r"((PermissionError|OSError) (EPERM|EACCES)|ValueError) "),
    Attack("raise_the_own_limits_by_number", """
        return call('prlimit64', 0, 9, (ctypes.c_uint64 * 2)(2**64 - 1, 2**64 - 1), 0)
        """, root=True),
    Attack("raise_the_own_limits_by_the_old_number", """
        return call('setrlimit', 4, (ctypes.c_uint64 * 2)(2**64 - 1, 2**64 - 1))
        """, root=True),
    Attack("limits_by_a_pid_beyond_32_bits", """
        return call('prlimit64', 1 << 32, 7, (ctypes.c_uint64 * 2)(60, 60), 0)
        """),
    Attack("priority_of_a_process", "os.setpriority(os.PRIO_PROCESS, T['victim'], 19)\nreturn 'slower'", core=True),
    Attack("own_priority", "os.nice(1)\nreturn 'slower'"),
    Attack("input_and_output_priority_of_a_process", "return call('ioprio_set', 1, T['victim'], (3 << 13))"),
    Attack("processors_of_a_process", "os.sched_setaffinity(T['victim'], {0})\nreturn 'bound'", core=True),
    Attack("scheduler_of_a_process", "os.sched_setscheduler(T['victim'], os.SCHED_BATCH, os.sched_param(0))\nreturn 'batch'"),
    Attack("scheduler_attributes_of_a_process", "return reach('sched_setattr', T['victim'], 0, 0)"),
    Attack("look_for_the_group_of_a_process", "return os.getpgid(T['victim'])"),
    Attack("look_for_the_session_of_a_process", "return os.getsid(T['victim'])"),
    Attack("look_for_the_processors_of_a_process", "return os.sched_getaffinity(T['victim'])"),
    Attack("look_for_the_scheduler_of_a_process", "return os.sched_getscheduler(T['victim'])"),
    Attack("look_for_the_priority_of_a_process", "return os.getpriority(os.PRIO_PROCESS, T['victim'])"),
    Attack("read_the_clock_of_a_process", """
        import time
        return time.clock_gettime((~T['victim'] << 3) | 2)
        """, core=True),
    Attack("sleep_by_the_clock_of_a_process", """
        moment = (ctypes.c_long * 2)(0, 0)
        return call('clock_nanosleep', (~T['victim'] << 3) | 2, 0, moment, 0)
        """),
    Attack("own_session", "os.setsid()\nreturn 'left the session'"),
    Attack("own_group", "return reach('setpgid', 0, 0)", optional=True),
    Attack("another_user", "return reach('setresuid', -1, -1, -1)", core=True),
    Attack("another_group", "return reach('setresgid', -1, -1, -1)"),
    Attack("another_user_for_files", "return reach('setfsuid', os.getuid())"),
    Attack("supplementary_groups", "return reach('setgroups', -1, 0)", root=True),
    Attack("capabilities", "return reach('capset', 0, 0)", core=True),
]  # fmt: skip
