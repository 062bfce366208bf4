"""Debian's main archives are recognised among the files that apt would download."""

import pytest

from devtools.servers.apt_sources import mirrors_among


def files(uri: str, suite: str, component: str = "main") -> str:
    """Lines of `apt-get update --print-uris` for one archive."""
    name = f"{uri.partition('//')[2].replace('/', '_')}_dists_{suite}"
    return (
        f"'{uri}/dists/{suite}/InRelease' {name}_InRelease 0 \n"
        f"'{uri}/dists/{suite}/{component}/binary-amd64/Packages.xz' {name}_{component}_binary-amd64_Packages 0 \n"
        f"'{uri}/dists/{suite}/{component}/dep11/Components-amd64.yml.xz' {name}_{component}_dep11 0 \n"
    )


@pytest.mark.parametrize("suite", ["bookworm", "trixie-backports", "stable", "forky-updates"])
def test_an_archive_with_a_debian_suite_is_a_mirror(suite: str) -> None:
    assert mirrors_among(files("http://mirror.example.org/debian", suite)) == ["http://mirror.example.org/debian"]


@pytest.mark.parametrize(
    "listed",
    [
        "",
        files("http://mirror.example.org/debian-security", "bookworm-security"),
        "'http://mirror.example.org/debian/dists/sid/main/source/Sources.xz' mirror_Sources 0 \n",
        files("http://vendor.example.org/linux/debian", "bookworm", "stable"),
        files("http://vendor.example.org/apt", "bookworm-pgdg"),
        files("http://archive.example.org/ubuntu", "noble"),
        files("cdrom://Debian", "bookworm"),
    ],
)
def test_other_archives_are_ignored(listed: str) -> None:
    assert mirrors_among(listed) == []


def test_a_debian_mirror_comes_first_and_once() -> None:
    listed = files("http://vendor.example.org/apt", "sid") + files("http://mirror.example.org/debian/", "sid") * 2
    assert mirrors_among(listed) == ["http://mirror.example.org/debian", "http://vendor.example.org/apt"]
