"""Kernels without early returns: a flag says which threads are done."""

from __future__ import annotations

import ast

DONE = "_done"


def without_returns(body: list[ast.stmt]) -> list[ast.stmt]:
    """The same statements, `return` replaced by a flag that guards what follows."""
    if not _returns(body):
        return body
    return [*ast.parse(f"{DONE} = False").body, *_guarded(body)]


def _returns(body: list[ast.stmt]) -> bool:
    return any(isinstance(n, ast.Return) for s in body for n in ast.walk(s))


def _guarded(body: list[ast.stmt]) -> list[ast.stmt]:
    result: list[ast.stmt] = []
    for position, stmt in enumerate(body):
        if isinstance(stmt, ast.Return):
            return [*result, ast.copy_location(_assign_done(), stmt)]
        if not _returns([stmt]):
            result.append(stmt)
            continue
        result.append(_inside(stmt))
        rest = _guarded(body[position + 1 :])
        if rest:
            result.append(ast.copy_location(ast.If(_not_done(), rest, []), rest[0]))
        return result
    return result


def _inside(stmt: ast.stmt) -> ast.stmt:
    match stmt:
        case ast.If(test=test, body=body, orelse=orelse):
            changed: ast.stmt = ast.If(test, _guarded(body), _guarded(orelse))
        case ast.While(test=test, body=body):
            goes_on = ast.IfExp(_not_done(), test, ast.Constant(False))
            changed = ast.While(goes_on, _guarded(body), [])
        case ast.For(target=target, iter=bounds, body=body):
            guard = ast.copy_location(ast.If(_not_done(), _guarded(body), []), stmt)
            changed = ast.For(target, bounds, [guard], [])
        case _:
            return stmt
    return ast.copy_location(changed, stmt)


def _not_done() -> ast.expr:
    return ast.UnaryOp(ast.Not(), ast.Name(DONE, ast.Load()))


def _assign_done() -> ast.stmt:
    return ast.Assign([ast.Name(DONE, ast.Store())], ast.Constant(True), lineno=1)
