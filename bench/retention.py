#!/usr/bin/env python3
"""Measures the simulation of the sort final and the proposal of an elimination list.

usage: bench/retention.py BINARY WORK_DIR [--records N] [--list N]

N sanctions of invented pupils (10,000,000) over ten school years, each with its own day, end of
schooling and measure, so that every record is decided by itself under three successive regimes; then,
in a store of their own, the records of a list (1,000,000). The report, in Markdown, goes to the standard
output. There is no peer: no other tool computes due dates.
"""
import argparse, datetime, json, os, pathlib, random, shutil, subprocess, sys
import measured

ROOT = pathlib.Path(__file__).resolve().parent.parent
MEASURES = ["avertissement", "blame", "mesure_responsabilisation", "exclusion_temporaire", "exclusion_definitive"]
LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
RULES = ["2009", "2011-ANNEE", "2011-EXCLUSION", "2011-DEFINITIVE", "2019-AVERTISSEMENT", "2019-BLAME", "2019-EXCLUSION"]


def generate(folder, records, years):
    """One delivery a school year; the same bytes every time."""
    draw = random.Random(20260112)
    uais = [f"{n:07d}{LETTERS[n % 23]}" for n in range(750001, 750200)]
    for number, year in enumerate(years):
        day = datetime.date(year, 9, 1)
        days = [(day + datetime.timedelta(n)).isoformat() for n in range(300)]
        ends = [""] + [datetime.date(year + 1 + n // 40, 6, 1 + n % 30).isoformat() for n in range(240)]
        share = records // len(years)
        path = folder / f"bench_sanctions_{year + 1}0715.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="\n") as out:
            out.write("dossier;uai;prononcee_le;sortie_le;mesure\n")
            for row in range(share):
                r = draw.getrandbits(64)
                out.write(f"INVENTE{number:02d}{row:08d};{uais[r % 199]};{days[(r >> 8) % 300]};{ends[(r >> 20) % 241]};{MEASURES[(r >> 40) % 5]}\n")


def prepare(folder, binary, records, years):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    generate(folder / "in", records, years)
    shutil.copytree(ROOT / "bench" / "contracts", folder / "contracts", ignore=lambda _, names: [n for n in names if "sanctions" not in n])
    verified = [f'[[verification]]\nrule = "VIE-SANCTIONS-{r}"\nverified_by = "Camille Fictive (personne inventée)"\nverified_on = "2025-10-01"\ntext_read = "Texte lu pour la mesure"\n' for r in RULES]
    (folder / "overlay.toml").write_text("\n".join(verified), encoding="utf-8")
    (folder / "cartulaire.toml").write_text(
        '[store]\npath = "store"\ncreate = true\n[inbox]\npath = "in"\n[contracts]\npath = "contracts"\n'
        f'[nomenclatures]\npath = "{ROOT / "samples" / "bcn"}"\n[retention]\noverlay = "overlay.toml"\n'
        '[elimination]\nservice = "Service inventé"\nhierarchy = ["Académie inventée"]\ncontact = "bureau@example.invalid"\narchives = "Archives inventées"\nregister = "signataires.toml"\n', encoding="utf-8")
    key = subprocess.run([binary, "elimination", "key", "agent-un", "--out", "agent-un.key", "--json"], cwd=folder, check=True, capture_output=True, text=True)
    (folder / "signataires.toml").write_text(
        'version = 1\n[[signatory]]\nname = "agent-un (personne inventée)"\nperson = "agent-un"\nrole = "agent"\n'
        f'public_key = "{json.loads(key.stdout)["public_key"]}"\nvalid_from = "2014-01-01"\nvalid_to = "2030-12-31"\n', encoding="utf-8")
    for year in years:
        subprocess.run([binary, "ingest", "bench_sanctions", f"in/bench_sanctions_{year + 1}0715.csv", "--date", f"{year + 1}-07-15", "--quiet"], cwd=folder, check=True)


def ours(binary, folder, *args):
    run = measured.run([binary, *args], folder / "run", cwd=folder)
    said = (folder / "run" / "stdout").read_text(encoding="utf-8")
    if run.code:
        sys.exit(f"{args}: {run.code}\n{said}\n{(folder / 'run' / 'stderr').read_text(encoding='utf-8')}")
    return run, json.loads(said)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary"), parser.add_argument("work")
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--list", type=int, default=1_000_000)
    args = parser.parse_args()
    binary, work = str(pathlib.Path(args.binary).resolve()), pathlib.Path(args.work).resolve()
    lines = []

    big = work / "simulate"
    prepare(big, binary, args.records, list(range(2014, 2024)))
    for at in ["2026-01-12", "2064-01-12"]:
        run, said = ours(binary, big, "retention", "simulate", "--as-of", at, "--group-by", "due-year", "--group-by", "class", "--group-by", "producer", "--json")
        assert said["records"] == args.records // 10 * 10 == sum(g["count"] for g in said["groups"]), said["records"]
        lines.append((f"simulate at {at}, every record by the year in which it becomes due", said["records"], run, "≤ 30 s, ≤ 1 GiB"))

    small = work / "list"
    prepare(small, binary, args.list, [2014])
    made, _ = ours(binary, small, "elimination", "propose", "--date", "2026-01-12", "--json")
    _, said = ours(binary, small, "elimination", "list", "--json")
    name, records = said["lists"][0]["id"], said["lists"][0]["records"]
    lines.append(("the list established: Parquet, JSON, sheet, PDF", records, made, "≤ 60 s with the next"))
    run, _ = ours(binary, small, "elimination", "propose", name, "--by", "agent-un", "--key", "agent-un.key", "--date", "2026-01-13", "--json")
    lines.append(("the list proposed", records, run, ""))

    print("| work | records | wall | CPU | peak | must |\n|---|---|---|---|---|---|")
    for name, records, run, must in lines:
        print(f"| {name} | {records:,} | {run.wall:.1f} s | {run.cpu:.1f} s | {run.peak:.0f} MiB | {must} |")


if __name__ == "__main__":
    main()
