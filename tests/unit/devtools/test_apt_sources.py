from pathlib import Path

import pytest

from devtools.servers.apt_sources import debian_mirrors, parse_deb822, parse_one_line

DEB822 = """\
Types: deb
# an older snapshot was http://old.example.org/debian
URIs: http://mirror.example.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example.org/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://disabled.example.org/debian
Suites: bookworm
Components: main
"""


def write(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def uris(folder: Path) -> list[str]:
    return [source.uri for source in debian_mirrors(folder)]


def test_a_deb822_file_gives_its_main_archive_only(tmp_path: Path) -> None:
    write(tmp_path, "sources.list.d/debian.sources", DEB822)
    (source,) = debian_mirrors(tmp_path)
    assert source.uri == "http://mirror.example.org/debian"
    assert source.signed_by == "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_an_inline_key_is_not_a_file() -> None:
    text = "Types: deb\nURIs: http://a.example.org\nSuites: sid\nComponents: main\nSigned-By:\n -----BEGIN\n .\n AAAA\n"
    (source,) = parse_deb822(text)
    assert source.signed_by is None


def test_a_deb822_paragraph_may_name_several_mirrors_and_types() -> None:
    uris = "http://a.example.org/debian http://b.example.org/debian"
    text = f"Types: deb deb-src\nURIs: {uris}\nSuites: sid\nComponents: main"
    assert [source.uri for source in parse_deb822(text)] == [
        "http://a.example.org/debian",
        "http://b.example.org/debian",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "deb http://mirror.example.org/debian bookworm main contrib",
        "deb\thttp://mirror.example.org/debian\ttrixie-backports main # a remark",
        "  deb [arch=amd64 signed-by=/etc/key.gpg] http://mirror.example.org/debian stable main",
    ],
)
def test_a_one_line_file_gives_the_mirror(tmp_path: Path, line: str) -> None:
    write(tmp_path, "sources.list", f"# comment\n\n{line}\n")
    assert uris(tmp_path) == ["http://mirror.example.org/debian"]


def test_one_line_options_are_read() -> None:
    (source,) = parse_one_line("deb [arch=amd64 signed-by=/etc/key.gpg] http://mirror.example.org/debian sid main")
    assert source.signed_by == "/etc/key.gpg"


@pytest.mark.parametrize(
    "line",
    [
        "deb http://mirror.example.org/debian-security bookworm-security main",
        "deb-src http://mirror.example.org/debian bookworm main",
        "#deb http://mirror.example.org/debian bookworm main",
        "deb http://vendor.example.org/linux/debian bookworm stable",
        "deb http://vendor.example.org/apt bookworm-pgdg main",
        "deb http://archive.example.org/ubuntu noble main universe",
        "deb cdrom:[Debian]/ bookworm main",
    ],
)
def test_other_archives_are_ignored(tmp_path: Path, line: str) -> None:
    write(tmp_path, "sources.list", line + "\n")
    assert uris(tmp_path) == []


def test_a_debian_mirror_comes_first_and_once(tmp_path: Path) -> None:
    write(tmp_path, "sources.list", "deb http://vendor.example.org/apt sid main\n")
    write(tmp_path, "sources.list.d/a.list", "deb http://mirror.example.org/debian/ sid main\n" * 2)
    write(tmp_path, "sources.list.d/b.list.disabled", "deb http://off.example.org/debian sid main\n")
    assert uris(tmp_path) == ["http://mirror.example.org/debian/", "http://vendor.example.org/apt"]


def test_a_machine_without_apt_has_no_mirror(tmp_path: Path) -> None:
    assert uris(tmp_path / "missing") == []
