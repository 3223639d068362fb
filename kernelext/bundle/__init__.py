"""The project's files, named by their digests. Uses neither clock nor network."""

from kernelext.bundle.baseline import Baseline, take_baseline
from kernelext.bundle.git import GitFacts, git_facts
from kernelext.bundle.snapshot import Snapshot, file_chunks, take_snapshot
from kernelext.bundle.statcache import StatCache

__all__ = [
    "Baseline",
    "GitFacts",
    "Snapshot",
    "StatCache",
    "file_chunks",
    "git_facts",
    "take_baseline",
    "take_snapshot",
]
