"""Building images, with a fake docker: choice of the base, arguments of the build, error messages."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from devtools.images import base as bases
from devtools.images.docker import TAIL, Docker, ImageError
from services.registry import SERVICE_NAMES

ROOT = Path(__file__).resolve().parents[3]

FAKE = """\
#!{python}
# Fake docker: logs its arguments and knows the images that are named in `has` and `pulls`.
import json, os, sys
folder = {folder!r}
words = sys.argv[1:]
with open(folder + "/asked", "a") as file:
    print(json.dumps([words, os.environ.get("DOCKER_BUILDKIT")]), file=file)
listed = lambda name: open(folder + "/" + name).read().split() if os.path.exists(folder + "/" + name) else []
if os.path.exists(folder + "/away"):
    sys.exit("Cannot connect to the Docker daemon")
if words[:2] == ["image", "inspect"] and "--format" in words:
    print(52000000)
elif words[:2] == ["image", "inspect"]:
    sys.exit(words[-1] not in listed("has"))
elif words[0] == "pull":
    sys.exit(words[-1] not in listed("pulls"))
elif words[0] == "build" and any(word.startswith("SERVICE=") and word[8:] in listed("broken") for word in words):
    print("\\n".join(f"step {{number}}" for number in range(100)))
    sys.exit(1)
elif words[0] == "import" and "import" in listed("broken"):
    sys.exit("no space left on device")
"""


class FakeDocker:
    """The fake program and its log of arguments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "docker"
        self.program.write_text(FAKE.format(python=sys.executable, folder=str(folder)))
        self.program.chmod(0o755)

    def know(self, file: str, *words: str) -> None:
        (self.folder / file).write_text("\n".join(words))

    def asked(self, word: str) -> list[list[str]]:
        lines = [json.loads(line) for line in (self.folder / "asked").read_text().splitlines()]
        assert {buildkit for _, buildkit in lines} == {"1"}
        return [words[1:] for words, _ in lines if words[0] == word]


@pytest.fixture
def fake(tmp_path: Path) -> FakeDocker:
    return FakeDocker(tmp_path)


@pytest.fixture
def docker(fake: FakeDocker) -> Docker:
    return Docker(str(fake.program))


# The base


def test_an_existing_base_is_not_pulled(fake: FakeDocker, docker: Docker) -> None:
    fake.know("has", "debian:trixie-slim")
    assert bases.base(docker, "trixie") == "debian:trixie-slim"
    assert fake.asked("pull") == []


def test_a_base_built_before_is_preferred(fake: FakeDocker, docker: Docker) -> None:
    fake.know("has", "debian:trixie-slim", "warren/base:trixie")
    assert bases.base(docker, "trixie") == "warren/base:trixie"


def test_the_published_base_is_pulled(fake: FakeDocker, docker: Docker) -> None:
    fake.know("pulls", "debian:trixie-slim")
    assert bases.base(docker, "trixie") == "debian:trixie-slim"


def with_mmdebstrap(fake: FakeDocker, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    tool = fake.folder / "mmdebstrap"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.folder}:{os.environ['PATH']}")
    monkeypatch.setattr(bases, "debian_mirrors", lambda: ["https://mirror.example/debian"])


def test_without_a_registry_the_base_is_built_from_debian_packages(
    fake: FakeDocker, docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_mmdebstrap(fake, monkeypatch, f'echo "$@" > {fake.folder}/made; shift 10; : > "$1"')
    assert bases.base(docker, "trixie") == "warren/base:trixie"
    assert (fake.folder / "made").read_text().endswith("root.tar https://mirror.example/debian\n")
    ((archive, image),) = fake.asked("import")
    assert archive.endswith("/root.tar")
    assert image == "warren/base:trixie"


def test_a_failed_mmdebstrap_is_reported_with_its_output(
    fake: FakeDocker, docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_mmdebstrap(fake, monkeypatch, "echo one; echo 'E: no such suite'; exit 1")
    with pytest.raises(ImageError, match=r"^mmdebstrap could not build Debian trixie: E: no such suite$"):
        bases.base(docker, "trixie")


def test_a_failed_import_is_reported(fake: FakeDocker, docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    with_mmdebstrap(fake, monkeypatch, 'shift 10; : > "$1"')
    fake.know("broken", "import")
    with pytest.raises(ImageError, match=r"^warren/base:trixie could not be imported: no space left on device$"):
        bases.base(docker, "trixie")


def test_a_missing_mmdebstrap_is_reported_with_the_package(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devtools.images.base.shutil.which", lambda _: None)
    with pytest.raises(ImageError, match="apt-get install mmdebstrap"):
        bases.base(docker, "trixie")


def test_a_missing_debian_archive_is_reported(
    fake: FakeDocker, docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_mmdebstrap(fake, monkeypatch, "exit 0")
    monkeypatch.setattr(bases, "debian_mirrors", list)
    with pytest.raises(ImageError, match="no Debian mirror to build"):
        bases.base(docker, "trixie")


# A build


def test_a_build_gets_all_arguments(fake: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_CERT", raising=False)
    Docker(str(fake.program), "host").build(
        "warren/order:1", Path("Dockerfile"), Path("here"), "service", {"BASE": "debian:x", "SERVICE": "order"}
    )
    (words,) = fake.asked("build")
    options = "--progress=plain --file Dockerfile --target service --tag warren/order:1 --network host"
    assert " ".join(words) == f"{options} --build-arg BASE=debian:x --build-arg SERVICE=order here"


def test_a_custom_authority_is_a_build_secret(
    fake: FakeDocker, docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CERT", "/etc/authority.crt")
    docker.build("warren/order:1", Path("Dockerfile"), Path("here"), "service", {})
    (words,) = fake.asked("build")
    assert words[words.index("--secret") + 1] == "id=ca,src=/etc/authority.crt"
    assert "/etc/authority.crt" not in " ".join(words[: words.index("--secret")])


def test_a_failed_build_shows_the_end_of_its_log(fake: FakeDocker, docker: Docker) -> None:
    fake.know("broken", "order")
    with pytest.raises(ImageError) as failed:
        docker.build("warren/order:1", Path("Dockerfile"), Path("here"), "service", {"SERVICE": "order"})
    first, *log = str(failed.value).splitlines()
    assert first == "warren/order:1 could not be built:"
    assert log == [f"step {number}" for number in range(100 - TAIL, 100)]


# The command

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(fake: FakeDocker) -> Run:
    fake.know("has", "debian:trixie-slim", "debian:forky-slim")

    def started(*arguments: str, docker: str = str(fake.program)) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "devtools.images", "--docker", docker, *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    return started


def test_every_image_is_built_with_the_names_of_compose_and_chart(run: Run, fake: FakeDocker) -> None:
    done = run("--prefix", "registry.example/shop", "--tag", "7", "--servers")
    assert done.returncode == 0
    tags = [words[words.index("--tag") + 1] for words in fake.asked("build")]
    assert tags == [
        *(f"registry.example/shop/{name}:7" for name in [*SERVICE_NAMES, "operator", "tools"]),
        "rabbitmq:4.3-management",
        "postgres:18",
    ]
    targets = [words[words.index("--target") + 1] for words in fake.asked("build")]
    assert targets == ["service"] * len(SERVICE_NAMES) + ["operator", "tools", "rabbitmq", "postgres"]
    assert "registry.example/shop/order:7: 52 MB" in done.stderr


def test_only_named_images_are_built(run: Run, fake: FakeDocker) -> None:
    assert run("tools").returncode == 0
    assert len(fake.asked("build")) == 1


def test_an_unknown_image_is_a_usage_error(run: Run) -> None:
    done = run("ordr")
    assert done.returncode == 2
    assert "there is no image ordr; there are order, inventory" in done.stderr


def test_the_first_failed_image_ends_the_build(run: Run, fake: FakeDocker) -> None:
    fake.know("broken", "payment")
    done = run()
    assert done.returncode == 1
    assert "devtools.images: warren/payment:dev could not be built:\nstep " in done.stderr
    assert len(fake.asked("build")) == 3


def test_an_unreachable_daemon_gives_a_one_line_error(run: Run, fake: FakeDocker) -> None:
    fake.know("away")
    done = run()
    assert done.returncode == 1
    assert done.stderr == (
        f"devtools.images: no Docker daemon responds to `{fake.program} version`: start it, or name another one with"
        " --docker\n"
    )


def test_a_missing_docker_gives_a_one_line_error(run: Run) -> None:
    done = run(docker="no-such-program")
    assert done.returncode == 1
    assert done.stderr == "devtools.images: no-such-program cannot be run: No such file or directory\n"
