"""Does a step of ``image`` on hosts, keeps them within reach, and says on which it failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kernelext.errors import (
    DiskFull,
    HostError,
    ImageBuildError,
    KernelExtError,
    LinkLost,
    RunError,
)
from kernelext.hosts.config import HostConfig
from kernelext.image.jobs import Say
from kernelext.link import HostLink
from kernelext.runs.hostnotes import note_host
from kernelext.runs.reach import Reach
from kernelext.verbs.context import Context
from kernelext.verbs.progress import ProgressLine

Step = Callable[[HostLink, Say], str]


def named_hosts(context: Context, names: str | None) -> list[HostConfig]:
    """Return the hosts that an option names, else the default one.

    Raises
    ------
    UnknownHost
    ImageBuildError
        ``local`` has no images.
    """
    hosts = [context.host(name) for name in (names or context.settings.default_host).split(",")]
    if any(host.is_local for host in hosts):
        raise ImageBuildError(
            "`local` runs cells with this machine's own Python and needs no image; name a host"
            " with --on"
        )
    return hosts


def on_hosts(context: Context, hosts: Sequence[HostConfig], step: Step) -> str:
    """Do a step on each of some hosts; what it returns, a line a host.

    Raises
    ------
    KernelExtError
        It has failed somewhere; where it has not is said too.
    """
    if len(hosts) == 1:
        return on_host(context, hosts[0], step)
    lines, problems = [], []
    for host in hosts:
        try:
            lines.append(on_host(context, host, step))
        except KernelExtError as exc:
            problems.append(str(exc) if isinstance(exc, HostError) else f"{host.name}: {exc}")
    if problems:
        raise HostError("\n".join([*lines, *problems]))
    return "\n".join(lines)


def on_host(context: Context, host: HostConfig, step: Step) -> str:
    """Do a step on a host; it is done again when a connection that broke stands again.

    Raises
    ------
    HostError
        Names the host.
    LinkLost
        It has not answered for as long as hosts are waited for.
    KernelExtError
        What the step raises.
    """
    progress = ProgressLine(host.name, context.status_line())
    with context.links.separate(host) as link, progress as line:
        note_host(context.history, link, link.refresh())
        reach = Reach(link, line.show, lambda: None, context.settings.lost_after_s)
        try:
            return reach.persist(lambda: step(link, line.show))
        except RunError as exc:
            raise LinkLost(
                f"{host.name} has not answered for {context.settings.lost_after_s:.0f} s"
                " (lost_after); it goes on with what it has begun: say the same again when it"
                " answers"
            ) from exc
        except DiskFull as exc:
            raise DiskFull(
                f"{host.name}: its disk is full ({exc}); free some below {host.state_dir} or where"
                f" Docker keeps its images: `gc {host.name}` removes what nobody needs"
            ) from exc
        except HostError as exc:
            raise type(exc)(f"{host.name}: {exc}") from exc
