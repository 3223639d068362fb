"""What a host does with images takes longer than a request: begun, sent what it lacks, awaited."""

from __future__ import annotations

import contextlib
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kernelext.errors import DaemonError, HostError, LinkError
from kernelext.hosts.sizes import size_text
from kernelext.link import HostLink
from kernelext.link.hostlink import Progress
from kernelext.recipe import DockerRecipe, Recipe

LOOK_S = 0.1
SENDING_TRIES = 4  # a folder's files are known when their list has come
STEP_LETTERS = 100  # of one line on a screen
INSTRUCTION_LETTERS = 40

Say = Callable[[str], None]
Check = Callable[[], None]


def check_nothing() -> None:
    """Check nothing: an interrupt comes as it does in any function."""


def finish(
    link: HostLink,
    ask: Callable[[], Progress],
    send: Callable[[Sequence[str]], None],
    say: Say,
    check: Check,
) -> Mapping[str, Any]:
    """Have a host do a job; its result.

    Parameters
    ----------
    link : HostLink
    ask : callable
        Begins the job, or asks how far it is.
    send : callable
        Sends the host the blobs that it lacks, by their digests.
    say : callable
        Told what is being done, a few words each time.
    check : callable
        Raises when the user wants it to stop; what the host has begun it ends all the same.

    Raises
    ------
    DaemonError
        The host does not keep what it is sent.
    HostError
        What the job says.
    """
    for _ in range(SENDING_TRIES):
        progress = ask()
        if progress.missing:
            send(progress.missing)
            continue
        while progress.result is None:
            say(_words(progress.told))
            check()
            time.sleep(LOOK_S)
            progress = ask()
        return progress.result
    raise DaemonError(f"{link.host.name} does not keep what it is sent")


@contextlib.contextmanager
def stopped_if_left(link: HostLink, recipe: Recipe | DockerRecipe, check: Check) -> Iterator[None]:
    """End a build on a host if the user leaves it: what its steps run may take for ever.

    Parameters
    ----------
    link : HostLink
    recipe : Recipe or DockerRecipe
    check : callable
        Raises when the user wants it to stop; the connection may be cut for that.
    """
    try:
        yield
    except HostError:  # it has ended
        raise
    except (LinkError, TimeoutError):  # it goes on, and is asked for again
        with _stopping(link, recipe):
            check()
        raise
    except BaseException:
        with _stopping(link, recipe):
            raise


@contextlib.contextmanager
def _stopping(link: HostLink, recipe: Recipe | DockerRecipe) -> Iterator[None]:
    """Tell the host, if what is done here raises."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(HostError, LinkError, TimeoutError):
            link.connect()
            link.stop_build(recipe)
        raise


def _words(told: Mapping[str, Any]) -> str:
    if "step" in told:
        number = f"step {told['step']} of {told['of']}, " if told["of"] > 1 else ""
        instruction, said = str(told["instruction"]), str(told.get("line") or "")
        shown = textwrap.shorten(instruction, INSTRUCTION_LETTERS, placeholder=" ...")
        return f"{number}{shown}{': ' * bool(said)}{said}"[:STEP_LETTERS]
    if "made" in told:
        return f"installing {told['made']} ({told['number']} of {told['of']})"
    if "loading" in told:
        return f"loading {size_text(told['loading'])} into the engine"
    if "packed" in told:
        return f"packing, {size_text(told['packed'])}"
    return "waiting for the host"
