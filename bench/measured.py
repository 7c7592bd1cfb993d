"""Runs a program and says what it cost: CPU seconds, wall time, peak of resident memory, bytes read.

A child counts the memory of the process it was started from as its own peak until it has grown past
it, so programs are started from a small process that does nothing else.
"""
import json, pathlib, subprocess, sys
from dataclasses import dataclass

STARTER = """
import json, os, sys, time
limit, out, err, result, *command = sys.argv[1:]
flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
started = time.monotonic()
pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[
    (os.POSIX_SPAWN_OPEN, 1, out, flags, 0o600), (os.POSIX_SPAWN_OPEN, 2, err, flags, 0o600)])
late = False
wait = os.WEXITED | os.WNOWAIT
if float(limit):
    while os.waitid(os.P_PID, pid, wait | os.WNOHANG) is None:
        if time.monotonic() - started > float(limit):
            late = True
            os.kill(pid, 9)
            break
        time.sleep(0.02)
os.waitid(os.P_PID, pid, wait)
wall = time.monotonic() - started
try:
    read = int(next(l for l in open(f"/proc/{pid}/io") if l.startswith("rchar")).split()[1])
except (OSError, StopIteration):
    read = None
_, status, usage = os.wait4(pid, 0)
json.dump({"code": os.waitstatus_to_exitcode(status), "late": late, "wall": wall, "read": read,
    "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss / 1024}, open(result, "w"))
"""


@dataclass
class Run:
    code: int       # negative: ended by that signal
    late: bool      # ended because it passed the limit
    wall: float
    read: int | None  # bytes it asked of the system by read calls; None where that is not told
    cpu: float      # user and system
    peak: float     # MiB


def run(command, folder, cwd=None, limit=0, env=None):
    """Runs the command; its output is left in `folder`/stdout and `folder`/stderr."""
    folder = pathlib.Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    files = [str(folder / name) for name in ("stdout", "stderr", "measure")]
    subprocess.run([sys.executable, "-I", "-S", "-c", STARTER, str(limit), *files, *map(str, command)],
                   check=True, cwd=cwd, env=env)
    return Run(**json.loads((folder / "measure").read_text()))
