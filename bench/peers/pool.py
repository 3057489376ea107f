"""The parent's end of the workers: their environment, questions and answers."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..machine import OVERRIDES

ANSWER_SECONDS = 600.0
REPOSITORY = Path(__file__).resolve().parents[2]


class WorkerError(RuntimeError):
    """A worker could not do what it was asked, or is gone."""


def environment(threads: int) -> dict[str, str]:
    """Make the environment of a worker.

    Parameters
    ----------
    threads : int

    Returns
    -------
    dict of str to str
    """
    env = {name: value for name, value in os.environ.items() if name not in OVERRIDES}
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        env[name] = str(threads)
    env["JAX_PLATFORMS"] = "cpu"
    env["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    if threads == 1:
        flags = env.get("XLA_FLAGS", "")
        env["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    return env


class Worker:
    """A worker process of one peer at one thread count.

    Parameters
    ----------
    peer : str
    threads : int

    Attributes
    ----------
    info : dict of str to str
        What the peer says it runs on.
    modes : dict of str to list of str
        By the kind of a row, "step" or "pass".
    missing : str
        The module that is not installed, or "".
    knows_peak : bool
        Whether it may be asked for the multiply-add peak.
    """

    def __init__(self, peer: str, threads: int) -> None:
        self.peer = peer
        self.knows_peak = peer == "fastgrad"
        self._files = ExitStack()
        self._errors = self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.peers.worker", peer, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=REPOSITORY,
            env=environment(threads),
            text=True,
        )
        try:
            hello = self._answer()
        except WorkerError:
            self.close()
            raise
        self.info: dict[str, str] = hello.get("info", {})
        self.modes: dict[str, list[str]] = hello.get("modes", {})
        self.missing: str = hello.get("missing", "")

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        timer = threading.Timer(ANSWER_SECONDS, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if not line:
            status = self._process.wait()
            self._errors.seek(0)
            tail = self._errors.read().decode(errors="replace").strip().splitlines()[-1:]
            raise WorkerError(f"the worker ended with status {status}: {''.join(tail)}")
        said: dict[str, Any] = json.loads(line)
        return said

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Parameters
        ----------
        do : {"prepare", "run", "peak", "drop"}
        **request
            See `bench.peers.worker`.

        Returns
        -------
        dict

        Raises
        ------
        WorkerError
            When the worker reports an error, dies, or takes ten minutes.
        """
        assert self._process.stdin is not None
        try:
            print(json.dumps({"do": do, **request}), file=self._process.stdin, flush=True)
        except OSError as error:
            raise WorkerError(f"the worker is gone: {error}") from error
        said = self._answer()
        if "error" in said:
            raise WorkerError(said["error"])
        return said

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._files.close()
