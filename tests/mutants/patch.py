"""Unified diffs, applied by what they say and not by where: line numbers are ignored.

Neither git nor patch is needed, and a patch does not rot when lines above it come or go. In return the lines that a
hunk shows must be in the file exactly once; one that could be meant for two places is refused, as it would break
something else than it says.
"""

import re
from collections.abc import Sequence

import msgspec

from tests.mutants.errors import DoesNotApply, MalformedMutant


class Hunk(msgspec.Struct, frozen=True):
    old: list[str]
    new: list[str]


class FilePatch(msgspec.Struct, frozen=True):
    """What is done to one file; `path` is relative to the tree."""

    path: str
    hunks: list[Hunk]

    def applied(self, source: str) -> str:
        """Raises DoesNotApply."""
        lines = source.split("\n")
        for number, hunk in enumerate(self.hunks, start=1):
            size = len(hunk.old)
            places = [start for start in range(len(lines) - size + 1) if lines[start : start + size] == hunk.old]
            if len(places) != 1:
                found = "are not there" if not places else f"are there {len(places)} times"
                raise DoesNotApply(f"the lines of hunk {number} {found} in {self.path}: make the patch anew")
            lines[places[0] : places[0] + size] = hunk.new
        return "\n".join(lines)


def parse(lines: Sequence[str]) -> list[FilePatch]:
    """The files of a diff, from its first `---` on. Raises MalformedMutant."""
    files: list[FilePatch] = []
    for line in lines:
        if line.startswith("--- "):
            continue
        if line.startswith("+++ "):
            files.append(FilePatch(re.sub(r"^b/", "", line[4:].split("\t")[0].strip()), []))
        elif line.startswith("@@") and files:
            files[-1].hunks.append(Hunk([], []))
        elif files and files[-1].hunks and (not line or line[0] in " +-"):
            hunk = files[-1].hunks[-1]
            if line[:1] != "+":
                hunk.old.append(line[1:])
            if line[:1] != "-":
                hunk.new.append(line[1:])
        else:
            raise MalformedMutant(f"not a line of a unified diff: {line!r}")
    if not files or any(not file.hunks or any(not hunk.old for hunk in file.hunks) for file in files):
        raise MalformedMutant("no diff, or one without lines of context")
    return files
