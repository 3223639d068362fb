"""What to do about a module that a cell did not find: which command brings it to the host."""

from __future__ import annotations

from kernelext.image.importing import distribution_of
from kernelext.runs.plan import RunPlan

LOCAL = "local"

WRITTEN_BY_HAND = {  # what is edited instead
    "uv.lock": "pyproject.toml, as `uv add` does",
    ".binder": ".binder/requirements.txt",
    "binder": "binder/requirements.txt",
}


def missing_module(text: str) -> str:
    """Return the top-level module that Python's message names; empty for none.

    Examples
    --------
    >>> missing_module("No module named 'umap.plot'")
    'umap'
    """
    before, quote, rest = text.partition("No module named '")
    return rest.partition("'")[0].partition(".")[0] if quote and not before else ""


def module_advice(module: str, plan: RunPlan, host: str) -> str:
    """Return the sentence with the next step."""
    here = distribution_of(module)
    if host == LOCAL:
        return f"`local` runs cells with this machine's Python: install {module} here"
    if plan.image:
        return f"the image {plan.image} has no {module}: name one that has, or leave out --image"
    environment = plan.environment
    if environment is not None and environment.is_written:
        package = here.partition(" ")[0] or f"what has {module}"
        source = environment.wanted.source
        file = WRITTEN_BY_HAND.get(source, source)
        return f"add {package} to {file}: the next cell brings it to {host}"
    if here:
        return (
            f"{here} is installed here: `%remote image build --on {host}` makes an image of what"
            " this project imports, in the versions of this machine"
        )
    return (
        f"{module} is not installed here either: `%pip install` what has it, then `%remote image"
        f" build --on {host}`"
    )
