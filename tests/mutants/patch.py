"""Unified diffs, applied by their content: line numbers are ignored.

A patch needs neither git nor patch, and still applies when other lines come or go. The lines of a hunk must be in the
file exactly once; a hunk that matches twice is refused, because it might break something else.
"""

import re
from collections.abc import Sequence

import msgspec


class MutantError(Exception):
    """A patch cannot be used; the message is one line with the file and what to do."""


class MalformedMutant(MutantError):
    """The file is not a patch, or its header is incomplete."""


class PatchDoesNotApply(MutantError):
    """The file does not contain the changed lines exactly once."""


class Hunk(msgspec.Struct, frozen=True):
    old: list[str]
    new: list[str]


class FilePatch(msgspec.Struct, frozen=True):
    """The changes of one file; `path` is relative to the tree."""

    path: str
    hunks: list[Hunk]

    def applied(self, source: str) -> str:
        """Raises PatchDoesNotApply."""
        lines = source.split("\n")
        for number, hunk in enumerate(self.hunks, start=1):
            size = len(hunk.old)
            starts = [start for start in range(len(lines) - size + 1) if lines[start : start + size] == hunk.old]
            if len(starts) != 1:
                places = f"{len(starts)} places" if starts else "no place"
                raise PatchDoesNotApply(f"hunk {number} matches {places} in {self.path}; recreate the patch")
            lines[starts[0] : starts[0] + size] = hunk.new
        return "\n".join(lines)


def parse(lines: Sequence[str]) -> list[FilePatch]:
    """Parse the files of a diff, from its first `---` on. Raises MalformedMutant."""
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
