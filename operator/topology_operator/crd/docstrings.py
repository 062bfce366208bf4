"""What the model's source says about its classes and fields: the docstring of a class, the string below a field."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import textwrap

import msgspec


@functools.cache
def of_fields(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Python field name -> the string below it, for those that have one."""
    body = _body(struct)
    found: dict[str, str] = {}
    for field, below in itertools.pairwise(body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            found[field.target.id] = inspect.cleandoc(below.value.value)
    return found


def of_struct(struct: type[msgspec.Struct]) -> str:
    """The class's own docstring, without those it inherits; empty when it has none."""
    return ast.get_docstring(_class(struct)) or ""


def _class(struct: type[msgspec.Struct]) -> ast.ClassDef:
    node = ast.parse(textwrap.dedent(inspect.getsource(struct))).body[0]
    assert isinstance(node, ast.ClassDef)  # noqa: S101 - the source of a class is a class
    return node


def _body(struct: type[msgspec.Struct]) -> list[ast.stmt]:
    return _class(struct).body
