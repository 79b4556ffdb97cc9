"""LLVM IR → machine code for this processor, in memory, by llvmlite.

LLVM has to produce the widest vector code that the processor has, may not change a result, and
must work from several threads and after a fork. llvmlite is imported when first needed; where it
or code in memory cannot be had, :func:`unavailable` says why and nothing else fails.

Two settings are measured choices. Processors whose tables ask LLVM for 256-bit vectors get 512
bits where they have them: float64 code gains 20 %. With the small code model an instruction takes
a constant straight from memory; the large one, which the older of LLVM's two linkers needs, costs
15 to 30 % as soon as there are more constants than registers.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any

from gradsmith.backends.cache import Kind, fetch
from gradsmith.backends.llvm_fused import NAME, TEXT, fused
from gradsmith.backends.llvm_ir import ENTRY
from gradsmith.backends.llvm_lookup import AVX2, AVX512, is_lookup
from gradsmith.backends.meanwhile import compiling, meanwhile
from gradsmith.numerics.interpreter import Fma
from gradsmith.numerics.quick import lend

# LLVM is not reentrant here, and a child process must not inherit it half-way through a
# compilation: a fork waits until the lock is free and both sides go on with it free.
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


@dataclass(frozen=True, slots=True)
class Machine:
    """What code is made for.

    Attributes:
        triple: LLVM's name of architecture and operating system.
        cpu: LLVM's name of the processor.
        features: its instruction sets, each with ``+`` or ``-``, separated by commas.
    """

    triple: str
    cpu: str
    features: str = ""

    @property
    def converts_half(self) -> bool:
        """Whether half precision is converted by instructions and not by library functions."""
        if self.triple.startswith(("aarch64", "arm64")):
            return True
        return "+f16c" in self.features.split(",")

    @property
    def lookups(self) -> str | None:
        """The instructions that look up in small tables, if there are some."""
        if self.wide:
            return AVX512
        return AVX2 if "+avx2" in self.features.split(",") else None

    @property
    def wide(self) -> bool:
        """Whether its vectors have 512 bits."""
        return "+avx512f" in self.features.split(",")


@cache
def host() -> Machine:
    """The processor that this process runs on."""
    llvm = _llvm()
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        features["prefer-256-bit"] = False
    return Machine(llvm.get_process_triple(), llvm.get_host_cpu_name(), features.flatten())


@cache
def unavailable() -> str | None:
    """Why no native code can be made and run here; None where it can."""
    if sys.maxsize < 2**32:
        return "native kernels need a 64-bit Python"
    try:
        _llvm().check_jit_execution()
        _first()
    except ImportError as error:
        return f"llvmlite cannot be imported: {error}"
    except Exception as error:  # whatever LLVM cannot do here must not stop anything else
        return f"LLVM does not work here: {error}"
    return None


@cache
def _first() -> Fma:
    with meanwhile(None):  # what else there is to do may need this function
        return fused(load(machine_code("", beside=TEXT), (NAME,))[0])


lend(lambda: None if unavailable() else _first())


def assemble(ir: str, machine: Machine | None = None, beside: str = "") -> bytes:
    """Object code.

    Args:
        ir: text of a module, which is optimised.
        machine: what it is for; by default this one.
        beside: text of what is put beside it afterwards, as it stands. To optimise it too would
            take longer than all the rest.

    Raises:
        RuntimeError: the text is not valid.
    """
    code: bytes = _translated(ir, machine, beside, "emit_object")
    return code


def machine_code(ir: str, machine: Machine | None = None, beside: str = "") -> bytes:
    """The same as :func:`assemble`, from the kernel cache where it is there."""
    import llvmlite

    chosen = machine or host()
    version = ".".join(map(str, (llvmlite.__version__, *_llvm().llvm_version_info)))
    parts = (version, chosen.triple, chosen.cpu, chosen.features, ir, beside)
    return fetch(Kind.OBJECT, parts, lambda: compiling(lambda: assemble(ir, chosen, beside)))


def assembly(ir: str, machine: Machine | None = None, beside: str = "") -> str:
    """The same as :func:`assemble`, as text to read."""
    text: str = _translated(ir, machine, beside, "emit_assembly")
    return text


def _translated(ir: str, machine: Machine | None, beside: str, form: str) -> Any:
    llvm = _llvm()
    machine = machine or host()
    with _lock, ExitStack() as opened:
        context = opened.enter_context(llvm.create_context())
        target = opened.enter_context(_target_machine(machine))
        module = opened.enter_context(llvm.parse_assembly(ir, context))
        module.triple = machine.triple
        module.verify()
        options = opened.enter_context(llvm.create_pipeline_tuning_options(speed_level=3))
        options.loop_vectorization = True
        options.loop_interleaving = True
        options.slp_vectorization = True
        builder = opened.enter_context(llvm.create_pass_builder(target, options))
        builder.getModulePassManager().run(module, builder)
        if beside:
            other = llvm.parse_assembly(beside, context)
            other.triple = machine.triple
            other.verify()
            module.link_in(other)
        inlining = opened.enter_context(llvm.create_new_module_pass_manager())
        inlining.add_always_inliner_pass()
        inlining.run(module, builder)
        for function in module.functions:
            # None is called any more: no code is made of it.
            if is_lookup(function.name) and not function.is_declaration:
                function.linkage = "available_externally"
        return getattr(target, form)(module)


def load(code: bytes, names: Sequence[str] = (ENTRY,)) -> list[int]:
    """Puts object code into memory, where it stays; the addresses of its functions.

    Args:
        code: what :func:`assemble` made for this machine.
        names: of the functions.

    Raises:
        RuntimeError: it calls a function that this process does not have.
    """
    library = _llvm().JITLibraryBuilder().add_object_img(code).add_current_process()
    for name in names:
        library = library.export_symbol(name)
    with _lock:
        linked = library.link(_linker(), f"gradsmith {next(_serial)}")
        _loaded.append(linked)
    return [linked[name] for name in names]


_loaded: list[Any] = []  # what is let go is taken out of memory
_serial = count()


@cache
def _linker() -> Any:
    # JITLink is the newer linker; on Windows LLVM itself still prefers the older one.
    return _llvm().create_lljit_compiler(use_jit_link=sys.platform != "win32")


def _target_machine(machine: Machine) -> Any:
    target = _llvm().Target.from_triple(machine.triple)
    # Position-independent, for else small code may hold the lower half of an absolute address.
    return target.create_target_machine(
        cpu=machine.cpu, features=machine.features, opt=3, reloc="pic", codemodel="small", jit=True
    )


@cache
def _llvm() -> Any:
    import llvmlite.binding

    llvmlite.binding.initialize_native_target()
    llvmlite.binding.initialize_native_asmprinter()
    return llvmlite.binding
