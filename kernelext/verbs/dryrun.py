"""``--dry-run``: what a cell would send and where; connects to nothing and sends nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kernelext.bundle import Survey, survey_project
from kernelext.cell import CellNames
from kernelext.errors import KernelExtError
from kernelext.hosts.config import HostConfig
from kernelext.hosts.sizes import size_text
from kernelext.image import Environment
from kernelext.runs import RunPlan, refuse_size
from kernelext.verbs.celloptions import CellOptions
from kernelext.verbs.context import Context
from kernelext.verbs.preflight import files_at_home, project_root, refuse_secret_values
from kernelext.verbs.submit import Cell, plan_run
from kernelext.verbs.table import text_table
from kernelext.verbs.valuesizes import sizes_bytes

SHOWN_FILES = 5
SHOWN_STAYS = 12
NOTHING = Survey({}, {}, None)


def dry_run(context: Context, cell: Cell, options: CellOptions) -> str:
    """Describe what a cell would send.

    Returns
    -------
    str
        Tables: variables, files, hosts; then the total, and why it would be refused if it
        would.

    Raises
    ------
    KernelExtError
        A mistake in the cell or in its options.
    """
    plan, names = plan_run(context, cell, options, with_files=False)
    root = project_root(context)
    survey = survey_project(root, files_at_home(context, root, cell.notebook)) if root else NOTHING
    values = sizes_bytes(plan.inputs)
    parts = [
        *_variables(plan, names, values),
        *_files(survey),
        *_hosts(plan),
        *_total(values, survey, plan),
        *_refusals(plan, options, survey, values),
    ]
    return "\n".join(parts)


def _variables(plan: RunPlan, names: CellNames, values: Mapping[str, int]) -> Iterator[str]:
    rows = [
        [name, type(value).__name__, _shape(value), size_text(values[name])]
        for name, value in plan.inputs.items()
    ]
    if plan.kind == "folds":
        first, *_, last = [*plan.folds, *plan.folds]
        rows.append(["fold", "int", f"{first} to {last}: {len(plan.folds)} folds", ""])
    yield text_table(["VARIABLE", "TYPE", "SHAPE", "SIZE"], rows) if rows else "no variables"
    shown = [name for name in plan.outputs if name != "*"]  # which stands for what `exec` may bind
    yield f"\ncomes home: {', '.join(shown) or 'nothing'}"
    changed = [name for name in names.changed if name in plan.inputs]
    if changed and plan.compare:
        yield f"comes home if the cell changes it: {', '.join(changed)}"
    elif changed and plan.kind == "folds":
        yield f"stays there if the cell changes it: {', '.join(changed)}"


def _files(survey: Survey) -> Iterator[str]:
    total = size_text(sum(survey.sizes.values()))
    if not survey.sizes:
        yield "\nno files"
    else:
        largest = sorted(survey.sizes.items(), key=lambda each: -each[1])
        yield f"\n{len(survey.sizes)} files, {total}; the largest:"
        rows = [[path, size_text(size)] for path, size in largest[:SHOWN_FILES]]
        yield text_table(["FILE", "SIZE"], rows)
    if survey.stays:
        rows = [[path, why] for path, why in sorted(survey.stays.items())]
        yield "\n" + text_table(["STAYS AT HOME", "WHY"], rows[:SHOWN_STAYS])
        if len(rows) > SHOWN_STAYS:
            yield f"and {len(rows) - SHOWN_STAYS} more"


def _hosts(plan: RunPlan) -> Iterator[str]:
    rows = [[host.name, _address(host), _image(plan, host)] for host in plan.hosts]
    yield "\n" + text_table(["HOST", "ADDRESS", "IMAGE"], rows)
    limits = plan.limits
    said = [
        f"{limits.cpus:g} cores" if limits.cpus else "",
        f"{size_text(limits.memory_bytes)} of memory" if limits.memory_bytes else "",
        f"{limits.timeout_s:g} s of time" if limits.timeout_s else "",
    ]
    share = "the whole host" if plan.whole_host else "a core a fold"
    yield f"\nlimits: {', '.join(filter(None, said)) or share}"
    yield f"environment: {', '.join(plan.env) or 'nothing'}"


def _total(values: Mapping[str, int], survey: Survey, plan: RunPlan) -> Iterator[str]:
    total = sum(values.values()) + sum(survey.sizes.values())
    limit = size_text(plan.upload_limit_bytes)
    where = " to each host" if len(plan.hosts) > 1 else ""
    yield f"to send{where}: at most {size_text(total)} (upload_limit {limit}), less what is there"


def _refusals(
    plan: RunPlan, options: CellOptions, survey: Survey, values: Mapping[str, int]
) -> Iterator[str]:
    refusals: list[KernelExtError] = [survey.refusal] if survey.refusal else []
    try:
        refuse_size(values, survey.sizes, plan.upload_limit_bytes)
        if options.inputs is None:
            refuse_secret_values(plan.inputs)
    except KernelExtError as exc:
        refusals.append(exc)
    for refusal in refusals:
        yield f"\nIT WOULD BE REFUSED: {refusal}"


def _shape(value: object) -> str:
    if type(value).__module__.partition(".")[0] not in ("numpy", "pandas", "polars", "scipy"):
        return ""
    shape = getattr(value, "shape", "")
    dtype = getattr(value, "dtype", None)
    return f"{shape} {dtype}" if dtype is not None else str(shape)


def _address(host: HostConfig) -> str:
    return host.ssh or "this machine"


def _image(plan: RunPlan, host: HostConfig) -> str:
    if host.is_local:
        return plan.image_on(host) or "none: a process"
    environment = plan.environment_on(host)
    if environment is None:
        return plan.image_on(host) or host.daemon_image
    return _built_image(environment, host)


def _built_image(environment: Environment, host: HostConfig) -> str:
    """Name the image that is built for the project, or say what it would be built of."""
    tags = environment.known_tags(host)
    if tags and environment.is_noted(host):
        return tags[0]
    chosen, wanted = environment.count_packages(), environment.wanted
    packages = f"{chosen} packages" if chosen else f"{wanted.count} packages and what they need"
    parts = [wanted.source]
    if wanted.has_packages or not (wanted.dockerfile or wanted.script):
        parts.append(packages)
    if wanted.dockerfile is None:
        parts.append(f"over {environment.base_name(host)}")
    whence = ", ".join(parts)
    return f"{tags[0]}, built first if absent: {whence}" if tags else f"built first: {whence}"
