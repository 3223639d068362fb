"""What ran, when, where and how it ended: one SQLite file a user. Knows no host, no network."""

from kernelext.history.checkup import HistoryFacts, inspect_history
from kernelext.history.find import RunFilter
from kernelext.history.history import History
from kernelext.history.paths import data_dir, history_path
from kernelext.history.records import AttemptRow, FoldRow, HostRow, RunRow, iso_time
from kernelext.history.states import run_state

__all__ = [
    "AttemptRow",
    "FoldRow",
    "History",
    "HistoryFacts",
    "HostRow",
    "RunFilter",
    "RunRow",
    "data_dir",
    "history_path",
    "inspect_history",
    "iso_time",
    "run_state",
]
