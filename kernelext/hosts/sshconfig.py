"""How SSH would reach a machine, as the user's own `ssh -G` tells it. Connects to nothing."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kernelext.errors import KernelExtError, OptionError
from kernelext.hosts.person import home_dir, login_name
from kernelext.hosts.sshfile import Options, read_options
from kernelext.hosts.targets import Target, parse_target

_TIMEOUT_S = 10.0  # a `Match exec` of the user's may take its time
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
_TOKEN = re.compile(r"%(.)")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
# Between two paths, not inside one that has a space in it: ssh prints them without quotes.
_PATHS_APART = re.compile(r"\s+(?=[/~%]|[A-Za-z]:[\\/])")


# Passed over, they would weaken a login or change its way.
_NOT_OURS = ("RevokedHostKeys", "BindAddress", "BindInterface")


@dataclass(frozen=True)
class Algorithms:
    """What the configuration allows, best first; nothing where it does not say.

    Attributes
    ----------
    ciphers, macs, key_exchanges, host_keys : tuple of str
    rsa_bits : int
        The shortest RSA key that is accepted of a host.
    """

    ciphers: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()
    key_exchanges: tuple[str, ...] = ()
    host_keys: tuple[str, ...] = ()
    rsa_bits: int = 1024


@dataclass(frozen=True)
class SshTarget:
    """Everything that a login needs to know.

    Attributes
    ----------
    target : str
        What was asked for.
    hostname : str
    port : int
    user : str
    identity_files : tuple of Path
        Those that exist, in the order in which they are tried.
    certificate_files : tuple of Path
        Those that exist.
    identities_only : bool
        Whether keys of the agent that are not among them stay out.
    identity_agent : str or None
        The agent's socket, ``none`` for no agent, None for ``SSH_AUTH_SOCK``.
    known_hosts_files : tuple of Path
        The user's first; they may not exist.
    host_key_alias : str or None
        The name under which the host's key is known.
    proxy_jump : tuple of str
        Targets to go through, in order; see `resolve_chain`.
    proxy_command : str or None
        A shell command whose pipes are the connection; its tokens are filled in.
    address_family : str
        ``any``, ``inet`` or ``inet6``.
    algorithms : Algorithms
    is_hashing : bool
        Whether names are to be hashed in known_hosts.
    not_ours : tuple of str
        Options that only the `ssh` program can honour.
    trusted_as : str or None
        What to enrol a key by, where it is not the host's own name.
    is_strict : bool
        Whether `ssh` itself would refuse a host key that is unknown, or ask.
    connect_timeout_s : float or None
    server_alive_interval : float or None
        Seconds.
    """

    target: str
    hostname: str
    port: int
    user: str
    identity_files: tuple[Path, ...] = ()
    certificate_files: tuple[Path, ...] = ()
    identities_only: bool = False
    identity_agent: str | None = None
    known_hosts_files: tuple[Path, ...] = ()
    host_key_alias: str | None = None
    proxy_jump: tuple[str, ...] = ()
    proxy_command: str | None = None
    address_family: str = "any"
    algorithms: Algorithms = Algorithms()
    is_hashing: bool = False
    not_ours: tuple[str, ...] = ()
    trusted_as: str | None = None
    is_strict: bool = True
    connect_timeout_s: float | None = None
    server_alive_interval: float | None = None


def resolve_ssh(target: str, environ: Mapping[str, str]) -> SshTarget:
    """Ask the `ssh` on ``PATH`` what it would do; without one, read its files.

    Parameters
    ----------
    target : str
        An alias of the SSH configuration or ``[user@]address[:port]``.
    environ : mapping of str to str
        Its ``PATH`` and ``HOME`` count.

    Raises
    ------
    OptionError
        When `target` is none, or the files have what only `ssh` can read.
    KernelExtError
        When `ssh` cannot read its configuration; the message is its own first line.
    """
    parsed = parse_target(target)
    program = shutil.which("ssh", path=environ.get("PATH"))
    options = _ask(program, parsed, environ) if program else _read(parsed, environ)
    return _from_options(target, parsed, options, environ)


def resolve_chain(target: str, environ: Mapping[str, str]) -> tuple[SshTarget, ...]:
    """Resolve a target and the jumps before it, in the order in which they are connected.

    As with `ssh`, a jump's own configuration says how the first of several is reached.

    Raises
    ------
    OptionError
        When the jumps lead in a circle, or as `resolve_ssh`.
    KernelExtError
        As `resolve_ssh`.
    """
    chain = [resolve_ssh(target, environ)]
    seen = {target}
    while chain[0].proxy_jump:
        jumps = [resolve_ssh(jump, environ) for jump in chain[0].proxy_jump]
        if jumps[0].target in seen:
            raise OptionError(
                f'ProxyJump leads from "{target}" back to "{jumps[0].target}": '
                "mend the SSH configuration."
            )
        seen.add(jumps[0].target)
        # As under `ssh -J`: only the first jump is reached by its own configuration.
        later = [replace(jump, proxy_jump=(), proxy_command=None) for jump in jumps[1:]]
        chain = [jumps[0], *later, *chain]
    return tuple(chain)


def _ask(program: str, target: Target, environ: Mapping[str, str]) -> Options:
    command = [program, "-T", "-G"]
    if target.port is not None:
        command += ["-p", str(target.port)]
    if target.user is not None:
        command += ["-l", target.user]
    try:
        done = subprocess.run(
            [*command, "--", target.host],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise KernelExtError(
            f"`ssh -G {target.host}` has not answered within {_TIMEOUT_S:g} s: "
            "see what `Match exec` in ~/.ssh/config waits for."
        ) from exc
    except OSError as exc:
        raise KernelExtError(f"{program} cannot be started: {exc.strerror}.") from exc
    if done.returncode != 0:
        said = next(iter(done.stderr.strip().splitlines()), f"exit status {done.returncode}")
        raise KernelExtError(f"`ssh -G {target.host}` fails: {said}")
    options: Options = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        options.setdefault(key.lower(), []).append(value.strip())
    return options


def _from_options(
    target: str, parsed: Target, options: Options, environ: Mapping[str, str]
) -> SshTarget:
    hostname = _one(options, "hostname") or parsed.host
    port = int(_one(options, "port") or 22)
    user = _one(options, "user") or parsed.user or login_name(environ)
    home = home_dir(environ)
    tokens = {"%": "%", "h": hostname, "n": parsed.host, "p": str(port), "r": user}
    tokens |= {"d": str(home), "u": login_name(environ)}
    tokens |= {"k": _one(options, "hostkeyalias") or parsed.host, "l": platform.node()}
    tokens |= {"L": platform.node().partition(".")[0], "j": _one(options, "proxyjump") or ""}

    def existing(option: str) -> tuple[Path, ...]:
        files = (_file(name, tokens, environ) for name in options.get(option, ()))
        return tuple(dict.fromkeys(file for file in files if file.is_file()))

    known = [
        _file(name, tokens, environ)
        for option in ("userknownhostsfile", "globalknownhostsfile")
        for name in _PATHS_APART.split(_one(options, option) or "")
        if name
    ]
    command = _one(options, "proxycommand")
    alive = _seconds(_one(options, "serveraliveinterval"))
    return SshTarget(
        target=target,
        hostname=hostname,
        port=port,
        user=user,
        identity_files=existing("identityfile"),
        certificate_files=existing("certificatefile"),
        identities_only=_one(options, "identitiesonly") == "yes",
        identity_agent=_agent(options, tokens, environ),
        known_hosts_files=tuple(dict.fromkeys(known)),
        host_key_alias=_one(options, "hostkeyalias"),
        proxy_jump=tuple(j for j in (_one(options, "proxyjump") or "").split(",") if j),
        proxy_command=_filled(command, tokens) if command else None,
        address_family=_one(options, "addressfamily") or "any",
        algorithms=_algorithms(options),
        is_hashing=_one(options, "hashknownhosts") == "yes",
        not_ours=tuple(name for name in _NOT_OURS if _one(options, name.lower()) is not None),
        is_strict=_one(options, "stricthostkeychecking") in ("yes", "true", "ask"),
        connect_timeout_s=_seconds(_one(options, "connecttimeout")),
        server_alive_interval=alive or None,
    )


def _read(parsed: Target, environ: Mapping[str, str]) -> Options:
    """Do without `ssh`: what was asked for, then the files, then the defaults."""
    folder = home_dir(environ) / ".ssh"
    options = read_options(parsed.host, environ)
    if parsed.port is not None:
        options["port"] = [str(parsed.port)]
    if parsed.user is not None:
        options["user"] = [parsed.user]
    options.setdefault("identityfile", [str(folder / name) for name in _DEFAULT_KEYS])
    options.setdefault("userknownhostsfile", [str(folder / "known_hosts")])
    options.setdefault("globalknownhostsfile", ["/etc/ssh/ssh_known_hosts"])
    return options


def _algorithms(options: Options) -> Algorithms:
    def listed(option: str) -> tuple[str, ...]:
        return tuple(name for name in (_one(options, option) or "").split(",") if name)

    return Algorithms(
        ciphers=listed("ciphers"),
        macs=listed("macs"),
        key_exchanges=listed("kexalgorithms"),
        host_keys=listed("hostkeyalgorithms"),
        rsa_bits=int(_one(options, "requiredrsasize") or 1024),
    )


def _one(options: Options, key: str) -> str | None:
    values = options.get(key)
    return values[0] if values and values[0] != "none" else None


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None


def _agent(options: Options, tokens: Mapping[str, str], environ: Mapping[str, str]) -> str | None:
    named = options.get("identityagent", ["SSH_AUTH_SOCK"])[0]
    if named == "SSH_AUTH_SOCK":
        return None
    if named == "none":
        return named
    if named.startswith("$"):
        return environ.get(named.strip("${}")) or "none"
    return str(_file(named, tokens, environ))


def _filled(text: str, tokens: Mapping[str, str]) -> str:
    return _TOKEN.sub(lambda found: tokens.get(found[1], found[0]), text)


def _file(text: str, tokens: Mapping[str, str], environ: Mapping[str, str]) -> Path:
    """Make a path of what ssh prints: `~`, tokens and variables are not filled in yet."""
    text = _VARIABLE.sub(lambda found: environ.get(found[1], found[0]), _filled(text, tokens))
    return home_dir(environ) / text[2:] if text.startswith("~/") else Path(text)
