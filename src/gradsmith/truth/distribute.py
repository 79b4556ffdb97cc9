"""The chunks of a sweep, divided among processes and machines, each done once.

An interrupted run goes on where it was: finished chunks are files in a folder, each written whole
or not at all, and read back only by a run of the same task with the same code. The figures do not
depend on how the work was divided.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from gradsmith.backends import dispatch
from gradsmith.truth.accuracy import Accuracy
from gradsmith.truth.files import PART, write_whole
from gradsmith.truth.sweep import Sweep, Task

Results = list[Accuracy]
Tell = Callable[[str, int, int], None]
"""Takes what is being done, how many inputs are done, and how many there are."""

_PATIENCE = timedelta(days=7)  # how long a machine waits for another's share
_DESCRIPTION = "task.json"


class State:
    """A folder of finished chunks.

    Args:
        folder: where; made if it is not there.
        key: what identifies the task; chunks of another are never read.

    Raises:
        ValueError: the folder holds something else, or chunks of another task.
    """

    def __init__(self, folder: str | os.PathLike[str], key: Mapping[str, Any]) -> None:
        self._folder = Path(folder)
        description = json.dumps(dict(key), indent=1, sort_keys=True, ensure_ascii=False)
        self._digest = sha256(description.encode()).hexdigest()
        if self._folder.exists() and not self._folder.is_dir():
            raise ValueError(f"{self._folder} is a file; finished chunks are kept in a folder")
        self._folder.mkdir(parents=True, exist_ok=True)
        about = self._folder / _DESCRIPTION
        if not about.exists():
            if any(name.suffix != PART for name in self._folder.iterdir()):
                raise ValueError(f"{self._folder} is not empty and holds no finished chunks")
            write_whole(about, description)
        else:
            self._check(about, key)

    def _check(self, about: Path, key: Mapping[str, Any]) -> None:
        advice = "give another folder, or delete this one to start again"
        try:
            found = json.loads(about.read_text(encoding="utf-8"))
            different = [name for name in {**key, **found} if found.get(name) != key.get(name)]
        except (ValueError, AttributeError, TypeError):
            raise ValueError(f"{about} is damaged; {advice}") from None
        if different:
            name = different[0]
            raise ValueError(
                f"{self._folder} holds chunks of another task: its {name} is "
                f"{found.get(name)!r}, here it is {key.get(name)!r}; {advice}"
            )

    def finished(self, chunks: Iterable[int]) -> dict[int, Results]:
        """Those of ``chunks`` that are done. What is damaged is said to be, and done again."""
        done = {}
        for chunk in chunks:
            path = self._path(chunk)
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
                if data["task"] != self._digest or data["chunk"] != chunk:
                    raise ValueError("of another task")
                done[chunk] = [Accuracy.from_data(result) for result in data["results"]]
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                what = f"{path} is damaged ({error!r}); this chunk is done again"
                warnings.warn(what, RuntimeWarning, stacklevel=2)
        return done

    def keep(self, chunk: int, results: Results) -> None:
        """Write down that a chunk is done."""
        data = {
            "task": self._digest,
            "chunk": chunk,
            "results": [result.as_data() for result in results],
        }
        write_whole(self._path(chunk), json.dumps(data))

    def _path(self, chunk: int) -> Path:
        return self._folder / f"chunk-{chunk:05d}.json"


def discard(folder: Path) -> None:
    """Delete finished chunks, once they are part of a result that is kept.

    Several machines may do it at a time to one folder.
    """
    for path in [*folder.glob("chunk-*"), *folder.glob(_DESCRIPTION + "*")]:
        path.unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError:  # gone already, or something else is in it
        return


def run(
    task: Task,
    processes: int | None = None,
    tell: Tell | None = None,
    state: State | None = None,
    divided: bool = False,
) -> Results:
    """All chunks of a task, merged.

    Args:
        task: what is to be done.
        processes: how many work at a time here; left out, one for each core.
        tell: is told of progress.
        state: where finished chunks are kept.
        divided: whether the processes of the initialised ``torch.distributed`` group share the
            work; each must call this, and each gets the whole result.
    """
    if tell is not None:
        tell("preparing", 0, 0)
    sweep = Sweep(task)
    rank, ranks = 0, 1
    if divided:
        rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    mine = range(rank, sweep.chunks, ranks)
    done = state.finished(mine) if state is not None else {}
    total = sum(map(sweep.size, mine))
    covered = sum(map(sweep.size, done))
    if tell is not None:
        tell("certifying", covered, total)
    for chunk, results in _worked(sweep, [c for c in mine if c not in done], processes):
        done[chunk] = results
        covered += sweep.size(chunk)
        if state is not None:
            state.keep(chunk, results)
        if tell is not None:
            tell("certifying", covered, total)
    if ranks > 1:
        done = _gathered(done, ranks)
    return _merged([done[chunk] for chunk in range(sweep.chunks)])


def _merged(parts: Sequence[Results]) -> Results:
    whole = parts[0]
    for part in parts[1:]:
        whole = [a + b for a, b in zip(whole, part, strict=True)]
    return whole


def _gathered(done: Mapping[int, Results], ranks: int) -> dict[int, Results]:
    everyone: list[Any] = [None] * ranks
    torch.distributed.all_gather_object(everyone, dict(done))
    return {chunk: results for part in everyone for chunk, results in part.items()}


def _worked(
    sweep: Sweep, chunks: Sequence[int], processes: int | None
) -> Iterator[tuple[int, Results]]:
    """Each chunk with its results, in the order in which they are done."""
    wanted = min(processes or available(), len(chunks))
    if wanted <= 1:
        for chunk in chunks:
            yield chunk, sweep.run(chunk)
        return
    global _sweep
    _sweep = sweep
    method, given = ("fork", None) if _may_fork() else ("spawn", sweep.task)
    context = multiprocessing.get_context(method)
    with (
        warnings.catch_warnings(),
        ProcessPoolExecutor(wanted, context, initializer=_begin, initargs=(given,)) as pool,
    ):
        # Newer Pythons warn of locks that other threads hold at a fork; those of torch's thread
        # pool are not touched, since a worker uses one thread.
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork.*")
        futures = {pool.submit(_work, chunk): chunk for chunk in chunks}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            _sweep = None


_sweep: Sweep | None = None


def _may_fork() -> bool:
    """Whether a worker may be a copy of this process, with all that was prepared in it.

    Elsewhere than on Linux system libraries do not survive it, nor does a CUDA context; workers
    then start afresh, and the subject must be one that pickle can send.
    """
    return sys.platform == "linux" and not torch.cuda.is_initialized()


def _begin(task: Task | None) -> None:
    # The parent decides when to stop, not each worker by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    if task is not None:
        global _sweep
        if task.backend is not None:  # which a fresh process does not know
            dispatch.using(task.backend).__enter__()
        _sweep = Sweep(task)


def _work(chunk: int) -> Results:
    assert _sweep is not None
    return _sweep.run(chunk)


def available() -> int:
    """The cores that this process may use, its share of them where torchrun started several."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


@contextmanager
def torchrun() -> Iterator[tuple[int, int]]:
    """The rank of this process and how many there are, as torchrun started them: (0, 1) if not.

    Inside, they are a ``torch.distributed`` group that speaks over gloo.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield 0, 1
        return
    torch.distributed.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield torch.distributed.get_rank(), torch.distributed.get_world_size()
    finally:
        torch.distributed.destroy_process_group()
