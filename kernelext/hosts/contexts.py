"""Docker's contexts, as its own command stores them. Connects to no engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelext.errors import OptionError
from kernelext.hosts.person import home_dir

DEFAULT = "default"
LOCAL_SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True)
class DockerContext:
    """How an engine is reached.

    Attributes
    ----------
    name : str
    endpoint : str
        A URL: ``unix://``, ``tcp://`` or ``ssh://``.
    tls_dir : Path or None
        Where ``ca.pem``, ``cert.pem`` and ``key.pem`` lie, if it has some.
    is_verified : bool
        Whether the engine has to prove who it is.
    """

    name: str
    endpoint: str
    tls_dir: Path | None = None
    is_verified: bool = True


def find_context(name: str, environ: Mapping[str, str]) -> DockerContext | None:
    """Find a context by its name; ``default`` is always there.

    Raises
    ------
    OptionError
        When Docker's record of it cannot be read.
    """
    if name == DEFAULT:
        return _default(environ)
    file = _folder(environ) / "contexts" / "meta" / _digest(name) / "meta.json"
    return _read(file, name) if file.is_file() else None


def list_contexts(environ: Mapping[str, str]) -> tuple[list[DockerContext], list[str]]:
    """Return all contexts, and a sentence for each that cannot be read.

    ``default`` is among them where something could listen for it.
    """
    default = _default(environ)
    is_there = default.endpoint != f"unix://{LOCAL_SOCKET}" or Path(LOCAL_SOCKET).exists()
    found, problems = ([default] if is_there else []), []
    for file in sorted((_folder(environ) / "contexts" / "meta").glob("*/meta.json")):
        try:
            found.append(_read(file))
        except OptionError as exc:
            problems.append(str(exc))
    return sorted(found, key=lambda context: (context.name != DEFAULT, context.name)), problems


def _default(environ: Mapping[str, str]) -> DockerContext:
    endpoint = environ.get("DOCKER_HOST") or f"unix://{LOCAL_SOCKET}"
    wants_tls = endpoint.startswith("tcp://") and (
        environ.get("DOCKER_TLS_VERIFY") or environ.get("DOCKER_TLS")
    )
    named = environ.get("DOCKER_CERT_PATH")
    tls_dir = (Path(named) if named else _folder(environ)) if wants_tls else None
    is_verified = tls_dir is None or bool(environ.get("DOCKER_TLS_VERIFY"))
    return DockerContext(DEFAULT, endpoint, tls_dir, is_verified)


def _read(file: Path, name: str | None = None) -> DockerContext:
    called = f"the Docker context {name}" if name else "a Docker context"
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        endpoint = record["Endpoints"]["docker"]
        found, url = _text(record["Name"]), _text(endpoint["Host"])
    except OSError as exc:
        raise OptionError(
            f"{file}, which holds {called}, cannot be read ({exc.strerror}): mend its mode."
        ) from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise OptionError(
            f"{file}, which holds {called}, is damaged: remove its folder and make the context "
            "anew (`docker context create`)."
        ) from exc
    # Docker files contexts by the digest of their names: another name would lead elsewhere.
    if _digest(found) != file.parent.name:
        raise OptionError(
            f"{file} holds a Docker context of another name, {found}: remove its folder and make "
            "the context anew (`docker context create`)."
        )
    tls_dir = file.parents[2] / "tls" / file.parent.name / "docker"
    has_tls = url.startswith("tcp://") and tls_dir.is_dir()
    return DockerContext(
        found, url, tls_dir if has_tls else None, not endpoint.get("SkipTLSVerify", False)
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(value)
    return value


def _folder(environ: Mapping[str, str]) -> Path:
    named = environ.get("DOCKER_CONFIG")
    return Path(named) if named else home_dir(environ) / ".docker"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
