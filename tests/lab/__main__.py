"""Docker hosts to play with: `python -m tests.lab up 3`, later `python -m tests.lab down`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

from .commands import LabError, say
from .host import Host
from .images import MACHINE_PACKAGES
from .lab import Lab, default_cache, default_state

Arguments = argparse.Namespace


def show_packages(lab: Lab, args: Arguments) -> None:
    """Print the Debian packages that the machine needs."""
    print(*MACHINE_PACKAGES)


def build_images(lab: Lab, args: Arguments) -> None:
    """Build the images and say where they are."""
    lab.build_images()
    print(lab.images.directory)


def boot_hosts(lab: Lab, args: Arguments) -> None:
    """Boot hosts and say how to use them."""
    began = time.monotonic()
    lab.up(args.count, memory=args.memory, cpus=args.cpus)
    say(f"{args.count} hosts in {time.monotonic() - began:.1f} s")
    list_hosts(lab, args)
    print(f'\neval "$({sys.executable} -m tests.lab --state {shlex.quote(str(lab.state))} env)"')
    print("DOCKER_HOST=ssh://root@host01 docker info   # or: ssh host01 docker info")


def list_hosts(lab: Lab, args: Arguments) -> None:
    """Print a line for every host."""
    for host in lab.hosts():
        faults = " ".join(f"{name}={value}" for name, value in host.faults.items())
        print(f"{host.name}  {host.ip:<15}  {'running' if host.running else 'off':<8} {faults}")


def print_environment(lab: Lab, args: Arguments) -> None:
    """Print exports for a shell."""
    print(f"export HOME={shlex.quote(str(lab.home))}")
    print(f'export PATH={shlex.quote(str(lab.bin))}:"$PATH"')


def chosen(lab: Lab, name: str) -> list[Host]:
    """Return the host of that name, or all."""
    return lab.hosts() if name == "all" else [lab.host(name)]


def kill_hosts(lab: Lab, args: Arguments) -> None:
    """Cut the power."""
    for host in chosen(lab, args.name):
        host.kill(silent=not args.fin)


def stop_hosts(lab: Lab, args: Arguments) -> None:
    """Press the power button."""
    for host in chosen(lab, args.name):
        host.stop()


def restart_hosts(lab: Lab, args: Arguments) -> None:
    """Cut the power and boot again."""
    for host in chosen(lab, args.name):
        host.restart()


def partition_hosts(lab: Lab, args: Arguments) -> None:
    """Cut the network."""
    for host in chosen(lab, args.name):
        host.partition(args.mode)


def heal_hosts(lab: Lab, args: Arguments) -> None:
    """Mend the network."""
    for host in chosen(lab, args.name):
        host.heal()


def slow_hosts(lab: Lab, args: Arguments) -> None:
    """Shape the network."""
    for host in chosen(lab, args.name):
        how = host.slow(args.delay, args.rate, args.jitter, args.loss)
        print(f"{host.name}: {how}")


def exec_in_host(lab: Lab, args: Arguments) -> None:
    """Become a command inside a host."""
    words = lab.host(args.name).guest.command(*without_dashes(args.command))
    os.execvp(words[0], words)


def ssh_to_host(lab: Lab, args: Arguments) -> None:
    """Become an ssh to a host."""
    words = [
        *lab.ssh.command,
        f"{args.user}@{lab.host(args.name).ip}",
        *without_dashes(args.command),
    ]
    os.execvp(words[0], words)


def without_dashes(words: list[str]) -> list[str]:
    """Return a command without the `--` that may stand before it."""
    return words[1:] if words[:1] == ["--"] else words


def bring_down(lab: Lab, args: Arguments) -> None:
    """Leave nothing behind."""
    lab.down(purge=args.purge)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("--state", type=Path, default=default_state(), help="default: %(default)s")
    parser.add_argument("--bridge", help="default: the state's last, at first lab0")
    parser.add_argument("--subnet", help="default: the state's last, at first 10.77.0.0/24")
    commands = parser.add_subparsers(dest="command_name", required=True)
    for name, function in (
        ("packages", show_packages),
        ("image", build_images),
        ("ls", list_hosts),
        ("env", print_environment),
    ):
        commands.add_parser(name, help=function.__doc__).set_defaults(function=function)
    up = commands.add_parser("up", help=boot_hosts.__doc__)
    up.set_defaults(function=boot_hosts)
    up.add_argument("count", type=int)
    up.add_argument("--memory", help="of each new host, for example 2g")
    up.add_argument("--cpus", help="of each new host, for example 0 or 0-1")
    down = commands.add_parser("down", help=bring_down.__doc__)
    down.set_defaults(function=bring_down)
    down.add_argument("--purge", action="store_true", help="delete disks and keys as well")
    add_host_commands(commands)
    return parser


def add_host_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands that take a host."""
    parsers = {}
    for name, function in (
        ("kill", kill_hosts),
        ("stop", stop_hosts),
        ("restart", restart_hosts),
        ("partition", partition_hosts),
        ("heal", heal_hosts),
        ("slow", slow_hosts),
        ("exec", exec_in_host),
        ("ssh", ssh_to_host),
    ):
        parsers[name] = commands.add_parser(name, help=function.__doc__)
        parsers[name].set_defaults(function=function)
        parsers[name].add_argument("name")
    parsers["kill"].add_argument("--fin", action="store_true", help="peers see the end")
    parsers["partition"].add_argument("--mode", choices=("link", "drop"), default="link")
    for option in ("--delay", "--rate", "--jitter"):
        parsers["slow"].add_argument(option)
    parsers["slow"].add_argument("--loss", type=float, default=0.0, help="percent")
    parsers["ssh"].add_argument("--user", default="root")
    for name in ("exec", "ssh"):
        parsers[name].add_argument("command", nargs=argparse.REMAINDER)


def main() -> None:
    """Run one command."""
    args = make_parser().parse_args()
    if os.geteuid() and args.function is not show_packages:
        sys.exit("the lab needs root")
    try:
        lab = Lab(args.state, default_cache(), bridge=args.bridge, subnet=args.subnet)
        args.function(lab, args)
    except LabError as error:
        sys.exit(f"lab: {error}")


if __name__ == "__main__":
    main()
