"""What clients of other systems lack is not imported above the daemon."""

from __future__ import annotations

import subprocess
import sys

POSIX_ONLY = ("fcntl", "pwd", "grp", "resource", "termios", "tty", "pty", "syslog", "spwd")


def test_hosts_and_link_import_no_module_of_posix() -> None:
    forbid = f"import sys; sys.modules.update(dict.fromkeys({POSIX_ONLY}))"
    # paramiko and numpy import some where they are, and do without elsewhere.
    names = "{n for n in sys.modules if sys.modules[n]} & set(ours)"
    script = (
        f"import paramiko, cloudpickle, platformdirs, subprocess, tempfile, getpass; {forbid}; "
        f"import kernelext.hosts, kernelext.link, kernelext.link.local; "
        f"ours = {POSIX_ONLY}; assert not ({names})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
