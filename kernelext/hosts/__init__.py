"""The machines that the user may name, and how to reach them. Starts nothing on any of them."""

from kernelext.hosts.contexts import DockerContext, find_context, list_contexts
from kernelext.hosts.inventory import FILE_NAME, config_path, find_project, load_settings
from kernelext.hosts.lookup import find_host, known_hosts_names
from kernelext.hosts.sizes import parse_duration_s, parse_size_bytes
from kernelext.hosts.sshconfig import SshTarget, resolve_chain, resolve_ssh
from kernelext.hosts.tables import is_variable

__all__ = [
    "FILE_NAME",
    "DockerContext",
    "SshTarget",
    "config_path",
    "find_context",
    "find_host",
    "find_project",
    "is_variable",
    "known_hosts_names",
    "list_contexts",
    "load_settings",
    "parse_duration_s",
    "parse_size_bytes",
    "resolve_chain",
    "resolve_ssh",
]
