"""Reads the docstrings of structs and the strings below their fields from the source."""

import ast
import functools
import inspect
import itertools
import textwrap

import msgspec


@functools.cache
def of_fields(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Returns the string below each field that has one, by the field's Python name."""
    found: dict[str, str] = {}
    for field, below in itertools.pairwise(_class(struct).body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = inspect.cleandoc(text)
    return found


def of_struct(struct: type[msgspec.Struct]) -> str:
    """Returns the class's own docstring, not an inherited one; empty if it has none."""
    return ast.get_docstring(_class(struct)) or ""


def _class(struct: type[msgspec.Struct]) -> ast.ClassDef:
    node = ast.parse(textwrap.dedent(inspect.getsource(struct))).body[0]
    assert isinstance(node, ast.ClassDef)  # noqa: S101 - the source of a class is a class
    return node
