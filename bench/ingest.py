#!/usr/bin/env python3
"""Measures `validate` against DuckDB, Polars and lxml on the same files, in the same run.

usage: bench/ingest.py [--binary PATH] [--python PATH] [--peers DIR] [--work DIR] [--pairs N] [--only csv|xml]

The peers' folder holds the generators (gen_dnma_csv.py, gen_aaf_eleve.py) and one script a peer
(duck.py, pol.py, lx.py). Files are generated once into the work folder; every run writes into a new
folder, removed afterwards. Ours and the peer take turns; the median of each is compared. What is
found wrong is compared, row by row, with a plain reading of the file by another program: this one.
The report, in Markdown, goes to the standard output, progress to the other.
"""
import argparse, datetime, hashlib, json, multiprocessing, os, pathlib, re, shutil, statistics, subprocess, sys, time
import measured

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ["duckdb==2.0.0", "polars==2.1.0", "numpy==2.4.6", "pyarrow==26.0.1", "lxml==6.1.3"]
LISTS = ["etablissements", "projets", "profils", "services"]
DATE = "2025-12-31"
RULE = "visiteurs_au_plus_visites"
# What each kind of fault that the generators make is called by the contracts: (code, column).
CSV_KINDS = {
    "date_malformee": [("TYPE_DATE", "date")],
    "uai_inconnu": [("BCN_UNKNOWN", "uai")],
    "uai_ferme": [("BCN_CLOSED", "uai")],
    "projet_ferme": [("BCN_CLOSED", "projet_ent")],
    "profil_inconnu": [("BCN_UNKNOWN", "profil")],
    "service_inconnu": [("BCN_UNKNOWN", "service")],
    "visites_non_entier": [("TYPE_INTEGER", "visites")],
    "visites_negatif": [("RANGE", "visites"), ("RANGE", "visiteurs")],
    "visiteurs_sup_visites": [(f"rule {RULE}", "visiteurs")],
    "champ_manquant": [("REQUIRED", "profil")],
    "colonne_en_trop": [("CSV_FIELD_COUNT", "")],
}
XML_KINDS = {
    "sn_absent": [("REQUIRED", "sn")],
    "date_naissance_malformee": [("TYPE_DATE", "ENTPersonDateNaissance")],
    "id_vide": [("REQUIRED", "id")],
}


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- what must be found, read from the files themselves

def iso_day(text):
    try:
        return len(text) == 10 and bool(datetime.date.fromisoformat(text))
    except ValueError:
        return False


def french_day(text):
    return bool(re.fullmatch(r"\d\d/\d\d/\d{4}", text)) and iso_day(f"{text[6:]}-{text[3:5]}-{text[:2]}")


def code_lists(folder):
    lists = []
    for name in LISTS:
        head, *rows = (line.split(";") for line in (folder / f"{name}.csv").read_text(encoding="utf-8").splitlines())
        opens, closes = head.index("date_ouverture"), head.index("date_fermeture")
        lists.append({row[0]: (row[opens] or "0000-00-00", row[closes] or "9999-12-31") for row in rows})
    return lists


def faults_of_row(fields, lists):
    """(code, column) of all that is wrong in a row, by the rules that the contract states."""
    if len(fields) != 10:
        return [("CSV_FIELD_COUNT", "")]
    found, numbers = [], {}
    date = fields[0] if iso_day(fields[0]) else None
    if date is None:
        found.append(("TYPE_DATE" if fields[0] else "REQUIRED", "date"))
    for name, value, codes in zip(("uai", "projet_ent", "profil", "service"), fields[1:5], lists):
        if not value:
            found.append(("REQUIRED", name))
        elif name == "uai" and not re.fullmatch("[0-9]{7}[A-Z]", value):
            found.append(("UAI_FORMAT", name))
        elif name == "uai" and "ABCDEFGHJKLMNPRSTUVWXYZ"[int(value[:7]) % 23] != value[7]:
            found.append(("UAI_LETTER", name))
        elif value not in codes:
            found.append(("BCN_UNKNOWN", name))
        elif date and date > codes[value][1]:
            found.append(("BCN_CLOSED", name))
        elif date and date < codes[value][0]:
            found.append(("BCN_NOT_YET_OPEN", name))
    if fields[5] not in ("ORDINATEUR", "MOBILE", "TABLETTE"):
        found.append(("ENUM" if fields[5] else "REQUIRED", "device"))
    for name, value in zip(("visites", "visiteurs", "duree_s", "pages_vues"), fields[6:]):
        if re.fullmatch("[+-]?[0-9]+", value):
            numbers[name] = int(value)
            if name in ("visites", "visiteurs") and numbers[name] < 0:
                found.append(("RANGE", name))
        elif value or name in ("visites", "visiteurs"):
            found.append(("TYPE_INTEGER" if value else "REQUIRED", name))
    if "visites" in numbers and "visiteurs" in numbers and numbers["visiteurs"] > numbers["visites"]:
        found.append((f"rule {RULE}", "visiteurs"))
    return found


def scan_csv(path, lists_folder, result):
    lists = code_lists(lists_folder)
    etablissements, projets, profils, services = lists
    devices, days, faults, line = {"ORDINATEUR", "MOBILE", "TABLETTE"}, {}, [], 0
    with open(path, encoding="utf-8", newline="\n") as rows:
        for line, row in enumerate(rows, 1):
            fields = row[:-1].split(";")
            # Nearly all rows are right: a short way for them, the long one for the others.
            try:
                date, uai, projet, profil, service, device, v, w, d, p = fields
                if date not in days:
                    days[date] = iso_day(date)
                if (days[date] and etablissements[uai][0] <= date <= etablissements[uai][1]
                        and projets[projet][0] <= date <= projets[projet][1]
                        and profils[profil][0] <= date <= profils[profil][1]
                        and services[service][0] <= date <= services[service][1]
                        and device in devices and v.isdigit() and w.isdigit() and d.isdigit() and p.isdigit()
                        and int(w) <= int(v)):
                    continue
            except (KeyError, ValueError):
                pass
            if line > 1:
                faults.extend((line, *fault) for fault in faults_of_row(fields, lists))
    result.write_text(json.dumps({"records": line - 1, "faults": faults}))


def scan_xml(path, _, result):
    faults, records, start, seen = [], 0, 0, set()
    with open(path, encoding="utf-8", newline="\n") as lines:
        for line, text in enumerate(lines, 1):
            if text.startswith("<addRequest>"):
                records, start, seen = records + 1, line, set()
            elif text.startswith("<id>") and text != "<id></id>\n":
                seen.add("id")
            elif text.startswith('<attr name="sn"><value>'):
                seen.add("sn")
            elif text.startswith('<attr name="ENTPersonDateNaissance"><value>'):
                if not french_day(text.split("<value>")[1].split("</value>")[0]):
                    faults.append((start, "TYPE_DATE", "ENTPersonDateNaissance"))
            elif text.startswith("</addRequest>"):
                faults.extend((start, "REQUIRED", name) for name in ("id", "sn") if name not in seen)
    result.write_text(json.dumps({"records": records, "faults": faults}))


def expected(scan, path, lists_folder=None):
    """Faults of a file, from a scan kept beside it (in a process of its own: its memory is not ours)."""
    result = path.with_name(path.name + ".faults.json")
    if not result.exists():
        say(f"reading {path.name} for its faults")
        process = multiprocessing.Process(target=scan, args=(path, lists_folder, result))
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(f"scan of {path} failed")
    return json.loads(result.read_text())


# --- runs

class Bench:
    def __init__(self, options):
        self.options = options
        self.runs = []  # (work, who, Run)

    def run(self, work, who, command, keep=None):
        folder = self.options.work / "run"
        shutil.rmtree(folder, ignore_errors=True)
        say(f"{work}: {who}")
        run = measured.run([folder / "out" if a is OUT else a for a in command], folder, cwd=ROOT)
        say(f"  {run.cpu:.1f} CPU-s, {run.wall:.1f} s, {run.peak:.0f} MiB")
        if run.code not in (0, 4):  # 4: refused, which the report says
            sys.exit(f"{who} ended with {run.code}:\n{(folder / 'stderr').read_text()[-2000:]}")
        self.runs.append((work, who, run))
        kept = keep(folder) if keep else None
        shutil.rmtree(folder)
        return kept

    def of(self, work, who):
        return [run for w, x, run in self.runs if (w, x) == (work, who)]

    def ours(self, contract, path, *more):
        contracts = self.options.contracts
        return [self.options.binary, "validate", contract, path, "--contract", contracts / f"{contract}.toml",
                "--out", OUT, "--json", "--date", DATE, "--max-findings", "20000", *more]

    def peer(self, script, *args):
        return [self.options.python, self.options.peers / script, *args]


OUT = object()  # stands for the new folder of a run


def document(folder):
    return json.loads((folder / "stdout").read_text())


def warm(path):
    with open(path, "rb") as f:
        while f.read(1 << 20):
            pass


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def bytes_read_traced(bench, command, path):
    """Bytes that system calls read from the file, by strace; None without strace."""
    if not shutil.which("strace"):
        return None
    folder = bench.options.work / "trace"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    calls = "trace=read,pread64,readv,preadv,preadv2,mmap,sendfile,copy_file_range,splice,io_uring_enter"
    done = subprocess.run(["strace", "-ff", "-y", "-s", "0", "-e", calls, "-o", folder / "calls",
                           *[str(folder / "out" if a is OUT else a) for a in command]], cwd=ROOT,
                          stdout=subprocess.DEVNULL)
    if done.returncode not in (0, 4):
        return None
    total, mapped, ring = 0, 0, 0
    for calls in folder.glob("calls.*"):
        with open(calls, errors="replace") as lines:
            for line in lines:
                ring += line.startswith("io_uring_enter")
                if f"<{path}>" not in line:
                    continue
                size = re.search(r"= (\d+)$", line.strip())
                if line.startswith("mmap"):
                    mapped += int(line.split(", ")[1])
                elif size:
                    total += int(size[1])
    shutil.rmtree(folder)
    return total, mapped, ring


# --- the works

def csv_files(options, rows):
    folder = options.work / f"dnma-{rows}"
    path = folder / f"dnma_{rows}.csv"
    if not path.with_name(f"dnma_{rows}.truth.json").exists():
        say(f"generating {rows} rows")
        subprocess.run([options.python, options.peers / "gen_dnma_csv.py", folder, str(rows)], check=True)
    # The lists alone: the folder of the rows is no folder of nomenclatures.
    lists = folder / "lists"
    lists.mkdir(exist_ok=True)
    for name in LISTS:
        shutil.copyfile(folder / f"{name}.csv", lists / f"{name}.csv")
    return folder, path, lists


def csv_work(bench):
    options, answers, report = bench.options, [], []
    small_folder, small, small_lists = csv_files(options, options.small)
    folder, path, lists = csv_files(options, options.rows)
    ours = bench.ours("bench_dnma", path, "--bcn", lists)
    names = {}
    warm(path)
    for turn in range(options.pairs):
        last = turn == options.pairs - 1
        kept = options.work / "aggregates"
        def keep_ours(run_folder):
            if last:
                shutil.rmtree(kept, ignore_errors=True)
                kept.mkdir(parents=True)
                for found in (run_folder / "out").glob("aggregates/*/*.parquet"):
                    shutil.copyfile(found, kept / "ours.parquet")
            return document(run_folder)
        def keep_peer(run_folder):
            if last:
                shutil.copyfile(run_folder / "out" / "agg.parquet", kept / "peer.parquet")
        answers.append(bench.run("csv", "ours", ours, keep_ours))
        bench.run("csv", "duckdb", bench.peer("duck.py", folder, str(options.rows), OUT), keep_peer)
    bench.run("csv", "polars", bench.peer("pol.py", folder, str(options.rows), OUT))
    warm(small)
    for _ in range(options.pairs):
        bench.run("csv small", "ours", bench.ours("bench_dnma", small, "--bcn", small_lists))
    names["aggregate"] = same_aggregates(options, options.work / "aggregates")
    shutil.rmtree(options.work / "aggregates", ignore_errors=True)

    report += [f"## {options.rows:,} rows of CSV, {path.stat().st_size / 1e6:.1f} MB, against DuckDB", ""]
    a, b = bench.of("csv", "ours"), bench.of("csv", "duckdb")
    report += TABLE
    report.append(ratio_row("CPU", a, b, lambda r: r.cpu, "s", 0.75, 0.5))
    report.append(ratio_row("wall time", a, b, lambda r: r.wall, "s", 1.0, 0.5))
    peak, peer_peak = max(r.peak for r in a), statistics.median(r.peak for r in b)
    report.append(limit_row("peak memory", peak, peer_peak, 512, 256))
    small_peak = max(r.peak for r in bench.of("csv small", "ours"))
    growth = peak / small_peak
    report.append(f"| peak at {options.rows:,} ÷ peak at {options.small:,} rows | {peak:.0f} ÷ {small_peak:.0f} MiB "
                  f"| | {growth:.2f} | ≤ 1.2 | | {met(growth, 1.2)} | |")
    polars = bench.of("csv", "polars")[0]
    report += ["", f"For information, Polars once: {polars.cpu:.1f} CPU-s, {polars.wall:.1f} s, {polars.peak:.0f} MiB."]
    report += ["", f"Monthly aggregate: {names['aggregate']}."]
    report += ["", *one_pass(bench, "csv", path, answers, bench.ours("bench_dnma", small, "--bcn", small_lists), small)]
    truth = json.loads((folder / f"dnma_{options.rows}.truth.json").read_text())["by_rule"]
    report += ["", *violations(answers[-1], truth, CSV_KINDS, expected(scan_csv, path, lists))]
    return report


def xml_work(bench):
    options, answers, report = bench.options, [], []
    path = options.work / f"aaf_{options.pupils}.xml"
    truth = path.with_name(path.name + ".truth.json")
    if not truth.exists():
        say(f"generating {options.pupils} pupils")
        subprocess.run([options.python, options.peers / "gen_aaf_eleve.py", path, str(options.pupils)], check=True)
    ours = bench.ours("bench_aaf_eleve", path)
    warm(path)
    for _ in range(options.pairs):
        answers.append(bench.run("xml", "ours", ours, document))
        bench.run("xml", "lxml", bench.peer("lx.py", path, OUT))
    a, b = bench.of("xml", "ours"), bench.of("xml", "lxml")
    report += [f"## {options.pupils:,} pupils of AAF to Parquet, {path.stat().st_size / 1e6:.1f} MB, against lxml", ""]
    report += TABLE
    report.append(ratio_row("CPU", a, b, lambda r: r.cpu, "s", 1 / 4, 1 / 8))
    report.append(ratio_row("wall time", a, b, lambda r: r.wall, "s", None, None))
    report.append(limit_row("peak memory", max(r.peak for r in a), statistics.median(r.peak for r in b), 128, 64))
    report += ["", *one_pass(bench, "xml", path, answers, ours, path)]
    truth = json.loads(truth.read_text())["by_rule"]
    report += ["", *violations(answers[-1], truth, XML_KINDS, expected(scan_xml, path))]
    return report


# --- what is said

TABLE = ["| | ours | peer | ratio | must | aim | must | aim |", "|---|---|---|---|---|---|---|---|"]


def met(value, limit):
    return "" if limit is None else "met" if value <= limit else "**not met**"


def share(limit):
    return "" if limit is None else f"≤ {limit:g}"


def ratio_row(name, ours, peer, of, unit, must, aim):
    a, b = (statistics.median(of(r) for r in runs) for runs in (ours, peer))
    pairs = [of(x) / of(y) for x, y in zip(ours, peer)]
    return (f"| {name} | {a:.1f} {unit} | {b:.1f} {unit} | {a / b:.2f} ({min(pairs):.2f} to {max(pairs):.2f}) "
            f"| {share(must)} | {share(aim)} | {met(a / b, must)} | {met(a / b, aim)} |")


def limit_row(name, ours, peer, must, aim):
    return (f"| {name} | {ours:.0f} MiB | {peer:.0f} MiB | {ours / peer:.2f} | ≤ {must} MiB | ≤ {aim} MiB "
            f"| {met(ours, must)} | {met(ours, aim)} |")


def same_aggregates(options, folder):
    """Compares the two monthly aggregates, column by column in their order."""
    if not (folder / "ours.parquet").exists():
        return "**none was written**"
    code = """if True:
        import duckdb, sys
        c = duckdb.connect(); sides = []
        for name in ("ours", "peer"):
            path = f"{sys.argv[1]}/{name}.parquet"
            kinds = [row[1] for row in c.execute(f"DESCRIBE SELECT * FROM '{path}'").fetchall()]
            n = len(kinds)
            # DuckDB writes its large sums as floating point.
            cells = ", ".join(f"CAST(c{i} AS {'VARCHAR' if kinds[i] == 'VARCHAR' else 'HUGEINT'})" for i in range(1, n))
            names = ", ".join(f"c{i}" for i in range(n))
            sides.append((n, f"SELECT substr(CAST(c0 AS VARCHAR), 1, 7), {cells} FROM '{path}' AS t({names})"))
        (n, a), (m, b) = sides
        if n != m: sys.exit(f"{n} columns against {m}")
        count = lambda q: c.execute(f"SELECT count(*) FROM ({q})").fetchone()[0]
        print(count(a), count(b), count(f"({a}) EXCEPT ALL ({b})"), count(f"({b}) EXCEPT ALL ({a})"))"""
    done = subprocess.run([options.python, "-c", code, folder], capture_output=True, text=True)
    if done.returncode:
        return f"**not compared**: {done.stderr.strip().splitlines()[-1]}"
    a, b, only_a, only_b = map(int, done.stdout.split())
    return (f"{a:,} rows, equal to the peer's" if only_a == only_b == 0 else
            f"**differs**: {a:,} rows against {b:,}; {only_a:,} only ours, {only_b:,} only the peer's")


def one_pass(bench, work, path, answers, traced_command, traced_path):
    """The digest is the file's; the file is read once; runs answer alike."""
    size, lines = path.stat().st_size, []
    digests = {f["sha256"] for a in answers for f in a["files"]}
    lines.append(f"- verdict: {', '.join(sorted({a['verdict'] for a in answers}))}; as expected: "
                 f"{yes(all(a['verdict'] == 'accepted_with_quarantine' for a in answers))}")
    lines.append(f"- SHA-256 in the answer is the file's: {yes(digests == {sha256(path)})}")
    lines.append(f"- the {len(answers)} answers are the same: {yes(len({json.dumps(a, sort_keys=True) for a in answers}) == 1)}")
    reads = [r.read for r in bench.of(work, "ours") if r.read is not None]
    if reads:
        lines.append(f"- bytes read by all system calls (lists, and outputs read back, among them) ÷ size of the file: {max(reads) / size:.3f}")
    traced = bytes_read_traced(bench, traced_command, traced_path)
    if traced:
        read, mapped, ring = traced
        size = traced_path.stat().st_size
        lines.append(f"- bytes read of {traced_path.name} alone, by strace, ÷ its size: {read / size:.3f} "
                     f"(mapped: {mapped / size:.3f}{'; io_uring in use' if ring else ''}); one pass: "
                     f"{yes(0.99 <= (read + mapped) / size <= 1.01)}")
    return lines


def yes(truth):
    return "yes" if truth else "**no**"


def violations(answer, truth, kinds, scan):
    """Counts of each kind, and the place of every fault."""
    def name(item):
        return f"rule {RULE}" if item.get("rule") == RULE else item["code"]
    counted = {}
    complete = answer["findings_total"] == len(answer["findings"])
    for item in answer["by_rule"] if "by_rule" in answer else answer["findings"]:
        key = (name(item), item.get("column") or "")
        counted[key] = counted.get(key, 0) + item.get("count", 1)
    scanned = {}
    for _, *key in scan["faults"]:
        scanned[tuple(key)] = scanned.get(tuple(key), 0) + 1
    lines = ["| fault | as found | generator | plain reading | ours | same |", "|---|---|---|---|---|---|"]
    for kind, keys in kinds.items():
        for key in keys:
            a, b, c = truth.get(kind, 0), scanned.pop(key, 0), counted.pop(key, 0)
            lines.append(f"| {kind} | {' '.join(key)} | {a:,} | {b:,} | {c:,} | {yes(a == b == c)} |")
    for key in sorted(scanned.keys() | counted.keys()):
        lines.append(f"| other | {' '.join(key)} | | {scanned.get(key, 0):,} | {counted.get(key, 0):,} "
                     f"| {yes(scanned.get(key) == counted.get(key))} |")
    wanted = {(line, code, column) for line, code, column in scan["faults"]}
    ours = {(f["line"], name(f), f.get("column") or "") for f in answer["findings"] if f["severity"] == "error"}
    missing, surplus = sorted(wanted - ours), sorted(ours - wanted)
    lines += ["", f"Line, column and code of each fault: {len(wanted):,} expected, {len(wanted & ours):,} found; "
              f"same: {yes(not missing and not surplus)}{'' if complete else ' (the list of findings was cut)'}"]
    lines += [f"- missing: line {line}, {column or 'whole record'}, {code}" for line, code, column in missing[:5]]
    lines += [f"- not expected: line {line}, {column or 'whole record'}, {code}" for line, code, column in surplus[:5]]
    bad = len({line for line, *_ in wanted})
    counts = [sum(f["records"][k] for f in answer["files"]) for k in ("read", "accepted", "rejected")]
    lines += ["", f"Read {counts[0]:,}, accepted {counts[1]:,}, rejected {counts[2]:,}; as expected: "
              f"{yes(counts == [scan['records'], scan['records'] - bad, bad])}"]
    return lines


def machine():
    model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    memory = next(int(l.split()[1]) for l in open("/proc/meminfo") if l.startswith("MemTotal")) / (1 << 20)
    return f"{len(os.sched_getaffinity(0))} cores, {model}, {memory:.0f} GiB"


def heading(options):
    def output(*command):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT)
        return done.stdout.strip()
    commit = output("git", "rev-parse", "--short", "HEAD")
    changed = "with changes" if output("git", "status", "--porcelain", "--untracked-files=no") else "clean"
    versions = output(options.python, "-c", "import platform, importlib.metadata as m; print('Python', platform.python_version(), *("
                      "f', {n} {m.version(n)}' for n in ('duckdb', 'polars', 'numpy', 'pyarrow', 'lxml')), sep=' ')").replace(" ,", ",")
    return ["| | |", "|---|---|", f"| date | {time.strftime('%Y-%m-%d %H:%M')} |", f"| machine | {machine()} |",
            f"| load when begun | {os.getloadavg()[0]:.1f} |",
            f"| ours | {output(options.binary, '--version')}, commit {commit} ({changed}), `{options.binary}` |",
            f"| peers | {versions} |",
            f"| method | {options.pairs} pairs in turn, medians; CPU is user and system; peak is ru_maxrss, the largest of ours; files in page cache |"]


def peers_ready(python):
    modules = "import duckdb, polars, numpy, pyarrow, lxml"
    if python.exists() and subprocess.run([python, "-c", modules], capture_output=True).returncode == 0:
        return
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True, stdout=sys.stderr)


def main():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=target / "release" / "cartulaire")
    parser.add_argument("--python", type=pathlib.Path, default=pathlib.Path("/tmp/venv/bin/python"), help="runs the peers; made if absent")
    parser.add_argument("--peers", type=pathlib.Path, default=ROOT.parent / "shared" / "bench" / "ingest")
    parser.add_argument("--contracts", type=pathlib.Path, default=ROOT / "bench" / "contracts")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/cartulaire-bench"))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--small", type=int, default=1_000_000)
    parser.add_argument("--pupils", type=int, default=200_000)
    parser.add_argument("--only", choices=["csv", "xml"])
    options = parser.parse_args()
    for name in ("binary", "peers", "contracts", "work"):
        setattr(options, name, getattr(options, name).resolve())
    options.python = options.python.absolute()  # a link out of its environment when resolved
    if not options.binary.exists():
        sys.exit(f"{options.binary}: build it first (cargo build --locked --release), or give --binary")
    options.work.mkdir(parents=True, exist_ok=True)
    peers_ready(options.python)
    bench = Bench(options)
    lines = heading(options)
    if options.only != "xml":
        lines += ["", *csv_work(bench)]
    if options.only != "csv":
        lines += ["", *xml_work(bench)]
    lines += ["", "## Every run", "", "| work | who | CPU s | wall s | peak MiB |", "|---|---|---|---|---|"]
    lines += [f"| {work} | {who} | {r.cpu:.1f} | {r.wall:.1f} | {r.peak:.0f} |" for work, who, r in bench.runs]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
