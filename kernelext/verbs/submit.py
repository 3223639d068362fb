"""From a cell and its options to a run that can be started."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import kernelext
from kernelext.bundle import Snapshot, take_baseline
from kernelext.cell import CellNames, reach, read_cell
from kernelext.errors import CellSyntaxError, OptionError
from kernelext.history import RunRow, iso_time
from kernelext.hosts.config import Settings
from kernelext.image.importing import distributions_by_module
from kernelext.runs import Run, RunPlan, new_run_id
from kernelext.verbs.celloptions import CellOptions
from kernelext.verbs.context import Context
from kernelext.verbs.environments import environment_of
from kernelext.verbs.preflight import project_root, refuse_secret_values, take_project

TITLE_LENGTH = 60
# IPython's own, as long as nobody has bound them anew: they belong to one kernel.
_OF_THE_KERNEL = frozenset(
    ("In", "Out", "_dh", "_ih", "_oh", "exit", "get_ipython", "open", "quit")
)
# What a cell may want of them, by the names that travel.
_INSTEAD = {"In": ("In[5]", "_i5"), "Out": ("Out[5]", "_5"), "_ih": ("_ih[5]", "_i5")}
_INSTEAD["_oh"] = ("_oh[5]", "_5")


@dataclass(frozen=True)
class Cell:
    """A cell as the notebook has it.

    Attributes
    ----------
    code : str
    filename : str
        What tracebacks call it.
    notebook : str or None
    namespace : dict
    hidden : mapping of str to object
        What the notebook itself put into the namespace.
    futures : tuple of str
        Features of `__future__` that earlier cells have imported.
    """

    code: str
    filename: str
    notebook: str | None
    namespace: dict[str, Any]
    hidden: Mapping[str, object]
    futures: tuple[str, ...] = ()

    def has_hidden(self, name: str) -> bool:
        """Whether a variable is still what the notebook itself put there."""
        return name in self.hidden and self.hidden[name] is self.namespace.get(name)


def prepare_run(context: Context, cell: Cell, options: CellOptions) -> Run:
    """Read a cell, gather what it needs, and make the run.

    Raises
    ------
    KernelExtError
        Before anything has moved.
    """
    plan, _ = plan_run(context, cell, options)
    row = _row(context, cell, options, plan)
    return Run(plan, row, links=context.links, history=context.history, home=context.runs_dir)


def plan_run(
    context: Context, cell: Cell, options: CellOptions, *, with_files: bool = True
) -> tuple[RunPlan, CellNames]:
    """Read a cell and gather what it needs; refuse what is not to travel.

    Parameters
    ----------
    with_files : bool
        Whether to take the project's files and look at the variables; else nothing is refused
        for its size or its look.

    Raises
    ------
    KernelExtError
        Before anything has moved.
    """
    settings = context.settings
    names = read_cell("" if options.language else cell.code)
    hosts = tuple(context.host(name) for name in options.hosts or (settings.default_host,))
    inputs = _inputs(cell, names, options)
    root = project_root(context)
    # Before the snapshot: what changes in between is then seen as changed, and compared.
    baseline = take_baseline(root) if root and options.brings_files else None
    snapshot = _checked_snapshot(context, cell, options, inputs, settings) if with_files else None
    uses_none = bool(options.image) or all(host.is_local for host in hosts)
    plan = RunPlan(
        run=new_run_id(),
        kind=options.kind,
        title=options.name or _title(cell.code),
        code=cell.code,
        language=options.language,
        magic=names.magic,
        filename=cell.filename,
        owner=settings.owner,
        hosts=hosts,
        folds=_folds(options),
        inputs=inputs,
        outputs=_outputs(names, options),
        compare=options.outputs is None and options.kind == "remote",
        namespace=cell.namespace,
        snapshot=snapshot,
        baseline=baseline,
        image=options.image,
        project_image=settings.image,
        environment=None if uses_none else environment_of(context),
        packages=_versions({*names.imports, *_modules(inputs)}),
        limits=options.limits,
        env=_env(context, options, settings),
        folder=_folder(context),
        futures=cell.futures,
        lost_after_s=settings.lost_after_s,
        upload_limit_bytes=settings.upload_limit_bytes,
    )
    return plan, names


def _folds(options: CellOptions) -> dict[str, dict[str, object]]:
    if options.kind == "folds":
        return {str(fold): {"fold": fold} for fold in options.folds}
    return {"0": {}}


def _inputs(cell: Cell, names: CellNames, options: CellOptions) -> dict[str, object]:
    own = {
        name: value
        for name, value in cell.namespace.items()
        if name not in _OF_THE_KERNEL or not cell.has_hidden(name)
    }
    _refuse_histories(names, own, cell)
    if options.inputs is not None:
        absent = [name for name in options.inputs if name not in own]
        if absent:
            raise OptionError(f"--in names {', '.join(absent)}, which the notebook does not have")
        wanted = options.inputs
    else:
        # A `_` within a text is seldom the last result.
        spelled = (name for name in names.spelled if name[0] != "_" or not cell.has_hidden(name))
        wanted = tuple(name for name in (*names.inputs, *spelled) if name in own)
    found = {name: own[name] for name in reach(wanted, cell.namespace) if name in own}
    if options.kind == "folds":
        found.pop("fold", None)
    elif options.inputs is None and options.outputs is None:
        # Only whether the cell deletes it has to be seen: its value may stay here.
        found.update({name: None for name in names.unbound if name in own and name not in found})
    return found


def _refuse_histories(names: CellNames, own: Mapping[str, object], cell: Cell) -> None:
    """Refuse what reads the results or the texts of all cells, which stay with the kernel."""
    for name in names.inputs:
        is_kept = name in cell.namespace and name not in own and name not in names.outputs
        if is_kept and name in _INSTEAD:
            written, instead = _INSTEAD[name]
            raise CellSyntaxError(
                f"{name} belongs to the notebook and does not travel: write {instead} for"
                f" {written}, or bind what you want of it to a name in a cell before"
            )


def _outputs(names: CellNames, options: CellOptions) -> tuple[str, ...]:
    """Return the names that come home; only its host knows what `exec` and `import *` bind."""
    if options.outputs is not None or options.language:
        return options.outputs or ()
    return (*names.outputs, "*")


def _checked_snapshot(
    context: Context,
    cell: Cell,
    options: CellOptions,
    inputs: Mapping[str, object],
    settings: Settings,
) -> Snapshot | None:
    if options.inputs is None:  # who names a variable knows what is in it
        refuse_secret_values(inputs)
    limit_bytes = settings.upload_limit_bytes
    return take_project(
        context, cell.notebook, inputs, limit_bytes, sends_files=options.sends_files
    )


def _folder(context: Context) -> str:
    """Return where in the project the notebook is; the root where a link leads elsewhere."""
    folder, project = context.folder.resolve(), context.project.resolve()
    inside = folder == project or project in folder.parents
    return folder.relative_to(project).as_posix() if inside else "."


def _env(context: Context, options: CellOptions, settings: Settings) -> dict[str, str]:
    """Gather what [env] of the user's file and --env name; --env takes the notebook's value."""
    here = context.environ
    fixed = {name: value for name, value in settings.env.items() if isinstance(value, str)}
    absent = [name for name in options.env if name not in here and name not in fixed]
    if absent:
        raise OptionError(
            f"--env names {', '.join(absent)}, which is not set here; in the notebook:"
            f" os.environ[{absent[0]!r}] = getpass.getpass()"
        )
    found = {}
    for name in (*settings.env, *options.env):
        if name in fixed and not (name in options.env and name in here):
            found[name] = fixed[name]
        elif name in here:
            found[name] = here[name]
    return found


def _title(code: str) -> str:
    lines = (line.strip() for line in code.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return first[:TITLE_LENGTH]


def _row(
    context: Context,
    cell: Cell,
    options: CellOptions,
    plan: RunPlan,
) -> RunRow:
    return RunRow(
        id=plan.run,
        owner=plan.owner,
        title=plan.title,
        kind=plan.kind,
        code=plan.code,
        filename=plan.filename,
        created_at=iso_time(time.time()),
        notebook=cell.notebook,
        project_dir=str(context.project),
        hosts=tuple(host.name for host in plan.hosts),
        options=_plain(options),
        packages=plan.packages,
        python=platform.python_version(),
        kernelext_version=kernelext.__version__,
    )


def _plain(options: CellOptions) -> dict[str, Any]:
    given = {**vars(options), **vars(options.limits)}
    del given["limits"]
    return {key: value for key, value in given.items() if value not in (None, (), False)}


def _modules(inputs: Mapping[str, object]) -> set[str]:
    """Return the top-level modules that the inputs are, or come from."""
    found = set()
    for value in inputs.values():
        name = value.__name__ if isinstance(value, ModuleType) else type(value).__module__
        if callable(value):
            name = getattr(value, "__module__", None) or name
        found.add(str(name).partition(".")[0])
    return found


def _versions(modules: set[str]) -> dict[str, str]:
    installed = modules - sys.stdlib_module_names - {"__main__"}
    distributions = _packages() if installed else {}
    names = {dist for module in installed for dist in distributions.get(module, ())}
    return {name: importlib.metadata.version(name) for name in sorted(names)}


_PACKAGES: dict[str, list[str]] = {}


def _packages() -> Mapping[str, list[str]]:
    """Map import names to distributions; read once, since it takes some 70 ms."""
    if not _PACKAGES:
        _PACKAGES.update(distributions_by_module())
    return _PACKAGES
