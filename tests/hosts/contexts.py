"""Writes Docker contexts as `docker context create` does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def folder_of(config: Path, kind: str, name: str) -> Path:
    """Where Docker keeps what it knows of a context."""
    return config / "contexts" / kind / hashlib.sha256(name.encode()).hexdigest()


def write_context(config: Path, name: str, endpoint: str, *, skip_verify: bool = False) -> Path:
    """Write a context and return its file."""
    file = folder_of(config, "meta", name) / "meta.json"
    file.parent.mkdir(parents=True)
    docker = {"Host": endpoint, "SkipTLSVerify": skip_verify}
    record = {"Name": name, "Metadata": {}, "Endpoints": {"docker": docker}}
    file.write_text(json.dumps(record))
    return file
