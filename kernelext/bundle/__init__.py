"""The project's files, named by their digests. Uses neither clock nor network."""

from kernelext.bundle.git import GitFacts, git_facts
from kernelext.bundle.snapshot import Snapshot, take_snapshot
from kernelext.bundle.statcache import StatCache

__all__ = ["GitFacts", "Snapshot", "StatCache", "git_facts", "take_snapshot"]
