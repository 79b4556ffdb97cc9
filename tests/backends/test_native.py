"""Machine code: wide, without calls, for several threads, after a fork, or not at all."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
import threading

import pytest
import torch

from gradsmith.backends import llvm, native
from gradsmith.backends.llvm import NativeKernel, compile_program
from gradsmith.backends.llvm_ir import loop
from gradsmith.numerics.builder import Builder
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import BF16, F16, F32, F64, I64, Program, Type
from tests.backends.agreement import PRECISIONS, X86, polynomial

pytestmark = pytest.mark.skipif(llvm.unavailable() is not None, reason=str(llvm.unavailable()))


def body(text: str) -> str:
    """The instructions of the loop, without labels, directives and comments."""
    return instructions(text.split("\nkernel.loop:")[1])


def instructions(text: str) -> str:
    return "\n".join(re.findall(r"^\t[a-z].*", text, re.MULTILINE))


@pytest.mark.parametrize(("kind", "inside"), PRECISIONS)
@pytest.mark.parametrize("level", ["here", "x86-64-v3", "x86-64-v4"])
@pytest.mark.skipif(not X86, reason="looks for x86 instructions")
def test_code_is_as_wide_as_the_processor_and_calls_nothing(
    kind: Type, inside: Type, level: str
) -> None:
    machine = native.host()
    if level != "here":  # is compiled, but does not run
        machine = native.Machine(machine.triple, level, "-prefer-256-bit")
    has = machine.features.split(",")
    wide = level == "x86-64-v4" or "+avx512f" in has
    if not wide and level == "here" and "+avx2" not in has:
        pytest.skip("an older processor")
    half = level != "here" or machine.converts_half
    code = body(native.assembly(loop(polynomial(kind, inside), native_half=half).text, machine))
    assert not re.search(r"\bcall", code)
    register = "zmm" if wide else "ymm"
    suffix = "pd" if inside is F64 else "ps"
    for instruction in ("vdiv", "vsqrt", "vfmadd213", "vrndscale" if wide else "vround"):
        assert re.search(rf"\b{instruction}{suffix}\b.*{register}", code), instruction
    assert ("zmm" in code) is wide


def test_code_for_arm_is_wide_and_calls_nothing() -> None:
    import llvmlite.binding

    llvmlite.binding.initialize_all_targets()
    llvmlite.binding.initialize_all_asmprinters()
    machine = native.Machine("aarch64-unknown-linux-gnu", "generic")
    for kind, inside in PRECISIONS:
        code = body(native.assembly(loop(polynomial(kind, inside)).text, machine))
        lanes = "2d" if inside is F64 else "4s"
        assert not re.search(r"\bblr?\b", code)
        for instruction in ("fdiv", "fsqrt", "fmla", "frintn"):
            assert re.search(rf"\b{instruction}\tv\d+\.{lanes}", code), instruction


@pytest.mark.skipif(not X86, reason="looks for x86 instructions")
def test_what_the_loop_keeps_on_the_stack_lies_at_the_end_of_a_page() -> None:
    text = native.assembly(loop(polynomial(F32, F32)).text)
    around = instructions(text.split("\nkernel:")[1].split("\nkernel.loop:")[0])
    assert re.search(r"andq\t\$-4096, %rsp\n\tsubq\t\$4096, %rsp\n.*\n\tcallq\tkernel.loop", around)


def test_the_text_holds_no_licence_to_change_a_result() -> None:
    programs = polynomial(BF16, F64), polynomial(F16, F32)
    text = "".join(loop(program, native_half=False).text for program in programs)
    for flag in ("fast", "contract", "reassoc", "nnan", "ninf", "nsz", "arcp", "afn"):
        assert not re.search(rf"\b{flag}\b", text), flag
    assert [line for line in text.splitlines() if "nsw" in line and "%next" not in line] == []


def test_two_threads_at_once() -> None:
    kernel = compile_program(polynomial(F32, F64))
    inputs = [torch.randn(20_011, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    wanted = [torch.from_numpy(run(kernel.program, x.numpy())[0]) for x in inputs]
    wrong: list[int] = []
    barrier = threading.Barrier(2)

    def work(which: int) -> None:
        out = torch.empty_like(inputs[which])
        barrier.wait()
        for _ in range(200):
            kernel([inputs[which]], [out.zero_()])
            if not torch.equal(out, wanted[which]):
                wrong.append(which)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_global_lock_is_free_while_a_kernel_runs() -> None:
    kernel = compile_program(polynomial(F32, F64))
    with_lock = ctypes.PYFUNCTYPE(None)._flags_
    without = ctypes.CFUNCTYPE(None)._flags_
    assert with_lock != without
    assert kernel.raw._flags_ == without


def test_threads_may_compile_at_once() -> None:
    def program(constant: float) -> Program:
        builder = Builder()
        return builder.program(builder.input("x", F64) * constant)

    results: dict[int, NativeKernel] = {}
    barrier = threading.Barrier(4)

    def work(which: int) -> None:
        barrier.wait()
        for constant in range(5):
            kernel = compile_program(program(constant + 0.123))
            out = torch.empty(3, dtype=torch.float64)
            kernel([torch.ones(3, dtype=torch.float64)], [out])
            assert out.tolist() == [constant + 0.123] * 3
            results[which * 5 + constant] = kernel

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 20
    for constant in range(5):
        assert len({id(results[which * 5 + constant]) for which in range(4)}) == 1


FORK = """
import os, threading, warnings
warnings.simplefilter("ignore")
import torch
from gradsmith.backends.llvm import compile_program
from gradsmith.numerics.builder import Builder
from gradsmith.numerics.program import F32

def double(constant):
    b = Builder()
    kernel = compile_program(b.program(b.input("x", F32) * constant))
    out = torch.empty(5)
    kernel([torch.ones(5)], [out])
    assert out.tolist() == [constant] * 5

double(2.0)
done = threading.Event()
def busy():
    constant = 3.0
    while not done.is_set():
        double(constant)
        constant += 1
thread = threading.Thread(target=busy)
thread.start()
for attempt in range(10):
    child = os.fork()
    if child == 0:
        double(2.0)
        double(-1.0 - attempt)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
done.set()
thread.join()
print("good")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_child_process_can_use_and_compile_kernels_after_a_fork() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "good", done.stderr


def test_llvmlite_is_not_imported_until_it_is_needed() -> None:
    code = "import sys, gradsmith.backends.llvm; print('llvmlite' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_llvmlite_there_is_a_reason_and_no_other_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> None:
        raise ImportError("No module named 'llvmlite'")

    monkeypatch.setattr(native, "_llvm", missing)
    native.unavailable.cache_clear()
    try:
        reason = llvm.unavailable()
        assert reason == "llvmlite cannot be imported: No module named 'llvmlite'"
        builder = Builder()
        with pytest.raises(RuntimeError, match="llvmlite cannot be imported"):
            compile_program(builder.program(builder.input("never compiled", I64)))
    finally:
        monkeypatch.undo()
        native.unavailable.cache_clear()
    assert llvm.unavailable() is None
