"""The project's files, named by their digests. Uses neither clock nor network."""

from kernelext.bundle.baseline import Baseline, take_baseline
from kernelext.bundle.credentials import secret_in
from kernelext.bundle.git import GitFacts, git_facts
from kernelext.bundle.ignore import IgnoreRules
from kernelext.bundle.snapshot import Snapshot, file_chunks, take_snapshot
from kernelext.bundle.statcache import StatCache
from kernelext.bundle.survey import Survey, survey_project

__all__ = [
    "Baseline",
    "GitFacts",
    "IgnoreRules",
    "Snapshot",
    "StatCache",
    "Survey",
    "file_chunks",
    "git_facts",
    "secret_in",
    "survey_project",
    "take_baseline",
    "take_snapshot",
]
