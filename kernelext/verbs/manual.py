"""The manual pages of the magics, made from their parsers."""

from __future__ import annotations

from kernelext.verbs.celloptions import cell_parser
from kernelext.verbs.commands import command_parser

CONTRACT = """\
What you can rely on
--------------------
* The names that the cell binds are bound here when it has ended, and inputs that it changed
  (`model.fit(X, y)`, `df["f"] = 1`) come home under their names; --out narrows it.
* A failure raises here, with the remote traceback, so that Run All stops.
* Interrupt the kernel to interrupt the cell; a second interrupt kills its container, a third
  leaves it to its host. What is shown is what the host has confirmed.
* Nothing printed is lost or doubled, whatever happens to the network.
* A run outlives this notebook: `%remote fetch RUN` brings home what it left on its host, and
  `kernelext.load(run, name)` reads a value of any past run.
"""

EXAMPLES = {
    "remote": """\
Examples
--------
%%remote                                  the default host of kernelext.toml, else local
%%remote host01 --memory 16g --timeout 2h
%%remote host01 --in X,y --out model      send and bring home exactly these
""",
    "folds": """\
Examples
--------
%%folds 0-4 --on host01,host02            five folds over two hosts
%%folds 0-9:2 --on host01 --cpus 2        every second fold, two cores each
%%folds 0,3 --out score                   only `score` comes home, as {0: ..., 3: ...}
""",
    "verbs": """\
Examples
--------
%remote runs xgb                          runs with `xgb` in their title, code or notebook
%remote logs last --fold 3
%remote cancel                            the one that runs
%remote fetch 3f2a model                  bring `model` of an earlier run home and bind it
%remote hosts host01                      connect to it and say how it does

`%remote VERB --help` explains one; on a console the same verbs are `kernelext VERB`.
""",
}


def cell_manual(kind: str) -> str:
    """Return the manual of ``%%remote`` or ``%%folds``."""
    return "\n".join([cell_parser(kind).format_help(), EXAMPLES[kind], CONTRACT])


def verbs_manual() -> str:
    """Return the manual of ``%remote``."""
    return "\n".join([command_parser("%remote").format_help(), EXAMPLES["verbs"]])
