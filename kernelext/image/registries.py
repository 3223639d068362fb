"""Logins to registries, from the user's own store; they go with one pull and stay nowhere."""

from __future__ import annotations


def registry_auth(image: str) -> str:
    """Return what ``docker login`` has kept for an image's registry, for `X-Registry-Auth`.

    Credential helpers are asked as `docker` asks them.

    Returns
    -------
    str
        Base64 of JSON (Docker Engine API, "Authentication"); empty without a login.
    """
    from docker import auth  # half a second, which only a pull has to wait
    from docker.errors import DockerException

    try:
        registry, _ = auth.resolve_repository_name(image)
        found = auth.load_config().resolve_authconfig(registry)
    except DockerException:  # no name of an image, or a helper that fails: the pull will say it
        return ""
    return str(auth.encode_header(found).decode("ascii")) if found else ""
