"""A port with TLS before a Unix socket, both sides with certificates, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
import threading
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LOOPBACK = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])


class Party:
    """A key and its certificate, signed by an authority or, without one, by itself."""

    def __init__(self, name: str, authority: Party | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        signer = authority or self
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), True)
            .add_extension(LOOPBACK, False)
        )
        self.certificate = builder.sign(signer.key, hashes.SHA256())

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as a file has it."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key as a file has it."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def write(self, folder: Path) -> Path:
        """Write both as Docker names them."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cert.pem").write_bytes(self.certificate_pem)
        (folder / "key.pem").write_bytes(self.key_pem)
        return folder


class TlsProxy:
    """Passes on what clients with a certificate of its authority send."""

    def __init__(self, target: str, folder: Path) -> None:
        self._target = target
        self._authority = Party("authority")
        server = Party("127.0.0.1", self._authority).write(folder / "server")
        (server / "ca.pem").write_bytes(self.authority_pem)
        self._settings = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=server / "ca.pem"
        )
        self._settings.load_cert_chain(server / "cert.pem", server / "key.pem")
        self._settings.verify_mode = ssl.CERT_REQUIRED
        self._loop = asyncio.new_event_loop()
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._settings)
        self._server = self._loop.run_until_complete(listening)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    @property
    def authority_pem(self) -> bytes:
        """The certificate that clients trust."""
        return self._authority.certificate_pem

    def hand_out(self, folder: Path) -> None:
        """Write a client's three files."""
        Party("client", self._authority).write(folder)
        (folder / "ca.pem").write_bytes(self.authority_pem)

    async def _serve(self, reader: Any, writer: Any) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            inner, outer = await asyncio.open_unix_connection(self._target)
            await asyncio.gather(_copy(reader, outer), _copy(inner, writer))

    def close(self) -> None:
        """End all connections."""

        async def finish() -> None:
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(finish(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _copy(reader: Any, writer: Any) -> None:
    try:
        while data := await reader.read(1 << 18):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
