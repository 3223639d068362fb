"""Docker's contexts as host names, with Docker's own files as they are."""

from pathlib import Path

import pytest

from kernelext.errors import OptionError, UnknownHost
from kernelext.hosts import find_context, find_host, known_hosts_names, list_contexts, load_settings
from kernelext.hosts.config import Settings
from tests.hosts.contexts import folder_of, write_context

Environ = dict[str, str]


@pytest.fixture
def docker(home: Path) -> Path:
    return home / ".docker"


def settings(home: Path, environ: Environ, text: str = "") -> Settings:
    (home / "kernelext.toml").write_text(text)
    return load_settings(None, environ)


def test_context_is_a_host(home: Path, docker: Path, environ: Environ) -> None:
    write_context(docker, "lab.one", "unix:///run/lab.sock")
    found = find_host("lab.one", settings(home, environ), environ)
    assert (found.context, found.ssh, found.source) == ("lab.one", None, "Docker context")
    assert not found.is_local


def test_context_behind_ssh_is_an_ssh_host(home: Path, docker: Path, environ: Environ) -> None:
    write_context(docker, "far", "ssh://ada@gpu1:2222")
    found = find_host("far", settings(home, environ), environ)
    assert (found.context, found.ssh, found.source) == (None, "ada@gpu1:2222", "Docker context")
    write_context(docker, "odd", "ssh://-oProxyCommand=id")
    with pytest.raises(OptionError, match="no machine"):
        find_host("odd", settings(home, environ), environ)


def test_context_default_is_the_local_engine(home: Path, environ: Environ) -> None:
    found = find_host("default", settings(home, environ), environ)
    assert (found.context, found.is_local) == ("default", False)
    context = find_context("default", environ)
    assert context is not None
    assert context.endpoint == "unix:///var/run/docker.sock"
    named = find_context("default", {**environ, "DOCKER_HOST": "ssh://gpu1"})
    assert named is not None
    assert named.endpoint == "ssh://gpu1"


def test_context_default_reads_the_variables_of_tls(environ: Environ, docker: Path) -> None:
    environ["DOCKER_HOST"] = "tcp://10.0.0.1:2376"
    assert find_context("default", environ).tls_dir is None  # type: ignore[union-attr]
    verified = find_context("default", {**environ, "DOCKER_TLS_VERIFY": "1"})
    assert (verified.tls_dir, verified.is_verified) == (docker, True)  # type: ignore[union-attr]
    unsure = find_context("default", {**environ, "DOCKER_TLS": "1", "DOCKER_CERT_PATH": "/certs"})
    assert (unsure.tls_dir, unsure.is_verified) == (Path("/certs"), False)  # type: ignore[union-attr]


def test_context_has_its_certificates(docker: Path, environ: Environ) -> None:
    write_context(docker, "tls", "tcp://10.0.0.1:2376", skip_verify=True)
    folder = folder_of(docker, "tls", "tls") / "docker"
    folder.mkdir(parents=True)
    found = find_context("tls", environ)
    assert found is not None
    assert (found.tls_dir, found.is_verified) == (folder, False)


def test_docker_config_says_where_contexts_lie(tmp_path: Path, environ: Environ) -> None:
    write_context(tmp_path / "elsewhere", "one", "unix:///run/one.sock")
    assert find_context("one", environ) is None
    environ["DOCKER_CONFIG"] = str(tmp_path / "elsewhere")
    assert find_context("one", environ) is not None


def test_name_with_two_meanings_says_both(home: Path, docker: Path, environ: Environ) -> None:
    (home / ".ssh" / "config").write_text("Host both same file\n")
    write_context(docker, "both", "unix:///run/both.sock")
    write_context(docker, "same", "ssh://same")
    write_context(docker, "file", "unix:///run/file.sock")
    write_context(docker, "mine", "unix:///run/mine.sock")
    made = settings(home, environ, "[hosts.file]\n[hosts.mine]\ncontext = 'mine'\nslots = 2\n")
    said = {name: find_host(name, made, environ).source for name in ("both", "same", "file")}
    assert said == {
        "both": "Docker context; not the SSH alias both, which has the same name",
        "same": "Docker context and SSH alias",
        "file": "your kernelext.toml and SSH alias; not the Docker context file, which has the"
        " same name",
    }
    mine = find_host("mine", made, environ)
    assert (mine.context, mine.slots) == ("mine", 2)
    assert mine.source == "your kernelext.toml and Docker context"


def test_table_names_a_context(home: Path, docker: Path, environ: Environ) -> None:
    write_context(docker, "far", "ssh://gpu1")
    text = "[hosts.a]\ncontext = 'far'\n[hosts.b]\ncontext = 'gone'\n"
    made = settings(home, environ, text)
    found = find_host("a", made, environ)
    assert (found.name, found.ssh, found.context) == ("a", "gpu1", None)
    with pytest.raises(UnknownHost, match="Docker context gone, which is not there: see `docker"):
        find_host("b", made, environ)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[hosts.a]\ncontext = 'c'\nssh = 'b'\n", "leave out `ssh` or `context`"),
        ("[hosts.a]\ncontext = 'c'\ntransport = 'openssh'\n", "leave out `transport` or `context`"),
        ("[hosts.local]\ncontext = 'c'\n", "this machine and has no `context`"),
        ("[hosts.a]\ntransport = 'mosh'\n", "'mosh' is no transport: write \"paramiko\" or"),
    ],
)
def test_table_refuses_two_ways(home: Path, environ: Environ, text: str, part: str) -> None:
    with pytest.raises(OptionError, match=part):
        settings(home, environ, text)


@pytest.mark.parametrize("text", ["{", "{}", '{"Name": "a", "Endpoints": {"docker": {}}}', "[1]"])
def test_damaged_context_says_so(home: Path, docker: Path, environ: Environ, text: str) -> None:
    write_context(docker, "a", "unix:///run/a.sock").write_text(text)
    write_context(docker, "good", "unix:///run/good.sock")
    with pytest.raises(OptionError, match="Docker context a, is damaged: remove its folder"):
        find_host("a", settings(home, environ), environ)
    found, problems = list_contexts(environ)
    assert [context.name for context in found if context.name != "default"] == ["good"]
    assert len(problems) == 1
    assert "is damaged" in problems[0]


def test_context_filed_under_another_name_is_refused(docker: Path, environ: Environ) -> None:
    write_context(docker, "a", "unix:///run/a.sock").rename(
        write_context(docker, "b", "unix:///run/b.sock")
    )
    with pytest.raises(OptionError, match="holds a Docker context of another name, a"):
        find_context("b", environ)


def test_unknown_host_suggests_contexts(home: Path, docker: Path, environ: Environ) -> None:
    write_context(docker, "workstation", "unix:///run/a.sock")
    made = settings(home, environ)
    with pytest.raises(UnknownHost, match=r"did you mean workstation\?"):
        find_host("workstatoin", made, environ)
    environ["DOCKER_HOST"] = "unix:///run/other.sock"
    assert [host.name for host in known_hosts_names(made, environ)] == [
        "local",
        "default",
        "workstation",
    ]


def test_project_may_choose_a_context(home: Path, docker: Path, environ: Environ) -> None:
    write_context(docker, "lab.one", "unix:///run/lab.sock")
    project = home / "project"
    project.mkdir()
    (project / "kernelext.toml").write_text("default_host = 'lab.one'\n")
    assert load_settings(project, environ).default_host == "lab.one"
