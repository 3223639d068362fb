"""Start a host's first process in namespaces of its own, and leave a watcher that reaps it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from .commands import LabError, run
from .processes import Process

PR_SET_CHILD_SUBREAPER = 36
# mount, cgroup, uts, ipc, pid, network
NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000


@dataclass(frozen=True)
class Plan:
    """What the first process of a host needs from the machine."""

    script: str
    console: str
    record: str
    watcher_record: str
    cgroup_files: list[str]
    veth: str
    mac: str
    bridge: str

    def to_json(self) -> str:
        """Return the plan as one word of a command line."""
        return json.dumps(asdict(self))


def leave_watcher(plan: Plan) -> int:
    """Fork a watcher, the parent of the host's first process; return that one's pid."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        text = os.read(reader, 32)
        if not text:
            raise SystemExit(f"the host did not start: see {plan.console}")
        return int(text)
    try:
        os.setsid()
        os.chdir("/")
        pid = start_first(plan)
        os.write(writer, str(pid).encode())
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.closerange(3, 256)
        os.waitpid(pid, 0)
    except (OSError, LabError) as error:
        complain(error)
    finally:
        os._exit(0)


def start_first(plan: Plan) -> int:
    """Make the namespaces and set their PID 1 going, as a child of this process."""
    # The process between ends at once: it sits inside the namespaces and would keep them.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    report, reporter = os.pipe()
    gate, opener = os.pipe()
    between = os.fork()
    if between == 0:
        os.close(opener)
        enter_namespaces(plan, reporter, gate)
    os.close(reporter)
    os.close(gate)
    os.waitpid(between, 0)
    text = os.read(report, 32)
    if not text:
        raise LabError("could not make the namespaces")
    pid = int(text)
    try:
        plug_cable(plan, pid)
        Process.of(os.getpid()).save(Path(plan.watcher_record))
        Process.of(pid).save(Path(plan.record))
        os.write(opener, b"g")
    except (OSError, LabError):
        os.kill(pid, signal.SIGKILL)
        raise
    return pid


def enter_namespaces(plan: Plan, reporter: int, gate: int) -> None:
    """Fork the first process inside new namespaces; never returns."""
    try:
        for file in plan.cgroup_files:
            Path(file).write_text("0")
        libc = ctypes.CDLL(None, use_errno=True)
        # After joining the cgroups, else containers escape the host's subtree.
        if libc.unshare(NAMESPACES):
            raise OSError(ctypes.get_errno(), "unshare")
        if first := os.fork():
            os.write(reporter, str(first).encode())
            os._exit(0)
        os.close(reporter)
        if os.read(gate, 1) == b"g":
            run_boot_script(plan)
    except OSError as error:
        complain(error)
    finally:
        os._exit(1)


def run_boot_script(plan: Plan) -> None:
    """Become the boot script, with the console as output."""
    os.setsid()
    console = os.open(plan.console, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, descriptor in ((null, 0), (console, 1), (console, 2)):
        os.dup2(source, descriptor)
    os.closerange(3, 256)
    os.execv("/bin/sh", ["/bin/sh", plan.script])


def plug_cable(plan: Plan, pid: int) -> None:
    """Give the host its eth0 and put the other end on the bridge."""
    peer = ["peer", "name", "eth0", "address", plan.mac, "netns", str(pid)]
    run("ip", "link", "add", plan.veth, "type", "veth", *peer)
    run("ip", "link", "set", plan.veth, "master", plan.bridge, "up")


def complain(error: Exception) -> None:
    """Say what went wrong in a process that will not return."""
    os.write(2, f"spawn: {error}\n".encode())


if __name__ == "__main__":
    print(leave_watcher(Plan(**json.loads(sys.argv[1]))))
