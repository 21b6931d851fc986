"""Attacks on the file system: reading, listing, writing, watching, and every side door to it."""

from __future__ import annotations

from tests.unit.repl.escapes.attacks import DENIALS, Attack

_READ = "text = open({}).read()\nassert ''.join(T['mark']) in text\nreturn 'read it'"
_LIBRARY = (
    r"(OSError|ImportError|PermissionError) .*([Pp]ermission denied|not permitted|failed to map|cannot open|EPERM)"
)

FILES = [
    Attack("read_a_file_of_the_host", _READ.format("T['secret']"), core=True),
    Attack("read_etc_passwd", "return open('/etc/passwd').readline()", core=True),
    Attack("read_etc_shadow", "return len(os.read(os.open('/etc/shadow', os.O_RDONLY), 10))", root=True),
    Attack("read_through_a_path_with_dots", _READ.format("'/proc/self/root/' + T['secret']")),
    Attack("read_the_environment_of_the_host", _READ.format("f\"/proc/{T['host']}/environ\""), core=True),
    Attack("read_the_environment_of_the_parent", "return len(open(f'/proc/{os.getppid()}/environ').read())"),
    Attack("read_the_own_environment_in_proc", "return len(open('/proc/self/environ').read())"),
    Attack("read_the_own_memory_in_proc", "return open('/proc/self/mem', 'rb+', 0).fileno()", core=True),
    Attack("read_the_memory_map_in_proc", "return open('/proc/self/maps').readline()"),
    Attack("read_the_memory_of_the_host", "return open(f\"/proc/{T['host']}/mem\", 'rb', 0).fileno()"),
    Attack("read_the_memory_of_the_parent", "return open(f'/proc/{os.getppid()}/mem', 'rb', 0).fileno()"),
    Attack("list_the_descriptors_in_proc", "return os.listdir('/proc/self/fd')", core=True),
    Attack("reopen_a_descriptor_in_proc", "return os.open('/proc/self/fd/0', os.O_RDWR)"),
    Attack("list_the_processes", "return len([n for n in os.listdir('/proc') if n.isdigit()])"),
    Attack("list_the_root", "return os.listdir('/')", core=True),
    Attack("list_a_directory_of_the_host", "return os.listdir(T['directory'])"),
    Attack("list_the_working_directory", "return [e.name for e in os.scandir('.')]"),
    Attack("read_entries_of_a_directory_by_descriptor", """
        fd = os.open(T['directory'], os.O_RDONLY | os.O_DIRECTORY)
        buffer = ctypes.create_string_buffer(4096)
        return call('getdents64', fd, buffer, 4096)
        """),
    Attack("glob_and_walk", """
        import glob
        found = glob.glob('/*') + [p for p, _, _ in os.walk('/etc')][:1]
        if not found: raise PermissionError(errno.EACCES, 'nothing was found')
        return found[:3]
        """),
    Attack("open_a_path_only", "return os.open('/', os.O_PATH)"),
    Attack("openat_by_number", "return call('openat', -100, T['secret'].encode(), 0, 0)", core=True),
    Attack("openat_relative_to_a_bogus_directory", "return call('openat', 0, T['secret'].encode(), 0, 0)"),
    Attack("open_by_number", "return call('open', T['secret'].encode(), 0, 0)", machine="x86_64", core=True),
    Attack("creat_by_number", "return call('creat', (T['directory'] + '/new').encode(), 0o600)", machine="x86_64"),
    Attack("openat2_by_number", """
        how = (ctypes.c_uint64 * 3)(0, 0, 0)
        return call('openat2', -100, T['secret'].encode(), how, 24)
        """),
    Attack("stat_a_file", "return os.stat(T['secret']).st_size", core=True),
    Attack("lstat_a_file", "return os.lstat(T['secret']).st_size"),
    Attack("stat_by_number", "return call('stat', T['secret'].encode(), ctypes.create_string_buffer(256))", machine="x86_64"),
    Attack("newfstatat_with_an_empty_path", """
        fd = os.open(T['secret'], os.O_PATH)
        return call('newfstatat', fd, b'', ctypes.create_string_buffer(256), 0x1000)
        """),
    Attack("statx_a_file", "return call('statx', -100, T['secret'].encode(), 0, 0x7ff, ctypes.create_string_buffer(512))"),
    Attack("ask_whether_a_file_is_there", """
        if os.access(T['secret'], os.F_OK) or os.path.exists(T['secret']): return 'it is there'
        raise PermissionError(errno.EACCES, 'no answer')
        """),
    Attack("access_by_number", "return call('faccessat', -100, T['secret'].encode(), 0)"),
    Attack("faccessat2_by_number", "return call('faccessat2', -100, T['secret'].encode(), 0, 0)"),
    Attack("readlink_of_the_own_program", "return os.readlink('/proc/self/exe')", core=True),
    Attack("readlinkat_of_the_own_root", """
        buffer = ctypes.create_string_buffer(256)
        return call('readlinkat', -100, b'/proc/self/root', buffer, 256)
        """),
    Attack("chdir", "os.chdir(T['directory'])\nreturn os.getcwd()", core=True),
    Attack("fchdir", "os.fchdir(os.open(T['directory'], os.O_RDONLY))\nreturn os.getcwd()"),
    Attack("chroot", "return reach('chroot', 0)", root=True),
    Attack("create_a_file", "open(T['directory'] + '/new', 'w').write('x')\nreturn 'written'", core=True),
    Attack("append_to_a_file", "open(T['plain'], 'a').close()\nreturn 'opened for writing'"),
    Attack("create_a_file_without_a_name", "return os.open(T['directory'], os.O_TMPFILE | os.O_RDWR)"),
    Attack("create_a_temporary_file", "import tempfile\nreturn tempfile.TemporaryFile().fileno()",
           denial=r"(PermissionError (EACCES|EPERM)|FileNotFoundError) "),
    Attack("overwrite_a_file", "return os.open(T['plain'], os.O_WRONLY | os.O_TRUNC)"),
    Attack("truncate_a_file", "os.truncate(T['plain'], 0)\nreturn 'gone'"),
    Attack("unlink_a_file", "os.unlink(T['plain'])\nreturn 'gone'", core=True),
    Attack("rename_a_file", "os.rename(T['plain'], T['plain'] + '2')\nreturn 'renamed'"),
    Attack("renameat2_by_number", "return call('renameat2', -100, T['plain'].encode(), -100, T['plain'].encode() + b'3', 1)"),
    Attack("link_a_file", "os.link(T['plain'], T['plain'] + '4')\nreturn 'linked'"),
    Attack("symlink_a_file", "os.symlink('/etc/passwd', T['directory'] + '/link')\nreturn 'linked'"),
    Attack("make_a_directory", "os.mkdir(T['directory'] + '/new')\nreturn 'made'"),
    Attack("remove_a_directory", "os.mkdir(T['directory'] + '/d')\nos.rmdir(T['directory'] + '/d')\nreturn 'removed'"),
    Attack("make_a_fifo", "os.mkfifo(T['directory'] + '/fifo')\nreturn 'made'"),
    Attack("make_a_device", "os.mknod(T['directory'] + '/null', 0o20666, os.makedev(1, 3))\nreturn 'made'", root=True),
    Attack("chmod_a_file", "os.chmod(T['plain'], 0o777)\nreturn 'changed'"),
    Attack("fchmodat2_by_number", "return call('fchmodat2', -100, T['plain'].encode(), 0o777, 0)", optional=True),
    Attack("chown_a_file", "os.chown(T['plain'], os.getuid(), os.getgid())\nreturn 'changed'"),
    Attack("set_the_times_of_a_file", "os.utime(T['plain'], (1, 1))\nreturn 'changed'"),
    Attack("set_an_attribute_of_a_file", "os.setxattr(T['plain'], 'user.x', b'1')\nreturn 'set'", optional=True,
           denial=DENIALS),
    Attack("list_attributes_of_a_file", "return os.listxattr(T['plain'])"),
    Attack("name_a_file_by_handle", """
        handle = (ctypes.c_uint8 * 136)(128)
        return call('name_to_handle_at', -100, T['secret'].encode(), handle, ctypes.byref(ctypes.c_int()), 0)
        """, optional=True),
    Attack("open_a_file_by_handle", "return reach('open_by_handle_at', -100, 0, 0)", root=True, core=True),
    Attack("watch_files_with_inotify", "return call('inotify_init1', 0)", core=True),
    Attack("watch_files_with_fanotify", "return reach('fanotify_init', 0, 0)", root=True, optional=True),
    Attack("open_dev_null", "return os.open('/dev/null', os.O_RDWR)"),
    Attack("open_the_memory_of_the_machine", "return os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK)", root=True, optional=True),
    Attack("open_the_terminal", """
        import pty
        return pty.openpty()
        """, denial=r"(PermissionError|OSError|ModuleNotFoundError) ", optional=True),
    Attack("shared_memory_by_name", """
        name = f'/stage-{os.getpid()}'.encode()
        fd = LIBC.shm_open(name, os.O_CREAT | os.O_RDWR, 0o600)
        if fd < 0: raise OSError(ctypes.get_errno(), 'shm_open')
        LIBC.shm_unlink(name)
        return fd
        """),
    Attack("write_to_dev_shm", """
        name = f'/dev/shm/stage-{os.getpid()}'
        os.close(os.open(name, os.O_CREAT | os.O_RDWR, 0o600))
        os.unlink(name)
        return name
        """),
    Attack("make_a_file_in_memory", """
        fd = os.memfd_create('attack')
        os.write(fd, b'#!/bin/sh')
        return fd
        """, core=True),
    Attack("load_a_c_extension", """
        import importlib.util
        name = os.path.basename(T['extension']).split('.')[0]
        spec = importlib.util.spec_from_file_location(name, T['extension'])
        module = importlib.util.module_from_spec(spec)
        return module.__name__
        """, denial=_LIBRARY, core=True),
    Attack("load_a_library", "return ctypes.CDLL(T['extension'])._name", denial=_LIBRARY, core=True),
    Attack("import_a_module_from_a_directory_of_ones_own", """
        sys.path.insert(0, T['directory'])
        with open(T['directory'] + '/mine_4711.py', 'w') as f: f.write('x = 1')
        import mine_4711
        return mine_4711.x
        """),
    Attack("mmap_a_file", """
        import mmap
        return mmap.mmap(os.open(T['secret'], os.O_RDONLY), 0, access=mmap.ACCESS_READ)[:3]
        """),
    Attack("open_a_database_file", """
        import sqlite3
        db = sqlite3.connect(T['directory'] + '/new.db')
        db.execute('create table t(x)'); db.commit()
        return 'made'
        """, denial=r"(OperationalError|PermissionError) "),
    Attack("attach_a_database_file", """
        import sqlite3
        db = sqlite3.connect(':memory:')
        db.execute('attach ? as other', (T['directory'] + '/new.db',))
        db.execute('create table other.t(x)'); db.commit()
        return 'made'
        """, denial=r"(OperationalError|PermissionError|DatabaseError) "),
    Attack("truncate_by_descriptor", """
        for fd in range(64):
            try: os.ftruncate(fd, 1 << 20)
            except OSError as e:
                if e.errno in (errno.EBADF, errno.EINVAL): continue
                raise
            return fd
        fd = os.open(T['plain'], os.O_RDWR); os.ftruncate(fd, 3)
        return fd
        """),
]  # fmt: skip
