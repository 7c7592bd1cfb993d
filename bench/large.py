#!/usr/bin/env python3
"""Validates the two large generated files and prints time and peak memory.

usage: bench/large.py BIN_DIR WORK_DIR [PUPILS] [DNMA_ROWS]     (BIN_DIR: target/release)

The files are generated once into WORK_DIR. The peak is the resident set of the `validate` process
alone, as the system counts it (ru_maxrss of that child).
"""
import json, os, pathlib, subprocess, sys, time


def measure(args):
    started = time.monotonic()
    process = subprocess.Popen(args, stdout=subprocess.PIPE)
    out = process.stdout.read()
    _, _, usage = os.wait4(process.pid, 0)
    report = json.loads(out)
    read = sum(f["records"]["read"] for f in report["files"])
    assert all(f["records"]["read"] == f["records"]["accepted"] + f["records"]["rejected"] for f in report["files"])
    cpu = usage.ru_utime + usage.ru_stime
    print(f"{read:>10} records  {cpu:7.1f} CPU-s  {time.monotonic() - started:7.1f} s wall  peak {usage.ru_maxrss / 1024:6.0f} MiB"
          f"  findings {report['findings_total']}  {report['verdict']}")


def main():
    bins, work = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    pupils = sys.argv[3] if len(sys.argv) > 3 else "200000"
    rows = sys.argv[4] if len(sys.argv) > 4 else "10000000"
    for only, option, size in (("ent", "--pupils", pupils), ("dnma", "--dnma-rows", rows)):
        out = work / f"{only}-{size}"
        if not out.exists():
            subprocess.run([bins / "cartulaire_samples", "--out", out, "--only", only, option, size], check=True)
    def largest(folder, part):
        return sorted(str(p) for p in folder.glob(f"*{part}*") if "2025070" not in p.name and "2025-05" not in p.name)
    eleves = largest(work / f"ent-{pupils}", "_Eleve_")
    profils = largest(work / f"dnma-{rows}", "par-uai-profils")
    for threads in ("1", "2"):
        for source, files in (("ent", eleves), ("dnma", profils)):
            print(f"validate {source}, {threads} thread(s), {sum(os.path.getsize(f) for f in files) / 1e6:.0f} MB", end="")
            measure([str(bins / "cartulaire"), "validate", source, *files, "--json", "--max-findings", "10", "--threads", threads])


main()
