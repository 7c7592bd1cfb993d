#!/usr/bin/env python3
"""Measures the packaging and the check of SEDA packages against `sha512sum` of the same bytes.

usage: bench/seda.py BINARY EXAMPLE WORK_DIR [--mib N] [--pairs N] [--units N] [--xsd DIR]

BINARY is `cartulaire`, EXAMPLE is `package` (`cargo build --locked --release --examples`). N MiB (2,048) of
random bytes in 8 files are digested by `sha512sum`, packaged, and the package is checked, in turn; then a
manifest of many units (100,000) is written and checked. The report, in Markdown, goes to the standard output.
"""
import argparse, json, os, pathlib, shutil, statistics, subprocess
import measured

MIB = 1 << 20


def generate(folder, mib):
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(8):
        path = folder / f"{n}.bin"
        if not path.exists() or path.stat().st_size != mib * MIB // 8:
            with open(path, "wb") as out:
                for _ in range(mib // 8):
                    out.write(os.urandom(MIB))
    return sorted(folder.iterdir())


def need(run, what, code=0):
    assert run.code == code, f"{what}: exit {run.code}"
    return run


def medians(runs):
    return {k: statistics.median(getattr(r, k) for r in runs) for k in ("wall", "cpu")} | {"peak": max(r.peak for r in runs)}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("binary")
    p.add_argument("example")
    p.add_argument("work", type=pathlib.Path)
    p.add_argument("--mib", type=int, default=2048)
    p.add_argument("--pairs", type=int, default=3)
    p.add_argument("--units", type=int, default=100_000)
    p.add_argument("--xsd")
    a = p.parse_args()
    binary, example = (str(pathlib.Path(x).resolve()) for x in (a.binary, a.example))
    files = generate(a.work / "files", a.mib)
    package, logs = a.work / "MESURE.zip", a.work / "logs"
    for f in files:
        f.read_bytes()
    sums, packs, checks = [], [], []
    for _ in range(a.pairs):
        sums.append(need(measured.run(["sha512sum", *files], logs), "sha512sum"))
        packs.append(need(measured.run([example, "files", files[0].parent, package, "2"], logs), "package"))
        checks.append(need(measured.run([binary, "seda", "check", package, "--json"], logs), "check"))
    verdict = json.loads((logs / "stdout").read_text())
    assert verdict["verdict"] == "accepted", verdict
    subprocess.run(["unzip", "-tq", package], check=True, stdout=subprocess.DEVNULL)
    sidecar = package.with_name(package.name + ".sha512")
    assert subprocess.run(["sha512sum", "--status", "-c", sidecar.name], cwd=sidecar.parent).returncode == 0
    one = a.work / "UN.zip"
    need(measured.run([example, "files", files[0].parent, one, "1"], logs), "package")
    # The same message, the same bytes, on one thread and on two.
    assert subprocess.run(["cmp", "-s", package, one]).returncode == 0
    base = medians(sums)
    print(f"### {a.mib:,} MiB in {len(files)} objects, stored, against sha512sum\n")
    print("| | wall | CPU | throughput ÷ sha512sum's | peak |\n|---|---|---|---|---|")
    print(f"| sha512sum | {base['wall']:.1f} s | {base['cpu']:.1f} s | 1 | |")
    for name, runs in (("packaging, 2 threads", packs), ("`seda check`", checks)):
        m = medians(runs)
        ratios = sorted(s.wall / r.wall for s, r in zip(sums, runs))
        print(f"| {name} | {m['wall']:.1f} s | {m['cpu']:.1f} s | {statistics.median(ratios):.0%} ({ratios[0]:.0%} to {ratios[-1]:.0%}) | {m['peak']:.0f} MiB |")
    manifest = a.work / "unites.xml"
    wrote = need(measured.run([example, "units", str(a.units), manifest], logs), "units")
    print(f"\n### A manifest of {a.units:,} units, {manifest.stat().st_size / 1e6:.1f} MB\n")
    print("| | wall | CPU | peak |\n|---|---|---|---|")
    print(f"| written | {wrote.wall:.1f} s | {wrote.cpu:.1f} s | {wrote.peak:.0f} MiB |")
    for name, more in [("checked", []), *([("checked, with the official schema", ["--xsd", a.xsd])] if a.xsd else [])]:
        run = need(measured.run([binary, "seda", "check", manifest, "--json", *more], logs), name)
        print(f"| {name} | {run.wall:.1f} s | {run.cpu:.1f} s | {run.peak:.0f} MiB |")
    shutil.rmtree(logs)


main()
