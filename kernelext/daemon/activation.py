"""The variables that packages of conda set where their environment is used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from kernelext.daemon.docker_api import DockerAPI
from kernelext.errors import EngineError
from kernelext.recipe import CONDA_PREFIX

OF_SHELLS = {"_", "OLDPWD", "PWD", "SHLVL"}
SAY = """import glob, json, os, sys
found = {}
for file in sorted(glob.glob(sys.argv[1])):
    with open(file) as text:
        found.update(json.load(text))
print(json.dumps({"variables": {**os.environ, **found}}))
"""
# Before and after. Many of the scripts are bash's.
ACTIVATE = f"""
python3 -c "$SAY" ""
for script in {CONDA_PREFIX}/etc/conda/activate.d/*.sh
do
    [ ! -e "$script" ] || . "$script"
done
exec python3 -c "$SAY" "{CONDA_PREFIX}/etc/conda/env_vars.d/*.json"
"""
COMMAND = [
    *("sh", "-c", 'command -v bash >/dev/null && exec bash -c "$1" || exec sh -c "$1"'),
    *("activate", ACTIVATE),
]


def read_activation(api: DockerAPI, name: str, config: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that an environment's packages set.

    Parameters
    ----------
    api : DockerAPI
    name : str
        Of the container.
    config : mapping
        Of a container of an image that has them.

    Raises
    ------
    EngineError
        A script ends it.
    """
    asked = {**config, "Entrypoint": COMMAND, "Env": [f"SAY={SAY}"]}
    api.call("POST", "/containers/create", asked, name=name)
    try:
        api.call("POST", f"/containers/{name}/start")
        lines = list(api.texts("GET", f"/containers/{name}/logs", stdout=1, follow=1))
        api.call("POST", f"/containers/{name}/wait")
    finally:
        api.call("DELETE", f"/containers/{name}", force=1, v=1)
    told = list(_told(lines))
    if len(told) != 2:
        last = (lines or ["it says nothing"])[-1]
        raise EngineError(f"conda's packages cannot be activated ({last[:200]})")
    before, after = told
    changed = {key: text for key, text in after.items() if before.get(key) != text}
    return {key: text for key, text in sorted(changed.items()) if key not in OF_SHELLS}


def _told(lines: Iterable[str]) -> Iterable[dict[str, str]]:
    for line in lines:
        if line.startswith('{"variables"'):
            yield json.loads(line)["variables"]
