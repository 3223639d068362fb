"""The console command ``kernelext``."""

from __future__ import annotations

import sys
from pathlib import Path

from kernelext.errors import KernelExtError
from kernelext.verbs.commands import run_command
from kernelext.verbs.context import Context
from kernelext.verbs.parsing import HelpShown, ProblemsShown

INTERRUPTED = 130  # as shells say it


def main(argv: list[str] | None = None) -> int:
    """Carry out one verb; the process's exit code."""
    context = Context(Path.cwd())
    try:
        print(run_command(context, "kernelext", sys.argv[1:] if argv is None else argv))
    except ProblemsShown as shown:
        print(shown)
        return 1
    except HelpShown as shown:
        print(shown)
    except KernelExtError as exc:
        print(f"kernelext: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("kernelext: interrupted", file=sys.stderr)
        return INTERRUPTED
    finally:
        context.close()
    return 0
