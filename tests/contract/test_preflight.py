"""What is refused before anything moves, and `--dry-run`: nothing is sent, nothing is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernelext.errors import BundleError, KernelExtError, OptionError
from kernelext.history import History, history_path

from .notebook import Notebook

Config = Callable[[str], None]
KEY_BODY = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"] * 3)
PRIVATE_KEY = f"-----BEGIN PRIVATE KEY-----\n{KEY_BODY}\n-----END PRIVATE KEY-----\n"
AWS_KEY = "AKIA" + "QRSTUVWXYZ234567"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYzq3aX9LmTe"


@pytest.fixture
def config(project: Path) -> Config:
    """Put lines at the top of the user's file, in place of those put before."""
    path = Path(os.environ["KERNELEXT_CONFIG"])
    before = path.read_text()

    def put(text: str) -> None:
        path.write_text(f"{text}\n{before}")

    return put


@pytest.fixture
def notebook(project: Path) -> Iterator[Notebook]:
    """A notebook; what is refused is so before any host is asked."""
    with Notebook() as made:
        yield made


def count_runs() -> int:
    with History.open(history_path(os.environ)) as history:
        return len(history.runs(limit=10_000))


def refused(notebook: Notebook, cell: str) -> str:
    """Run a cell that is refused before it is in the history; return the sentence."""
    before = count_runs()
    shown = notebook.run(cell)
    assert isinstance(shown.error, KernelExtError), shown
    assert count_runs() == before
    return str(shown.error)


# too much


def test_variables_and_files_count_together(
    notebook: Notebook, project: Path, config: Config
) -> None:
    config('upload_limit = "1MB"')
    (project / "weights.bin").write_bytes(bytes(600_000))
    notebook.check("import numpy as np\nX = np.zeros(75_000)\nsmall = 1")
    notebook.check("%%remote local\nsmall = 2")
    said = refused(notebook, "%%remote local\nX[0] = small")
    assert "variable X (585.9 kB), file weights.bin (585.9 kB)" in said
    for fix in ("--in", ".gitignore", "raise upload_limit in your kernelext.toml"):
        assert fix in said
    (project / ".gitignore").write_text("*.bin\n")
    notebook.check("%%remote local\nX[0] = small")


def test_file_above_the_limit_is_sent_when_the_limit_is_raised(
    notebook: Notebook, project: Path, config: Config
) -> None:
    config('upload_limit = "10MB"')
    path = project / "data" / "input" / "large.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(os.urandom(12 * 1024**2))
    cell = "%%remote local\nsize = len(open('data/input/large.bin', 'rb').read())"
    said = refused(notebook, cell)
    assert "file data/input/large.bin (12.0 MB)" in said
    assert "upload_limit (10.0 MB)" in said
    config('upload_limit = "20MB"')
    notebook.check(cell)
    assert notebook.names["size"] == 12 * 1024**2


@pytest.mark.parametrize(
    ("make", "type_name"),
    [
        ("import pandas as pd\nbig = pd.DataFrame({'a': range(200_000)})", "DataFrame"),
        ("big = {'deep': [b'x' * 1_500_000]}", "dict"),
        ("import scipy.sparse as sp\nbig = sp.eye_array(200_000, format='csr')", "sparse"),
        ("class Model: pass\nbig = Model()\nimport numpy as np\nbig.w = np.zeros(200_000)", "own"),
        ("import numpy as np\nbig = np.array([bytes(1_500_000)], dtype=object)", "objects"),
    ],
    ids=lambda value: value if len(value) < 15 else "",
)
def test_size_of_a_variable_is_known_before_it_is_encoded(
    notebook: Notebook, project: Path, config: Config, make: str, type_name: str
) -> None:
    config('upload_limit = "1MB"')
    notebook.check(make)
    assert "variable big" in refused(notebook, "%%remote local\nx = big")


def test_what_several_variables_hold_is_counted_once(
    notebook: Notebook, project: Path, config: Config
) -> None:
    config('upload_limit = "1MB"')
    notebook.check(
        "import numpy as np\nX = np.random.default_rng(0).random(80_000)\n"
        "both = {'X': X, 'y': [X]}\n"
        "class Slotted:\n    __slots__ = ('X',)\nslotted = Slotted()\nslotted.X = again = X"
    )
    cell = "n = X.size, both['X'].size, slotted.X.size, again.size"
    text = notebook.check(f"%%remote local --dry-run\n{cell}").stdout
    assert "to send: at most 625." in text
    notebook.check(f"%%remote local\n{cell}")
    assert notebook.names["n"] == (80_000,) * 4


@pytest.mark.parametrize(
    "make", ["import functools\nbig = functools.partial(print, A)", "big = {A: 1}"]
)
def test_size_is_of_all_that_a_variable_holds(
    notebook: Notebook, project: Path, config: Config, make: str
) -> None:
    config('upload_limit = "1MB"')
    notebook.check(f"A = 'a' * 1_500_000\n{make}\ndel A")
    assert "variable big (1.4 MB)" in refused(notebook, "%%remote local\nx = big")


def test_what_only_the_encoding_knows_is_refused_before_it_is_sent(
    notebook: Notebook, project: Path, config: Config
) -> None:
    config('upload_limit = "1MB"')
    notebook.check(
        "class Hidden:\n    def __reduce__(self):\n        return bytes, (b'x' * 3_000_000,)\n"
        "big = Hidden()"
    )
    shown = notebook.run("%%remote local\nx = big")
    assert isinstance(shown.error, BundleError)
    assert "variable big (2.9 MB)" in str(shown.error)


# what looks like a secret


@pytest.mark.parametrize(
    "name", [".env", "conf/aws.pem", "id_ed25519", "kaggle.json", ".aws/config"]
)
def test_file_that_looks_like_a_secret_is_refused_with_the_fix(
    notebook: Notebook, project: Path, name: str
) -> None:
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text("k")
    see = f"%%remote local\nfrom pathlib import Path\nfound = Path({name!r}).exists()"
    said = refused(notebook, see)
    assert f"`{name}`" in said
    assert f"`!{name}`" in said
    (project / ".gitignore").write_text(f"{name}\n")
    notebook.check(see)
    assert notebook.names["found"] is False
    (project / ".gitignore").write_text(f"!{name}\n")
    notebook.check(see)
    assert notebook.names["found"] is True


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (PRIVATE_KEY, "a private key"),
        (f'{{"private_key": {PRIVATE_KEY!r}}}', "a private key"),
        (f"key = {AWS_KEY}\nsecret = {AWS_SECRET}\n", "an AWS access key"),
    ],
    ids=["pem", "service-account", "aws"],
)
def test_file_that_holds_a_secret_is_refused(
    notebook: Notebook, project: Path, content: str, what: str
) -> None:
    (project / "settings.txt").write_text(content)
    assert f"settings.txt (holds {what}" in refused(notebook, "%%remote local\nx = 1")
    assert f"settings.txt (holds {what}" in refused(notebook, "%%remote local\nx = 1")
    (project / "settings.txt").write_text("harmless")
    notebook.check("%%remote local\nx = 1")


def test_rule_that_sends_a_folder_does_not_send_its_secrets(
    notebook: Notebook, project: Path
) -> None:
    (project / "src").mkdir()
    (project / "src" / ".env").write_text("k")
    (project / ".dockerignore").write_text("/*\n!/src/\n")
    assert "`!src/.env`" in refused(notebook, "%%remote local\nx = 1")


def test_users_own_settings_never_travel(notebook: Notebook, project: Path, config: Config) -> None:
    (project / "kernelext.toml").symlink_to(os.environ["KERNELEXT_CONFIG"])
    notebook.check("%%remote local\nimport os\nfound = os.listdir()")
    assert notebook.names["found"] == []


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (f"key = {PRIVATE_KEY!r}", "key holds a private key"),
        (f"key = {{'google': {{'private_key': {PRIVATE_KEY!r}}}}}", "key holds a private key"),
        (f"other = {AWS_SECRET!r}\nkey = {AWS_KEY!r}", "key holds an AWS access key"),
    ],
    ids=["text", "settings", "two halves"],
)
def test_variable_that_holds_a_secret_is_refused(
    notebook: Notebook, project: Path, make: str, named: str
) -> None:
    notebook.check(f"other = ''\n{make}")
    said = refused(notebook, "%%remote local\nsize = len(key) + len(other)")
    assert named in said
    assert "--env" in said
    notebook.check("%%remote local --in key,other\nsize = len(key) + len(other)")


# --dry-run


def test_dry_run_says_what_would_be_sent_and_sends_nothing(
    notebook: Notebook, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (project / "data.csv").write_bytes(bytes(2048))
    (project / "notes.txt").write_text("n")
    (project / "cache").mkdir()
    (project / "cache" / "x").write_text("x")
    (project / ".gitignore").write_text("cache/\n")
    (project / ".git").mkdir()
    monkeypatch.setenv("KERNELEXT_DATA", str(tmp_path / "untouched"))
    monkeypatch.setenv("TOKEN", "s3cret-value")
    notebook.check("import numpy as np\nX = np.zeros((4, 2))\nscores = []\nunread = 1")
    text = notebook.check(
        "%%remote host01 --dry-run --env TOKEN --memory 1g\nmodel = X.sum()\nscores.append(model)"
    ).stdout
    assert not (tmp_path / "untouched").exists()
    assert "model" not in notebook.names
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "X ndarray (4, 2) float64 64 bytes",
        "comes home: model",
        "comes home if the cell changes it: X, scores",
        "3 files, 2.0 kB; the largest:",
        "data.csv 2.0 kB",
        ".git/ never travels",
        "cache/ cache/ in .gitignore",
        "host01 host01 kernelext-lab:dev",
        "limits: 1.0 GB of memory",
        "environment: TOKEN",
    ):
        assert line in lines
    assert any(line.startswith("to send: at most 2.") for line in lines)
    assert "s3cret" not in text
    assert "unread" not in text


def test_dry_run_of_folds(notebook: Notebook, project: Path) -> None:
    notebook.check("splits = [1, 2, 3]\ndone = []")
    code = "mine = splits[fold]\ndone.append(mine)"
    text = notebook.check(f"%%folds 0-2 --on local --dry-run\n{code}").stdout
    assert "0 to 2: 3 folds" in text
    assert "stays there if the cell changes it: done\n" in text
    assert "comes home: mine" in text
    assert "mine" not in notebook.names


def test_dry_run_says_what_would_be_refused(
    notebook: Notebook, project: Path, config: Config
) -> None:
    config('upload_limit = "1MB"')
    (project / "big.bin").write_bytes(bytes(2_000_000))
    (project / ".env").write_text("k")
    text = notebook.check("%%remote local --dry-run\nx = 1").stdout
    assert text.count("IT WOULD BE REFUSED") == 2
    assert "big.bin" in text
    assert "!.env" in text


@pytest.mark.parametrize(
    ("line", "error"),
    [("nowhere --dry-run", KernelExtError), ("--env NO_SUCH --dry-run", OptionError)],
)
def test_dry_run_refuses_mistakes(
    notebook: Notebook, project: Path, line: str, error: type[Exception]
) -> None:
    assert isinstance(notebook.run(f"%%remote {line}\nx = 1").error, error)
