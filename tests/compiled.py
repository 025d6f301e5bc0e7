"""Templates, routes and statements, compiled once for all applications and engines of a run."""

from collections.abc import Callable
from types import CodeType
from typing import ClassVar

from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Dialect, Engine
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

Builder = Callable[..., tuple[str, str]]


class CompiledTemplates(BytecodeCache):
    """Jinja's own cache, held in memory: each test has an application, and no template changes.

    A page of the desk asks for a dozen templates, which take longer to compile than to fill in.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, CodeType]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        checksum, code = self._kept.get(bucket.key, ("", None))
        if checksum == bucket.checksum:
            bucket.code = code

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code is not None:
            self._kept[bucket.key] = bucket.checksum, bucket.code


class CompiledRoute(Rule):
    """A rule of an address whose way back, from values to the address, is compiled once.

    Werkzeug writes and compiles two functions for each of our hundred rules, which is most of
    what an application costs to make. They hang on what stands in the key alone: the rule that
    they work for is given to them.
    """

    _kept: ClassVar[dict[tuple[object, ...], Builder]] = {}

    def _compile_builder(self, append_unknown: bool = True) -> Builder:
        kinds = tuple((name, type(one)) for name, one in self._converters.items())
        key = (self.rule, tuple(self._trace), kinds, repr(self.defaults), append_unknown)
        if key not in self._kept:
            self._kept[key] = super()._compile_builder(append_unknown)
        return self._kept[key]


def keep_routes() -> None:
    """Flask's own place to say so: applications that are made from now on have such rules."""
    Flask.url_rule_class = CompiledRoute


class CompiledStatements:
    """SQLAlchemy's own cache, held for all engines of a kind: each test has an engine.

    A statement takes longer to compile than to run. What is compiled belongs to a dialect, so the
    engines share that as well.
    """

    def __init__(self) -> None:
        self._kept: LRUCache[object, object] = LRUCache(2_000)
        self._dialects: dict[str, Dialect] = {}

    def serve(self, engine: Engine) -> None:
        """Let this engine take from what others compiled, and keep what it compiles itself."""
        name = engine.dialect.name
        if name not in self._dialects:
            # A dialect gets to know its server when it first connects.
            engine.connect().close()
            engine.dispose()
            self._dialects[name] = engine.dialect
        engine.dialect = self._dialects[name]
        engine.update_execution_options(compiled_cache=self._kept)
