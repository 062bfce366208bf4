"""Runs one command inside a private root. This script uses only the standard library and is started by its path.

    python -I -S confinement.py '{"root": …, "argv": …, …}'     (sandbox.py writes the specification)

It is the parent of the command and guarantees:

- The command sees the root as `/` and has its own mounts and process ids. It is process 1 of its namespace, so all
  processes that it started, daemons included, end with it.
- When the supervisor or this script dies, even by SIGKILL, the kernel kills the command. The death signals are armed
  after the last change of identity, because such a change silently disarms them.
- SIGTERM and SIGINT are passed on; SIGUSR1 kills the command. This script exits with the command's exit code, or
  `128 + signal` if a signal killed it. Exit code 97: the command could not be started; the reason is on standard error.

If root starts the script, the command runs as an unprivileged user. If an ordinary user starts it, the command runs as
that user, in a user namespace that allows mounts. Where even root may not mount (plain containers), `"namespaces":
false` uses chroot: the guarantees are the same, but /proc is missing, and remaining children are found by their
parent.
"""

import ctypes
import json
import os
import resource
import signal
import stat
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x00020000, 0x10000000, 0x20000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
CANNOT_START = 97
DEVICES = {"null": 3, "zero": 5, "random": 8, "urandom": 9}  # minor numbers of major number 1
OPEN_FILES = (
    65536  # Erlang closes every possible descriptor when it starts: with a limit of a million this takes seconds
)

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, doing: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{doing}: {os.strerror(error)}")


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = [text.encode() if text is not None else None for text in (source, target, kind, options)]
    result = libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    checked(result, f"mount {source} on {target}")


def signal_at_parent_death(number: signal.Signals) -> None:
    checked(libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0), "prctl")


def enter_namespaces() -> None:
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE_NEWNS | CLONE_NEWPID | (CLONE_NEWUSER if uid != 0 else 0)
    checked(libc.unshare(flags), "unshare")
    if uid != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def make_mounts(root: str, binds: dict[str, str]) -> None:
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("/dev", f"{root}/dev", None, MS_BIND | MS_REC)
    # A private one, so that the shared memory of a killed server ends with its namespace.
    if Path(root, "dev", "shm").is_dir():
        mount("tmpfs", f"{root}/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")  # noqa: S108 (private)
    try:
        mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV)
    except OSError:  # a container that hides parts of /proc forbids a new one: use the outer one
        mount("/proc", f"{root}/proc", None, MS_BIND | MS_REC)
    mount("tmpfs", f"{root}/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")  # noqa: S108 (private, seen by the command only)
    for inside, outside in binds.items():
        mount(outside, f"{root}{inside}", None, MS_BIND | MS_REC)


def make_devices(root: str) -> None:
    """Create the necessary devices where those of the machine cannot be mounted."""
    for name, minor in DEVICES.items():
        device = Path(root, "dev", name)
        if not device.exists():
            os.mknod(device, stat.S_IFCHR, os.makedev(1, minor))
            device.chmod(0o666)
    shared_memory = Path(root, "dev", "shm")
    shared_memory.mkdir(exist_ok=True)
    shared_memory.chmod(0o1777)


def exec_command(spec: dict[str, Any], alive: int) -> NoReturn:
    """In the child: set root, identity and environment, then exec the command."""
    if spec["namespaces"]:
        make_mounts(spec["root"], spec["binds"])
    else:
        make_devices(spec["root"])
    max_files = min(OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (max_files, max_files))
    os.chroot(spec["root"])
    os.chdir(spec["cwd"])
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(spec["uid"])
        os.setuid(spec["uid"])
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    signal_at_parent_death(signal.SIGKILL)
    os.set_blocking(alive, False)
    try:
        os.read(alive, 1)  # end of file: the parent died before the death signal was armed
        os._exit(CANNOT_START)
    except BlockingIOError:
        pass
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o077)
    os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606 (an argument list)


def kill_remaining_children() -> None:
    """Without a PID namespace: kill the remaining children of the command, of which this process is now the parent."""
    while True:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def main() -> int:
    spec = json.loads(sys.argv[1])
    signal_at_parent_death(signal.SIGUSR1)
    if os.getppid() != spec["supervisor"]:
        return CANNOT_START
    read_end, _write_end = os.pipe()
    try:
        if spec["namespaces"]:
            enter_namespaces()
        else:
            libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        child = os.fork()
    except OSError as error:
        print(f"cannot start {spec['argv'][0]}: {error.strerror}", file=sys.stderr)
        return CANNOT_START
    if child == 0:
        os.close(_write_end)
        try:
            exec_command(spec, read_end)
        except BaseException as error:  # noqa: BLE001 (a forked child must never return into the parent's code)
            print(f"cannot start {spec['argv'][0]}: {error}", file=sys.stderr, flush=True)
            os._exit(CANNOT_START)

    def forward(number: int, _frame: FrameType | None) -> None:
        os.kill(child, signal.SIGKILL if number == signal.SIGUSR1 else number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, forward)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not spec["namespaces"]:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        kill_remaining_children()
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main())
