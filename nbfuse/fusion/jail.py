"""What runs in the child process of `sandbox`: it gives up what code could do harm with, then runs.

Started as a script, without site packages; it knows nothing of nbfuse. Nothing here trusts that a
layer holds: before the code runs it tries to start a process itself, and refuses where it can.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
import traceback
import types
from collections.abc import Callable

MOST_FILES = 64  # that the code may create; each has a size limit of its own

_NEW_NAMESPACES = 0x10000000 | 0x40000000 | 0x08000000  # of users, network and IPC
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _DENY, _UNKNOWN = 0x7FFF0000, 0x00050001, 0x00050026  # allow, EPERM, ENOSYS
_LOAD, _AND, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_THREAD = 0x00010000  # of clone's flags: what shares all with its process is no new process
_WRITING = 0o3 | 0o100 | 0o1000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC

# System calls that computing needs, for x86_64 and aarch64 (-1: it has none); all others fail.
_CALLS: dict[str, tuple[tuple[int, ...], ...]] = {
    "read write close fstat lseek mmap mprotect munmap brk": (
        (0, 1, 3, 5, 8, 9, 10, 11, 12),
        (63, 64, 57, 80, 62, 222, 226, 215, 214),
    ),
    "rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack ioctl fcntl dup dup2 dup3 pipe2": (
        (13, 14, 15, 131, 16, 72, 32, 33, 292, 293),
        (134, 135, 139, 132, 29, 25, 23, -1, 24, 59),
    ),
    "pread64 pwrite64 readv writev mremap madvise sched_yield getrandom getcwd chdir": (
        (17, 18, 19, 20, 25, 28, 24, 318, 79, 80),
        (67, 68, 65, 66, 216, 233, 124, 278, 17, 49),
    ),
    "stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getdents64": (
        (4, 6, 262, 332, 21, 269, 439, 89, 267, 217),
        (-1, -1, 79, 291, -1, 48, 439, -1, 78, 61),
    ),
    "getpid getppid gettid getuid geteuid getgid getegid uname sysinfo getrusage times": (
        (39, 110, 186, 102, 107, 104, 108, 63, 99, 98, 100),
        (172, 173, 178, 174, 175, 176, 177, 160, 179, 165, 153),
    ),
    "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time setitimer": (
        (228, 229, 230, 35, 96, 201, 38),
        (113, 114, 115, 101, 169, -1, 103),
    ),
    "futex set_tid_address set_robust_list rseq membarrier sched_getaffinity arch_prctl": (
        (202, 218, 273, 334, 324, 204, 158),
        (98, 96, 99, 293, 283, 123, -1),
    ),
    "poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2": (
        (7, 271, 23, 270, 291, 233, 232, 281, 290),
        (-1, 73, -1, 72, 20, 21, -1, 22, 19),
    ),
    "sendto recvfrom exit exit_group": ((44, 45, 60, 231), (206, 207, 93, 94)),  # asyncio's pair
}
_CHANGES: dict[str, tuple[tuple[int, ...], ...]] = {  # of files: only where Landlock says of which
    "rename mkdir rmdir unlink mkdirat unlinkat renameat renameat2 ftruncate fsync": (
        (82, 83, 84, 87, 258, 263, 264, 316, 77, 74),
        (-1, -1, -1, -1, 34, 35, 38, 276, 46, 82),
    ),
}
_OPENAT, _CLONE, _CLONE3, _TGKILL, _SOCKETPAIR = (
    (257, 56), (56, 220), (435, 435), (234, 131), (53, 199)
)  # fmt: skip
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, AUDIT_ARCH

_LANDLOCK = (444, 445, 446)  # make a ruleset, add a rule, restrict: the same on both machines
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1, 2, 4, 8, 1 << 14
_READABLE = ("/usr", "/lib", "/lib64", "/etc/localtime", "/dev/urandom", "/dev/null")


def limit(seconds: float, memory: int, written: int) -> None:
    """Bound CPU time, memory, open files and the size of what is written."""
    cpu = int(seconds) + 1
    for what, most in (
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, written),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def _instruction(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
    order = sys.byteorder
    return code.to_bytes(2, order) + bytes((yes, no)) + k.to_bytes(4, order)


def _filter(machine: str, may_change: bool) -> bytes:
    """A BPF program that lets pass what computing needs, and nothing else."""
    column, arch = _MACHINES[machine]
    tables = [_CALLS, _CHANGES] if may_change else [_CALLS]
    numbers = [n for table in tables for calls in table.values() for n in calls[column] if n >= 0]
    program = [
        _instruction(_LOAD, 4),
        _instruction(_JUMP_IF_EQUAL, arch, 1, 0),
        _instruction(_RETURN, _DENY),
        _instruction(_LOAD, 0),
        _instruction(_JUMP_IF_EQUAL, _CLONE3[column], 0, 1),
        _instruction(_RETURN, _UNKNOWN),  # its flags can't be seen; libc then takes clone
    ]
    for number in numbers:
        program += [_instruction(_JUMP_IF_EQUAL, number, 0, 1), _instruction(_RETURN, _ALLOW)]
    for number, argument, mask, value in (
        (_CLONE[column], 0, _THREAD, _THREAD),
        (_TGKILL[column], 0, 0xFFFFFFFF, os.getpid()),
        (_SOCKETPAIR[column], 1, 0xF, 1),  # a stream: a datagram could name another address
        (_OPENAT[column], 2, 0 if may_change else _WRITING, 0),
    ):
        program += [
            _instruction(_JUMP_IF_EQUAL, number, 0, 5),
            _instruction(_LOAD, 16 + 8 * argument),
            _instruction(_AND, mask),
            _instruction(_JUMP_IF_EQUAL, value, 0, 1),
            _instruction(_RETURN, _ALLOW),
            _instruction(_RETURN, _DENY),
        ]
    return b"".join([*program, _instruction(_RETURN, _DENY)])


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def filter_calls(libc: ctypes.CDLL, may_change: bool) -> bool:
    """Refuse system calls for good; whether the kernel took the filter."""
    machine = os.uname().machine
    if machine not in _MACHINES:
        return False
    code = _filter(machine, may_change)
    program = _Program(len(code) // 8, ctypes.cast(ctypes.c_char_p(code), ctypes.c_void_p))
    none = ctypes.c_ulong(0)
    libc.prctl(_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), none, none, none)
    done: int = libc.prctl(_SET_SECCOMP, ctypes.c_ulong(_FILTER), ctypes.byref(program), none, none)
    return done == 0


def keep_to(libc: ctypes.CDLL, folder: str) -> bool:
    """Let files be written in `folder` alone and Python's own be read; whether Landlock could."""
    make, add, restrict = _LANDLOCK
    version = libc.syscall(make, None, ctypes.c_size_t(0), 1)
    if version < 3:  # before it a file could still be emptied
        return False
    rights = (1 << 15) - 1  # those of version 3; the filter refuses ioctls that would matter
    handled = ctypes.c_uint64(rights)
    rules = libc.syscall(make, ctypes.byref(handled), ctypes.c_size_t(8), 0)
    reading = _EXECUTE | _READ_FILE | _READ_DIR
    allowed = [(folder, rights & ~_EXECUTE), (sys.base_prefix, reading)]
    for path, wanted in [*allowed, *((path, reading) for path in _READABLE)]:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        if not os.path.isdir(path):
            wanted &= _EXECUTE | _READ_FILE
        rule = wanted.to_bytes(8, sys.byteorder) + place.to_bytes(4, sys.byteorder, signed=True)
        libc.syscall(add, rules, 1, ctypes.c_char_p(rule), 0)
        os.close(place)
    none = ctypes.c_ulong(0)
    libc.prctl(_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), none, none, none)
    done: int = libc.syscall(restrict, rules, 0)
    os.close(rules)
    return done == 0


def can_fork() -> bool:
    """Whether a process can still be started, found out by trying."""
    try:
        child = os.fork()
    except OSError:
        return False
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return True


_REFUSED = (
    *("socket.", "subprocess.", "ctypes.", "os.exec", "os.fork", "os.kill", "os.posix_spawn"),
    *("os.spawn", "os.system", "pty.", "resource.", "signal.pthread_kill", "gc.get", "syslog."),
    *("fcntl.", "mmap.", "os.chown", "os.chmod", "os.lockf", "os.setxattr", "os.utime"),
)
_ON_PATHS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
_ON_LINKS = ("os.link", "os.symlink")
_LOOKS = ("os.listdir", "os.scandir")


def watch(folder: str) -> Callable[[str, tuple[object, ...]], None]:
    """A hook that refuses in Python what the kernel refuses below, in words; no wall by itself."""
    home, roots = os.path.realpath(folder), (sys.base_prefix, folder, *_READABLE)
    readable = tuple(map(os.path.realpath, roots))
    created = 0
    inside, real, text = os.path.commonpath, os.path.realpath, os.fsdecode

    def within(path: object, tops: tuple[str, ...]) -> bool:
        if isinstance(path, int) or path is None:
            return True
        whole = real(text(path))  # type: ignore[arg-type]  # whatever was given as a path
        return any(inside((whole, top)) == top for top in tops)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal created
        refused = event.startswith(_REFUSED) or event in _ON_LINKS
        if event == "socket.__new__":
            refused = arguments[1] != 1  # asyncio needs a pair within this process
        elif event == "open":
            writing = isinstance(arguments[2], int) and arguments[2] & _WRITING
            created += bool(writing)
            refused = not within(arguments[0], (home,) if writing else readable)
            refused = refused or created > MOST_FILES
        elif event in _ON_PATHS:
            refused = not all(within(one, (home,)) for one in arguments if not isinstance(one, int))
        elif event in _LOOKS:
            refused = not within(arguments[0] or ".", readable)
        if refused:
            raise PermissionError(f"{event} is not allowed here")

    return hook


def confine(folder: str, layers: list[str]) -> str:
    """Give up what can be given up; what still is not safe, in words, or nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux":
        if "namespaces" in layers:
            libc.unshare(_NEW_NAMESPACES)  # often not allowed; the filter does not need it
        landlocked = "landlock" in layers and keep_to(libc, folder)
        filtered = "filter" in layers and filter_calls(libc, landlocked)
    else:
        filtered = False
    if not filtered and "processes" in layers:
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))  # does not bind root
    if can_fork():
        return "this system can't keep code from starting processes"
    return ""


def run(code: str, raised: int, no_memory: int) -> int:
    """Run `code` as a program; the exit status that says how it ended."""
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    try:
        exec(compile(code, "<answer>", "exec"), main.__dict__)
        sys.stdout.flush()
    except SystemExit as left:
        if left.code in (None, 0):
            return 0
        print(f"left with {left.code}", file=sys.stderr)
        return raised
    except MemoryError:
        return no_memory
    except BaseException as error:
        print(traceback.format_exception_only(error)[-1].strip()[:200], file=sys.stderr)
        return raised
    return 0


def main() -> None:
    """Read what to run from standard input and the settings from the command line."""
    settings = json.loads(sys.argv[1])
    code = sys.stdin.buffer.read().decode()
    sys.argv = ["answer.py"]
    limit(settings["seconds"], settings["memory"], settings["written"])
    if unsafe := confine(settings["folder"], settings["layers"]):
        print(unsafe, file=sys.stderr)
        sys.exit(settings["unsafe"])
    for name in ("ctypes", "_ctypes", "resource"):
        sys.modules.pop(name, None)
    if "hook" in settings["layers"]:
        sys.addaudithook(watch(settings["folder"]))
    sys.exit(run(code, settings["raised"], settings["no_memory"]))


if __name__ == "__main__":
    main()
