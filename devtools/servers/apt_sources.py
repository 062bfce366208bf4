"""Reads where this machine gets Debian from, out of apt's own configuration.

The mirror is never written into Warren: whatever network the machine lives in, its administrator has already told
apt which archive to use, and we use the same one. Both notations are understood, deb822 (`*.sources`) and one-line
(`*.list`). Security and third-party archives are left out; should one slip through, apt refuses it because it is
not signed by Debian's archive key.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["AptSource", "debian_mirrors", "parse_deb822", "parse_one_line"]

# The names a Debian main archive has been offered under; derivatives use others.
DEBIAN_SUITES = frozenset(
    ["stable", "testing", "unstable", "oldstable", "sid", "buster", "bullseye", "bookworm", "trixie", "forky", "duke"]
)
UPDATE_SUFFIXES = ("-updates", "-backports", "-proposed-updates")


@dataclass(frozen=True)
class AptSource:
    """One archive as apt sees it."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str | None = None

    @property
    def is_debian_main(self) -> bool:
        names = {_without_update_suffix(suite) for suite in self.suites}
        return "main" in self.components and bool(names & DEBIAN_SUITES) and not self.uri.startswith("cdrom:")


def debian_mirrors(apt_dir: Path = Path("/etc/apt")) -> list[AptSource]:
    """Debian main archives this machine is configured for, likeliest first; empty when there is none."""
    found: dict[str, AptSource] = {}
    files = [apt_dir / "sources.list"]
    parts = apt_dir / "sources.list.d"
    if parts.is_dir():
        files += sorted(path for path in parts.iterdir() if path.suffix in {".list", ".sources"})
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        parse = parse_deb822 if file.suffix == ".sources" else parse_one_line
        for source in parse(text):
            if source.is_debian_main:
                found.setdefault(source.uri, source)
    # Debian's own layout ends in /debian; a vendor that borrowed a suite name seldom does.
    return sorted(found.values(), key=lambda source: not source.uri.rstrip("/").endswith("/debian"))


def parse_one_line(text: str) -> Iterator[AptSource]:
    """`deb [signed-by=…] URI suite component…`, one archive a line."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if match is None:
            continue
        options, uri, suite, components = match.groups()
        pairs = dict(option.split("=", 1) for option in (options or "").split() if "=" in option)
        yield AptSource(uri, (suite,), tuple(components.split()), pairs.get("signed-by"))


def parse_deb822(text: str) -> Iterator[AptSource]:
    """Paragraphs of `Field: value`; continuation lines are indented, one paragraph may name several URIs."""
    for paragraph in re.split(r"\n[ \t]*\n", text):
        fields = _fields(paragraph)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        signed_by = fields.get("signed-by", "")
        for uri in fields.get("uris", "").split():
            yield AptSource(
                uri,
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                signed_by if signed_by.startswith("/") else None,
            )


def _fields(paragraph: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in paragraph.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in {" ", "\t"}:
            if name:
                fields[name] += "\n" + line.strip()
        elif ":" in line:
            name, value = line.split(":", 1)
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def _without_update_suffix(suite: str) -> str:
    for suffix in UPDATE_SUFFIXES:
        suite = suite.removesuffix(suffix)
    return suite
