"""Brings home what a host has of an attempt that nobody here follows."""

from __future__ import annotations

import queue
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from kernelext.errors import LinkLost, ProtocolError, RunError
from kernelext.link import HostLink
from kernelext.models import AttemptEnd, AttemptId, RunState, ValueRef
from kernelext.runs.fetching import distinct, fetch
from kernelext.runs.filefetching import FILES_NAME, FileFetch
from kernelext.runs.follower import Follower
from kernelext.runs.homecoming import Homecoming
from kernelext.runs.unfetched import forget_unfetched, note_unfetched
from kernelext.wire import Header


@dataclass(frozen=True)
class Recovered:
    """What came home.

    Attributes
    ----------
    state : RunState
        Of the attempt, on its host.
    end : AttemptEnd or None
    output_bytes : int
        Of the journal that were not here before.
    values : tuple of ValueRef
        Whose bytes were not here before.
    journal_bytes : int
        Of the journal that are at home now.
    files : int
        Of the project that were not here before.
    is_whole : bool
        Whether the attempt has ended and all of it is at home.
    """

    state: RunState
    end: AttemptEnd | None
    output_bytes: int
    values: tuple[ValueRef, ...]
    journal_bytes: int
    files: int = 0
    is_whole: bool = False


def recover(
    link: HostLink,
    attempt: AttemptId,
    directory: Path,
    names: Collection[str] = (),
    homecoming: Homecoming | None = None,
) -> Recovered:
    """Bring an attempt's journal home from where it ends here, its large results and its files.

    Whoever else follows the attempt is not disturbed: the host keeps all, and the journal at
    home is written at its own places.

    Parameters
    ----------
    link : HostLink
        Connected, and nobody else's.
    attempt : AttemptId
    directory : Path
        The attempt's, at home.
    names : collection of str
        Only these results; none: all.
    homecoming : Homecoming or None
        Takes the files that the cell has changed; None leaves them there.

    Raises
    ------
    DaemonError
        The host does not know the attempt.
    LinkLost
        What has come stays here.
    RunError
        This machine cannot keep it.
    """
    state, host_bytes = link.attempt(attempt)
    news: queue.Queue[AttemptEnd | Exception | None] = queue.Queue()
    follower = Follower(
        attempt,
        directory,
        on_event=lambda _: None,
        on_state=lambda _: None,
        on_end=lambda end, _: news.put(end),
        on_failure=news.put,
    )

    def take(header: Header, body: bytes) -> None:
        follower.take(header, body)
        if follower.offset >= host_bytes:
            news.put(None)

    try:
        follower.resume()
        before_bytes = follower.offset
        lost = LinkLost(f"the connection to {link.host.name} is lost")
        link.on_lost(lambda: news.put(lost))
        end: AttemptEnd | None = None
        if state.is_final or follower.offset < host_bytes:
            link.listen(attempt, take)
            link.follow(attempt, follower.offset)
            end = _await(news, attempt, state)
        wanted = _wanted(follower, end, names)
        for ref in distinct(wanted):
            fetch(link, follower, ref, lambda: None)
        files = _bring_files(link, follower, homecoming)
        has_files = homecoming is not None or not follower.changes.files
    except OSError as exc:
        raise _unkept(directory, exc) from exc
    finally:
        link.unfollow(attempt)
        follower.close()
    came_bytes = follower.offset - before_bytes
    is_here = end is not None and has_files
    if end is not None and end.state is RunState.DONE:
        is_here = is_here and not follower.account.absent_values()
    return Recovered(
        end.state if end else state,
        end,
        came_bytes,
        tuple(wanted),
        follower.offset,
        files,
        is_here,
    )


def _bring_files(link: HostLink, follower: Follower, homecoming: Homecoming | None) -> int:
    """Put the files that an ended attempt has changed into the project; how many came."""
    changes, directory = follower.changes, follower.directory
    if changes.files:
        note_unfetched(directory)  # until all of them are here
    if homecoming is None:
        return 0
    files = FileFetch(link, follower.attempt, homecoming, directory / FILES_NAME, lambda: None)
    files.plan(changes)
    files.fetch()
    forget_unfetched(directory)
    return files.count


def _await(
    news: queue.Queue[AttemptEnd | Exception | None], attempt: AttemptId, state: RunState
) -> AttemptEnd | None:
    """Wait for the end of an attempt that has ended, else for what its host has by now."""
    while True:
        told = news.get()
        if isinstance(told, AttemptEnd):
            return told
        if isinstance(told, ProtocolError):
            raise ProtocolError(f"the journal of {attempt} at home is damaged: {told}") from told
        if isinstance(told, Exception):
            raise told
        if not state.is_final:
            return None


def _wanted(follower: Follower, end: AttemptEnd | None, names: Collection[str]) -> list[ValueRef]:
    """List the results to fetch: they count only of a cell that is done."""
    if end is None or end.state is not RunState.DONE:
        return []
    return [ref for ref in follower.account.absent_values() if not names or ref.name in names]


def _unkept(directory: Path, exc: OSError) -> RunError:
    return RunError(
        f"what the host has cannot be kept on this machine ({exc}); see that {directory} can be"
        " written to, and fetch again: it goes on where it ended"
    )
