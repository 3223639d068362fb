"""A private registry on a lab host, which asks for a login; other hosts reach it by TLS."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ..lab.host import Host
from .conftest import wait_until

USER, PASSWORD = "ada", "a-password-that-nothing-else-has-4711"
PORT = 5443
THERE = "/srv/registry"


class Registry:
    """Where it is, and how its hosts and clients are to know it."""

    def __init__(self, folder: Path, address: str) -> None:
        self.name = f"{address}:{PORT}"
        self.certificate = folder / "ca.crt"

    def trust_on(self, host: Host) -> None:
        """Have a host's engine accept its certificate."""
        path = f"/etc/docker/certs.d/{self.name}"
        script = f"mkdir -p {path} && cat > {path}/ca.crt"
        with self.certificate.open("rb") as stream:
            host.exec("sh", "-c", script, stdin=stream)

    def login(self) -> str:
        """Return the store of a client that has logged in by `docker login`."""
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return json.dumps({"auths": {self.name: {"auth": token}}})


@contextmanager
def serve_registry(host: Host, folder: Path) -> Iterator[Registry]:
    """Run a registry on a host; its certificate is made in a folder here."""
    registry = Registry(folder, host.ip)
    _write_certificate(folder, host.ip)
    password = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"{USER}:{password}\n")
    certificate = {"certificate": f"{THERE}/ca.crt", "key": f"{THERE}/key.pem"}
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": f"{THERE}/storage"}},
        "http": {"addr": f"{host.ip}:{PORT}", "tls": certificate},
        "auth": {"htpasswd": {"realm": "ours", "path": f"{THERE}/htpasswd"}},
    }
    (folder / "config.yml").write_text(json.dumps(config))
    host.exec("mkdir", "-p", THERE)
    for file in folder.iterdir():
        with file.open("rb") as stream:
            host.exec("sh", "-c", f"cat > {THERE}/{file.name}", stdin=stream)
    serve = f"setsid docker-registry serve {THERE}/config.yml > {THERE}/log 2>&1 & echo $!"
    process = host.exec("sh", "-c", serve).stdout.strip()
    try:
        wait_until(lambda: _answers(registry), "the registry to answer")
        yield registry
    finally:
        host.exec("kill", process)
        host.exec("rm", "-rf", THERE)


def _answers(registry: Registry) -> bool:
    try:
        answer = requests.get(
            f"https://{registry.name}/v2/", verify=str(registry.certificate), timeout=5
        )
    except requests.ConnectionError:
        return False
    return answer.status_code == 401


def _write_certificate(folder: Path, address: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "registry")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.crt").write_bytes(certificate.public_bytes(pem))
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, plain))
