"""Writes docs/messaging/reference.md from the docstrings of the messaging library's public names: `make reference`."""

import re
from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "messaging" / "reference.md"
LIBRARY = ROOT / "services" / "shared" / "messaging"
MAX_LINE = 100  # characters of a signature before it is written with a line for each parameter

HEAD = """# Public names

`make reference` writes this page from the docstrings. Import the names from `warren_messaging`, those of the section
"For tests" from `warren_messaging.testing`. The text of a function names the errors that it raises on purpose. A method
that a class defines for a protocol, such as `Telemetry`, is described there.
"""


def public_names() -> dict[str, list[griffe.Object]]:
    """Return the exported objects in the order of `__all__`, by the heading above them there."""
    package = griffe.load("warren_messaging", search_paths=[LIBRARY], docstring_parser=None)
    interface, testing = package["interface"], package["testing"]
    found: dict[str, list[griffe.Object]] = {}
    heading = ""
    for line in interface.source.split("__all__ = [")[1].splitlines():
        if comment := re.fullmatch(r" +# (.*)", line):
            heading = comment[1]
        for name in re.findall(r'"(\w+)"', line):
            found.setdefault(heading, []).append(interface[name].final_target)
    found["For tests"] = [testing[str(name)].final_target for name in testing.exports or ()]
    return found


def page() -> str:
    parts = [HEAD]
    for heading, objects in public_names().items():
        parts += [f"## {heading}\n", *(part for each in objects for part in _entry(each))]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts if part)


def _entry(thing: griffe.Object) -> Iterator[str]:
    yield f"### {thing.name}\n"
    if isinstance(thing, griffe.Function):
        yield _code(_signature(thing))
        yield text_of(thing)
    elif isinstance(thing, griffe.Class):
        constructor = thing.members.get("__init__")
        start = f"class {thing.name}"
        if isinstance(constructor, griffe.Function):
            yield _code(_signature(constructor, start))
        else:
            bases = ", ".join(str(base) for base in thing.bases if not str(base).startswith("Generic["))
            yield _code(f"{start}({bases})" if bases else start)
        yield text_of(thing)
        attributes = [each for each in members_of(thing) if isinstance(each, griffe.Attribute)]
        # What a constructor assigns is no default value.
        yield from _table(attributes, defaults=constructor is None)
        for each in members_of(thing):
            if isinstance(each, griffe.Function) and each.docstring:
                yield _code(_signature(each))
                yield text_of(each)
    elif isinstance(thing, griffe.Attribute):
        yield _code(f"{thing.name} = {thing.value}")
        yield text_of(thing)


def members_of(kind: griffe.Class) -> Iterator[griffe.Object]:
    """Return the public attributes, properties and methods that a class itself defines, and `async with`."""
    for member in kind.members.values():
        described = not isinstance(member, griffe.Attribute) or member.annotation or member.docstring
        is_enum = any(str(base) == "Enum" for base in kind.bases)
        public = member.name == "__aenter__" or not member.name.startswith("_")
        if isinstance(member, griffe.Object) and public and (described or is_enum):
            yield member


def text_of(thing: griffe.Object) -> str:
    return thing.docstring.value if thing.docstring else ""


def _table(attributes: list[griffe.Attribute], *, defaults: bool) -> Iterator[str]:
    columns = {
        "attribute": [f"`{each.name}`" for each in attributes],
        "type": [_cell(each.annotation) for each in attributes],
        "default": [_cell(each.value) if defaults else "" for each in attributes],
        "meaning": [" ".join(text_of(each).split()).replace("|", "\\|") for each in attributes],
    }
    filled = {title: cells for title, cells in columns.items() if any(cells)}
    if filled:
        rows = [list(filled), ["---"] * len(filled), *zip(*filled.values(), strict=True)]
        yield "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _cell(expression: str | griffe.Expr | None) -> str:
    text = "" if expression is None else str(expression)
    return f"`{text}`".replace("|", "\\|") if text and text != "auto()" else ""


def _signature(function: griffe.Function, start: str | None = None) -> str:
    """Return a signature without `self`, with a line for each parameter if it is long."""
    decorator = "@classmethod\n" if "classmethod" in function.labels else ""
    keyword = "async def" if "async" in function.labels else "def"
    start = start or f"{decorator}{keyword} {function.name}"
    result = f" -> {function.returns}" if function.returns is not None and not start.startswith("class ") else ""
    parameters = list(_parameters(function))
    line = f"{start}({', '.join(parameters)}){result}"
    if len(line) <= MAX_LINE:
        return line
    return "\n".join([f"{start}(", *(f"    {each}," for each in parameters), f"){result}"])


def _parameters(function: griffe.Function) -> Iterator[str]:
    keyword_only = False
    for each in function.parameters:
        if each.name in {"self", "cls"}:
            continue
        stars = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(each.kind, "")
        if each.kind is griffe.ParameterKind.keyword_only and not keyword_only:
            yield "*"
        keyword_only = keyword_only or each.kind in {
            griffe.ParameterKind.keyword_only,
            griffe.ParameterKind.var_positional,
        }
        kind = f": {each.annotation}" if each.annotation is not None else ""
        default = "" if each.default is None or stars else f" = {each.default}" if kind else f"={each.default}"
        yield f"{stars}{each.name}{kind}{default}"


def _code(text: str) -> str:
    return f"```python\n{text}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page())
