"""What looks like a secret, and what does not."""

from __future__ import annotations

import pytest

from kernelext.bundle.credentials import is_secret_path, secret_in

BODY = b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
KEY_ID = b"AKIA" + b"QRSTUVWXYZ234567"
KEY = b"wJalrXUtnFEMI/K7MDENG/" + b"bPxRfiCYzq3aX9LmTe"


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".env.production",
        "deep/down/.env",
        "server.pem",
        "id_rsa",
        "id_ed25519_work",
        "kaggle.json",
        ".aws/credentials",
        "home/.azure/accessTokens.json",
        ".streamlit/secrets.toml",
        ".netrc",
        ".pypirc",
        "application_default_credentials.json",
        ".docker/config.json",
        "home/.config/gh/hosts.yml",
        ".config/gcloud/credentials.db",
        "home/.cache/huggingface/token",
        ".cache/huggingface/stored_tokens",
        ".huggingface/token",
    ],
)
def test_paths_of_secrets(path: str) -> None:
    assert is_secret_path(path)


@pytest.mark.parametrize(
    "path",
    [
        ".env.example",
        ".env.template",
        "environment.yml",
        "env/bin.py",
        "id_rsa.pub",
        "id_map.csv",
        "pem.py",
        "secrets.py",
        "kaggle.json.md",
        "credentials.py",
        ".docker/Dockerfile",
        "docker/config.json",
        "config/gh/hosts.yml",
        ".config/matplotlib/matplotlibrc",
        ".cache/huggingface/hub/models--a/config.json",
        ".cache/huggingface/download/model.safetensors.metadata",
        "huggingface/token",
        "config.json",
    ],
)
def test_paths_of_other_files(path: str) -> None:
    assert not is_secret_path(path)


@pytest.mark.parametrize(
    "text",
    [
        b"-----BEGIN PRIVATE KEY-----\n" + BODY,
        b"-----BEGIN OPENSSH PRIVATE KEY-----\r\n" + BODY,
        b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A\n\n"
        + BODY,
        b'{"private_key": "-----BEGIN PRIVATE KEY-----\\n' + BODY,
        b"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n" + BODY,
        b"[default]\naws_access_key_id = " + KEY_ID + b"\naws_secret_access_key = " + KEY + b"\n",
        KEY_ID + b"," + KEY,
    ],
)
def test_texts_that_hold_a_secret(text: bytes) -> None:
    assert secret_in(b"before\n" + text + b"\nafter")


@pytest.mark.parametrize(
    "text",
    [
        b"if '-----BEGIN PRIVATE KEY-----' in text: refuse()",
        b"-----BEGIN PUBLIC KEY-----\n" + BODY,
        b"-----BEGIN CERTIFICATE-----\n" + BODY,
        KEY_ID + b" alone",
        KEY_ID + b" " + b"0123456789abcdef" * 2 + b"01234567",  # a commit's digest
        b"AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        b"the PRIVATE KEY of success",
        b"",
    ],
)
def test_texts_that_hold_none(text: bytes) -> None:
    assert secret_in(text) is None
