"""Finds this machine's Debian mirrors in apt's configuration; Warren itself names none.

Reads both formats, deb822 (`*.sources`) and one-line (`*.list`). Security and third-party archives are left out; apt
would refuse them, because Debian's archive key does not sign them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# The suites of Debian's main archive; derivatives use other names.
DEBIAN_SUITES = frozenset(
    ["stable", "testing", "unstable", "oldstable", "sid", "buster", "bullseye", "bookworm", "trixie", "forky", "duke"]
)
UPDATE_SUFFIXES = ("-updates", "-backports", "-proposed-updates")


@dataclass(frozen=True)
class AptSource:
    """One archive of apt's configuration."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str | None = None

    @property
    def is_debian_main(self) -> bool:
        names = {_without_update_suffix(suite) for suite in self.suites}
        return "main" in self.components and bool(names & DEBIAN_SUITES) and not self.uri.startswith("cdrom:")


def debian_mirrors(apt_dir: Path = Path("/etc/apt")) -> list[AptSource]:
    """Return the configured Debian main archives, the most likely one first."""
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
    # Debian's mirrors end in /debian; other vendors' archives rarely do.
    return sorted(found.values(), key=lambda source: not source.uri.rstrip("/").endswith("/debian"))


def parse_one_line(text: str) -> Iterator[AptSource]:
    """Parse `deb [signed-by=…] URI suite component…`, one archive a line."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if match is None:
            continue
        options, uri, suite, components = match.groups()
        pairs = dict(option.split("=", 1) for option in (options or "").split() if "=" in option)
        yield AptSource(uri, (suite,), tuple(components.split()), pairs.get("signed-by"))


def parse_deb822(text: str) -> Iterator[AptSource]:
    """Parse paragraphs of `Field: value` with indented continuation lines; a paragraph may name several URIs."""
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
