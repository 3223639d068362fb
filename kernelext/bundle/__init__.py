"""The project's files, named by their digests. Uses neither clock nor network."""

from kernelext.bundle.credentials import secret_in
from kernelext.bundle.git import GitFacts, git_facts
from kernelext.bundle.snapshot import Snapshot, take_snapshot
from kernelext.bundle.statcache import StatCache
from kernelext.bundle.survey import Survey, survey_project

__all__ = [
    "GitFacts",
    "Snapshot",
    "StatCache",
    "Survey",
    "git_facts",
    "secret_in",
    "survey_project",
    "take_snapshot",
]
