"""Parses a Dockerfile into stages and instructions, as far as the project's files need."""

import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """One stage: `base` is an image or an earlier stage; instructions are in file order, without line breaks."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def values(self, word: str) -> list[str]:
        return [value for name, value in self.instructions if name == word]

    @property
    def copied(self) -> list[str]:
        """Paths that are copied from the build context (not from other stages)."""
        own = [value.split() for value in self.values("COPY") if "--from=" not in value]
        return [source for words in own for source in words[:-1]]


def stages(file: Path) -> dict[str, Stage]:
    """The stages by name, in file order."""
    text = re.sub(r"^\s*#.*\n", "", file.read_text(), flags=re.MULTILINE)
    found: dict[str, Stage] = {}
    current: Stage | None = None
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip():
            continue
        word, _, value = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = value.partition(" AS ")
            current = found[name] = Stage(name, base)
        elif current is not None:
            current.instructions.append((word, value.strip()))
    return found


def ancestry(all_stages: dict[str, Stage], name: str) -> list[Stage]:
    """The stage and its bases, itself last."""
    line = [all_stages[name]]
    while line[0].base in all_stages:
        line.insert(0, all_stages[line[0].base])
    return line
