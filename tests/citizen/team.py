"""Two processes that compute together, started once for all checks that need them."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from multiprocessing.connection import Connection
from typing import Any

SIZE = 2
_SECONDS = 120  # for one check; the first of a kind compiles


class Team:
    """Processes of one gloo group that run the same function at the same time.

    They find each other through a file, so that no port can be taken, and end with this process.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.folder = tempfile.TemporaryDirectory(prefix="gradsmith-team-")
        store = os.path.join(self.folder.name, "store")
        self.connections: list[Connection] = []
        self.processes = []
        for rank in range(SIZE):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(rank, store, theirs), daemon=True)
            process.start()
            theirs.close()
            self.connections.append(ours)
            self.processes.append(process)

    def run(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """What the function returns in each process.

        Args:
            function: one that a process can import.
            args: what it is called with in each.

        Raises:
            AssertionError: it raised in one of them, or took too long.
        """
        for connection in self.connections:
            connection.send((function, args))
        deadline = time.monotonic() + _SECONDS
        results, errors = [], []
        for rank, connection in enumerate(self.connections):
            try:
                if not connection.poll(max(0.0, deadline - time.monotonic())):
                    errors.append(f"process {rank} did not answer in {_SECONDS} s")
                    continue
                result, error = connection.recv()
            except EOFError:
                errors.append(f"process {rank} ended")
                continue
            results.append(result)
            if error:
                errors.append(f"in process {rank}:\n{error}")
                # The other may wait for this one in a collective forever.
                deadline = min(deadline, time.monotonic() + 10)
        if errors:
            self.end()
            raise AssertionError("\n".join(errors))
        return results

    def end(self) -> None:
        """End the processes; the next :func:`team` is a new one."""
        team.cache_clear()
        atexit.unregister(self.end)
        for connection in self.connections:
            connection.close()
        for process in self.processes:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()
        self.folder.cleanup()


@cache
def team() -> Team:
    """The processes, started at the first call."""
    made = Team()
    atexit.register(made.end)
    return made


def _serve(rank: int, store: str, connection: Connection) -> None:
    import logging

    import torch
    import torch.distributed as dist

    torch._logging.set_logs(all=logging.ERROR)  # where a mesh could be faster is not the question
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        store=dist.FileStore(store, SIZE),
        rank=rank,
        world_size=SIZE,
        timeout=timedelta(seconds=_SECONDS),
    )
    while True:
        try:
            function, args = connection.recv()
        except EOFError:  # the test is over
            break
        try:
            answer = function(*args), ""
        except Exception:
            answer = None, traceback.format_exc()
        connection.send(answer)
    dist.destroy_process_group()
