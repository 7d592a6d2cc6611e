"""Other programs that the driver runs, and the reasons of their failures."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

SECONDS = {"install": 1200, "run": 600, "compile and run": 1200}


class Failed(Exception):
    """The reason why a peer has no figures, in one line."""


def call(command, kind, environment=None):
    """Returns the standard output of a command, or raises `Failed` with the reason."""
    words, timeout = [str(word) for word in command], SECONDS[kind]
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1", "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}
    # In its own session, so that all of its processes can be killed at the end.
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"`{Path(words[0]).name}` was still running after {timeout} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise Failed(reason(errors, kind) or f"exit status {process.returncode}")
    return output


def reason(errors, kind):
    """Returns the most informative line: the first error of an installer, or the last one of a program."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    telling = [line for line in lines if "rror: " in line and "subprocess-exited" not in line] or lines[-1:]
    return telling[0 if kind == "install" else -1][:200] if telling else ""


def say(text):
    print(f"peers: {text}", file=sys.stderr, flush=True)
