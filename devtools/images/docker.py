"""Runs Docker commands. BuildKit is required: the Dockerfile uses cache and secret mounts."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

TAIL = 25  # lines of a failed build that are shown


class ImageError(Exception):
    """An image could not be made; the message says which, why, and what to do."""


class Docker:
    """`program` is docker or a compatible program; `network` is the value of `docker build --network`."""

    def __init__(self, program: str = "docker", network: str = "default") -> None:
        self._program = program
        self._network = network

    def require(self) -> None:
        """Raises ImageError unless a daemon responds."""
        if self._run("version", "--format", "{{.Server.Version}}").returncode:
            raise ImageError(
                f"no Docker daemon responds to `{self._program} version`: start it, or name another one with --docker"
            )

    def has(self, image: str) -> bool:
        return self._run("image", "inspect", image).returncode == 0

    def pull(self, image: str) -> bool:
        """Return False if the registry cannot be reached or lacks the image."""
        return self._run("pull", "--quiet", image).returncode == 0

    def load_root(self, archive: Path, image: str) -> None:
        """Import a tar file of a root file system as an image. Raises ImageError."""
        done = self._run("import", str(archive), image)
        if done.returncode:
            raise ImageError(f"{image} could not be imported: {done.stdout.strip()}")

    def build(self, image: str, file: Path, context: Path, target: str, arguments: Mapping[str, str]) -> None:
        """Build a target. Raises ImageError with the end of the log."""
        authority = os.environ.get("PIP_CERT", "")
        options = ["--file", str(file), "--target", target, "--tag", image, "--network", self._network]
        for name, value in arguments.items():
            options += ["--build-arg", f"{name}={value}"]
        if authority:
            options += ["--secret", f"id=ca,src={authority}"]
        done = self._run("build", "--progress=plain", *options, str(context))
        if done.returncode:
            tail = "\n".join(done.stdout.splitlines()[-TAIL:])
            raise ImageError(f"{image} could not be built:\n{tail}")

    def size(self, image: str) -> int:
        """Return the size in bytes."""
        return int(self._run("image", "inspect", "--format", "{{.Size}}", image).stdout)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command: Sequence[str] = [self._program, *arguments]
        try:
            return subprocess.run(
                command,
                env=os.environ | {"DOCKER_BUILDKIT": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        except OSError as error:
            raise ImageError(f"{self._program} cannot be run: {error.strerror}") from error
