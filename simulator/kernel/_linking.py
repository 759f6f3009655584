"""How a compiled function and all that it calls become one piece of machine code.

numba optimises and translates each function by itself, then once more inside every caller: a tree of
functions is compiled as often as it is deep, and each call keeps its own checks, since the callee might be
replaced. Here an inner function stops at LLVM's intermediate code. The function that Python calls links the
code of all it reaches, marks it as private, and has the whole optimised and translated once. A cold start
takes half as long, and calls that cost more than they do disappear.

The classes refine numba's own compiler, so they belong to the release that `pyproject.toml` names.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final

from numba.core import ir
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, DefaultPassBuilder, _LowerResult
from numba.core.compiler_machinery import FunctionPass, PassManager, register_pass
from numba.core.ir_utils import get_definition, guard
from numba.core.typed_passes import NativeLowering, NopythonRewrites
from numba.core.untyped_passes import DeadBranchPrune, InlineClosureLikes, LiteralUnroll

__all__ = ["InnerCompiler", "OuterCompiler"]

# What no inner function of ours has: array expressions, closures, comprehensions, loops over mixed tuples.
_UNUSED: Final = (NopythonRewrites, InlineClosureLikes, LiteralUnroll)


class _Library(JITCodeLibrary):
    def _optimize_functions(self, ll_module: Any) -> None:
        # numba would optimise here for the first of three times
        ll_module.data_layout = self._codegen._data_layout


class InnerLibrary(_Library):
    """One inner function as intermediate code, never translated by itself."""

    def finalize(self) -> None:
        """Close the library to additions."""
        self._raise_if_finalized()
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        return self._final_module


class OuterLibrary(_Library):
    """A function that Python calls, with everything that it reaches."""

    def finalize(self) -> None:
        """Link, optimise and translate."""
        self._raise_if_finalized()
        self._codegen._check_llvm_bugs()
        own = {function.name for function in self._final_module.functions if not function.is_declaration}
        for library in self._reached():
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        for function in self._final_module.functions:
            if not function.is_declaration and function.name not in own:
                function.linkage = "internal"
        self._optimize_final_module()
        self._final_module.verify()
        self._finalize_final_module()

    def _reached(self) -> list[Any]:
        reached: dict[int, Any] = {}
        waiting = list(self._linking_libraries)
        while waiting:
            library = waiting.pop()
            if id(library) not in reached:
                reached[id(library)] = library
                # any other library has linked what it calls
                waiting += library._linking_libraries if isinstance(library, InnerLibrary) else []
        return list(reached.values())

    def _optimize_final_module(self) -> None:
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


@register_pass(mutates_CFG=True, analysis_only=False)
class InnerLowering(NativeLowering):
    """Lower a function for its callers alone."""

    _name = "inner_lowering"

    def run_pass(self, state: Any) -> bool:
        """Lower, and make the function known to those that call it."""
        state.flags.no_compile = True
        super().run_pass(state)
        lowered = state["cr"]
        # a key for numba's tables, which take builtins only; nothing calls it
        key: Callable[..., Any] = [lowered.fndesc].count
        state.targetctx.insert_user_function(key, lowered.fndesc, [state.library])
        state["cr"] = _LowerResult(lowered.fndesc, lowered.call_helper, cfunc=key, env=lowered.env)
        return True


@register_pass(mutates_CFG=False, analysis_only=False)
class DecideByType(FunctionPass):
    """Answer calls of functions with a `by_type` from the type of their argument, an argument of the caller.

    The answer is a constant, so that branches which it rules out are not compiled.
    """

    _name = "decide_by_type"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Put constants in the place of calls."""
        func_ir = state.func_ir
        answered = set()
        for block in func_ir.blocks.values():
            for assignment in block.find_insts(ir.Assign):
                call = assignment.value
                if not (isinstance(call, ir.Expr) and call.op == "call" and len(call.args) == 1):
                    continue
                function = guard(get_definition, func_ir, call.func)
                argument = guard(get_definition, func_ir, call.args[0])
                by_type = getattr(getattr(function, "value", None), "by_type", None)
                if by_type is not None and isinstance(argument, ir.Arg):
                    assignment.value = ir.Const(by_type(state.args[argument.index]), assignment.loc)
                    func_ir._definitions[assignment.target.name] = [assignment.value]
                    answered.add(call.func.name)
        for block in func_ir.blocks.values():
            for assignment in block.find_insts(ir.Assign):
                if assignment.target.name in answered:
                    # the function itself has no type, and nobody asks for it any more
                    assignment.value = ir.Const(None, assignment.loc)
        changed = bool(answered)
        return changed


class OuterCompiler(Compiler):
    """numba's pipeline, ending in an `OuterLibrary`."""

    library: ClassVar[type[_Library]] = OuterLibrary

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        """Compile a Python function."""
        if self.state.library is None:
            self.state.library = self.library(self.state.targetctx.codegen(), func.__qualname__)
            self.state.library.enable_object_caching()
        with _without_collector():
            return super().compile_extra(func)


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    # Compiling makes millions of objects that live on; to look for cycles there takes a tenth of its time.
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class InnerCompiler(OuterCompiler):
    """numba's pipeline, ending in an `InnerLibrary`."""

    library = InnerLibrary

    def define_pipelines(self) -> list[Any]:
        """Return numba's pipeline with another lowering."""
        pipeline = PassManager("inner")
        for each, description in DefaultPassBuilder.define_nopython_pipeline(self.state).passes:
            if each is DeadBranchPrune and DecideByType not in (first for first, _ in pipeline.passes):
                pipeline.add_pass(DecideByType, "answer what the types say")
            if each not in _UNUSED:
                pipeline.add_pass(InnerLowering if each is NativeLowering else each, description)
        pipeline.finalize()
        return [pipeline]
