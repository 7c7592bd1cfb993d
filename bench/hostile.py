#!/usr/bin/env python3
"""Gives `validate` one hostile file at a time and checks how it answers.

usage: bench/hostile.py [--binary PATH] [--work DIR] [--only NAME,NAME] [--keep] [--list]

A case fails when the program ends by a signal or with a code outside {0, 2, 4}, panics, takes more
than 300 MiB or 120 s, leaves files outside --out, lets a file of the machine into its answer, when its
answer is not one JSON document with read = accepted + rejected for each file (code 2, a usage fault,
may answer nothing), or when the code, the findings or the number of rejected records are not those
that the case expects. Inputs are made one at a time and removed; 1.1 GB of disk is enough.
"""
import argparse, io, json, os, pathlib, random, re, shutil, struct, sys, tarfile, threading, time, zipfile, zlib
from dataclasses import dataclass
import measured

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEAK_MIB, SECONDS = 300, 120
ELEVE = "ENT2DEX-ENT99_Complet_20260110_Eleve_0000.xml"
ENT = "ENT2DEX-ENT99_Complet_20260110"
CRDC = "CRDC_99_20260105_T1.csv"
GIB = 1 << 30

CASES = []


@dataclass
class Case:
    make: callable      # writes into a folder, gives the path to validate
    source: str
    codes: set          # exit codes allowed
    one_of: set         # with exit 4: a refusal bears one of these; with 0: a finding does
    rejected: int | None  # with exit 0: records rejected
    name: str = ""


def case(source, codes, one_of=(), rejected=None):
    def register(make):
        sources = source if isinstance(source, tuple) else (source,)
        for s in sources:
            name = make.__name__ if len(sources) == 1 else f"{make.__name__}_as_{s}"
            CASES.append(Case(make, s, set(codes), set(one_of), rejected, name))
        return make
    return register


# --- sound records, to be spoilt

HEADER = ("uai;annee_scolaire;exercice;trimestre;numero_bordereau;id_eleve;ine;id_responsable_payeur;code_regime;"
          "categorie_tarif;nature_droit;tarif_annuel;nb_jours_ouverts;nb_jours_dus;droit_brut;remise_ordre_montant;"
          "remise_ordre_motif;remise_principe;bourse_echelon;bourse_montant;prime_internat;prime_autre;aide_nationale;"
          "aide_locale;droit_net;solde_a_verser;date_constatation;statut").split(";")


def row(i, **spoilt):
    number = 990001 + i % 50
    cells = dict(zip(HEADER, [f"{number:07d}{'ABCDEFGHJKLMNPRSTUVWXYZ'[number % 23]}", "2025-2026", "2025", "1", "B1", f"E{i}", "",
                              f"R{i}", "2", "Forfait", "DEMI_PENSION", "490.00", "56", "56", "196.00", "0.00", "", "0.00", "0", "0.00",
                              "0.00", "0.00", "0.00", "0.00", "196.00", "0.00", "15/12/2025", "constaté"]))
    return ";".join({**cells, **spoilt}.values())


def table(folder, rows, header=";".join(HEADER), name=CRDC):
    """A table of 1,000 sound rows, some replaced: {row: str or bytes}."""
    lines = [rows.get(i, row(i)) for i in range(1000)]
    data = b"\n".join(l if isinstance(l, bytes) else l.encode() for l in [header, *lines, ""])
    (folder / name).write_bytes(data)
    return folder / name


HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE ficAlimMENESR SYSTEM "ficAlimMENESR.dtd">\n'


def request(i, sn="Exemple", extra=""):
    values = {"ENTPersonJointure": 10000000 + i, "ENTPersonDateNaissance": "21/07/2014", "ENTPersonNomPatro": "Exemple", "sn": sn,
              "givenName": "Prénom", "personalTitle": "M.", "ENTEleveMEF": "10010012110", "ENTEleveNivFormation": "6EME",
              "ENTPersonStructRattach": "1001"}
    return ('<addRequest><operationalAttributes><attr name="categoriePersonne"><value>Eleve</value></attr></operationalAttributes>'
            f"<identifier><id>{10000000 + i}</id></identifier><attributes>"
            + "".join(f'<attr name="{n}"><value>{v}</value></attr>' for n, v in values.items())
            + f"{extra}</attributes></addRequest>\n")


def aaf(folder, requests, head=HEAD, root="ficAlimMENESR", end=True, name=ELEVE):
    text = head + f"<{root}>\n" + "".join(requests) + (f"</{root}>\n" if end else "")
    (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return folder / name


def sound(n=20):
    return [request(i) for i in range(n)]


# --- XML

@case("ent", [4], ["XML_DTD", "XML_ENTITY"])
def billion_laughs(folder):
    levels = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "lol"}">\n' for i in range(10))
    return aaf(folder, [request(0, sn="&l9;")], head=f'<?xml version="1.0"?>\n<!DOCTYPE ficAlimMENESR [\n{levels}]>\n')


@case("ent", [4], ["XML_DTD", "XML_ENTITY"])
def external_entity(folder):
    head = f'<?xml version="1.0"?>\n<!DOCTYPE ficAlimMENESR [<!ENTITY xxe SYSTEM "{secret(folder).as_uri()}">]>\n'
    return aaf(folder, [request(0, sn="&xxe;")], head=head)


@case("ent", [4], ["XML_DTD"])
def doctype_internal_subset(folder):
    return aaf(folder, sound(), head='<?xml version="1.0"?>\n<!DOCTYPE ficAlimMENESR [<!ELEMENT ficAlimMENESR ANY>]>\n')


@case("ent", [4], ["XML_MALFORMED", "FILE_LIMIT"])
def nesting_100000_deep(folder):
    return aaf(folder, [request(0, extra="<attr name='x'>" * 100_000 + "</attr>" * 100_000)])


@case("ent", [0, 4], ["XML_MALFORMED", "FILE_LIMIT", "AAF_ATTRIBUTE_UNKNOWN"])
def attributes_80000_on_one_element(folder):
    many = " ".join(f'a{i}="{i}"' for i in range(80_000))
    return aaf(folder, [request(0), request(1, extra=f'<attr {many} name="x"><value>1</value></attr>'), request(2)])


@case("ent", [4], ["XML_MALFORMED", "FILE_LIMIT"])
def attributes_80000_without_the_name(folder):
    many = " ".join(f'a{i}="{i}"' for i in range(80_000))
    return aaf(folder, [request(0, extra=f"<attr {many}><value>1</value></attr>")])


@case("ent", [4], ["FILE_LIMIT"])
def text_node_of_1_gb(folder):
    before, after = request(1, sn="@").split("@")
    with open(folder / ELEVE, "wb") as f:
        f.write((HEAD + "<ficAlimMENESR>\n" + request(0) + before).encode())
        for _ in range(1024):
            f.write(b"a" * (1 << 20))
        f.write((after + "</ficAlimMENESR>\n").encode())
    return folder / ELEVE


@case("ent", [4], ["XML_TRUNCATED"])
def truncated_xml(folder):
    path = aaf(folder, sound())
    path.write_bytes(path.read_bytes()[:-200])
    return path


@case("ent", [4], ["XML_ROOT"])
def wrong_root(folder):
    return aaf(folder, sound(), root="BEE_ELEVES", head='<?xml version="1.0" encoding="UTF-8"?>\n')


@case("ent", [0, 4], ["XML_MALFORMED", "ENC_INVALID"])
def two_encodings_in_one_xml(folder):
    path = aaf(folder, [request(0), request(1, sn="Érable@")])
    path.write_bytes(path.read_bytes().replace("Érable@".encode(), "Érable".encode("latin-1")))
    return path


@case("crdc", [0], ["ENC_INVALID"], rejected=10)
def two_encodings_in_one_table(folder):
    return table(folder, {i: row(i).encode("windows-1252") for i in range(500, 510)})


@case("ent", [0, 4], ["ENC_NUL", "XML_MALFORMED"])
def nul_in_xml(folder):
    return aaf(folder, [request(i, sn="Ex\0emple" if i == 3 else "Exemple") for i in range(20)])


@case("crdc", [0], ["ENC_NUL"], rejected=1)
def nul_in_table(folder):
    return table(folder, {500: row(500, categorie_tarif="For\0fait")})


@case("ent", [0, 4], ["XML_MALFORMED", "ENC_INVALID"])
def lone_surrogate_in_xml(folder):
    path = aaf(folder, [request(0), request(1, sn="Ex@mple")])
    path.write_bytes(path.read_bytes().replace(b"@", b"\xed\xa0\x80"))
    return path


@case("ent", [4], ["XML_ENTITY", "XML_MALFORMED"])
def lone_surrogate_as_reference(folder):
    return aaf(folder, [request(0), request(1, sn="Ex&#xD800;mple")])


@case("crdc", [0], ["ENC_INVALID"], rejected=1)
def lone_surrogate_in_table(folder):
    return table(folder, {500: row(500).encode().replace(b"Forfait", b"For\xed\xa0\x80fait")})


@case("ent", [4], ["RECV_EMPTY", "XML_ROOT", "XML_TRUNCATED"])
def empty_xml(folder):
    (folder / ELEVE).touch()
    return folder / ELEVE


# --- tables

def sparse(path, start, size):
    with open(path, "wb") as f:
        f.write(start)
        f.truncate(size)
    return path


@case("crdc", [4], ["FILE_LIMIT"])
def single_line_of_10_gb(folder):
    return sparse(folder / CRDC, (";".join(HEADER) + "\n").encode(), 10 * GIB)


@case("crdc", [4], ["FILE_LIMIT"])
def header_of_10_gb(folder):
    return sparse(folder / CRDC, b"uai;", 10 * GIB)


@case("ent", [4], ["FILE_LIMIT", "XML_MALFORMED", "ENC_NUL"])
def xml_text_of_10_gb(folder):
    return sparse(folder / ELEVE, (HEAD + "<ficAlimMENESR>\n" + request(0, sn="@").split("@")[0]).encode(), 10 * GIB)


@case("crdc", [4], ["CSV_UNCLOSED_QUOTE"])
def unclosed_quote(folder):
    return table(folder, {500: row(500, categorie_tarif='"Forfait')})


@case("crdc", [4], ["FILE_LIMIT", "CSV_UNCLOSED_QUOTE"])
def unclosed_quote_before_100_mb(folder):
    path = table(folder, {999: row(999, categorie_tarif='"Forfait')})
    with open(path, "a", encoding="utf-8") as f:
        for start in range(1000, 600_000, 1000):
            f.write("".join(row(i) + "\n" for i in range(start, start + 1000)))
    return path


@case("crdc", [0], ["CSV_FIELD_COUNT"], rejected=20)
def ragged_rows(folder):
    return table(folder, {**{i: row(i) + ";de trop" for i in range(100, 110)}, **{i: row(i)[:60] for i in range(200, 210)}})


@case("crdc", [4], ["FILE_LIMIT"])
def columns_100000(folder):
    more = 100_000 - len(HEADER)
    header = ";".join(HEADER) + "".join(f";c{i}" for i in range(more))
    path = folder / CRDC
    path.write_text(header + "\n" + "".join(row(i) + ";" * more + "\n" for i in range(20)), encoding="utf-8")
    return path


@case("crdc", [4], ["CSV_HEADER_DUPLICATE"])
def duplicate_headers(folder):
    return table(folder, {i: row(i) + ";2" for i in range(1000)}, header=";".join([*HEADER, "id_eleve"]))


@case("crdc", [4], ["RECV_EMPTY"])
def empty_table(folder):
    (folder / CRDC).touch()
    return folder / CRDC


@case("crdc", [0], rejected=0)
def header_only(folder):
    (folder / CRDC).write_text(";".join(HEADER) + "\n")
    return folder / CRDC


@case("crdc", [0], ["TYPE_DATE"], rejected=7)
def dates_that_are_none(folder):
    days = ["00/00/0000", "31/02/2025", "31/12/9999", "29/02/2025", "2025-12-15", "15/12/25", "١٥/١٢/٢٠٢٥"]
    return table(folder, {100 + i: row(100 + i, date_constatation=d) for i, d in enumerate(days)})


@case("crdc", [0], ["TYPE_INTEGER"], rejected=7)
def integers_beyond_i64(folder):
    values = ["9223372036854775808", "-9223372036854775809", "18446744073709551616", "9" * 400, "0x10", "1e3", "²"]
    return table(folder, {100 + i: row(100 + i, nb_jours_dus=v) for i, v in enumerate(values)})


@case("crdc", [0], ["TYPE_DECIMAL"], rejected=9)
def decimals_that_are_none(folder):
    values = ["NaN", "1e309", "Infinity", "-inf", "1.234,56", "1,234.56", "1.2.3", "9" * 400 + ".00", "--1"]
    return table(folder, {100 + i: row(100 + i, droit_brut=v) for i, v in enumerate(values)})


@case("crdc", [0, 4], ["RECV_PARTIAL", "CSV_FIELD_COUNT", "CSV_UNCLOSED_QUOTE"])
def table_that_grows_while_read(folder):
    path = folder / CRDC
    with open(path, "w", encoding="utf-8") as f:
        f.write(";".join(HEADER) + "\n")
        f.writelines(row(i) + "\n" for i in range(100_000))
    def append():
        rows, until = 100_000, time.monotonic() + 10
        with open(path, "a", encoding="utf-8") as f:
            while time.monotonic() < until:
                f.writelines(row(i) + "\n" for i in range(rows, rows + 300))
                f.flush()
                rows += 300
                time.sleep(0.016)
    threading.Thread(target=append, daemon=True).start()
    return path


# --- archives: named as a delivery, and given to a contract by its name, so that they are opened

def zeros_zip(size, inside):
    """A zip (zip64) of `size` zero bytes, a multiple of 16 MiB, without compressing them all."""
    block = bytes(16 << 20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packer.compress(b"")
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(size // len(block)):
        crc = zlib.crc32(block, crc)
    end = zlib.compressobj(9, zlib.DEFLATED, -15).flush(zlib.Z_FINISH)
    data = first * (size // len(block)) + end
    name = inside.encode()
    extra = struct.pack("<HHQQ", 1, 16, size, len(data))
    common = struct.pack("<HHHHHIIIHH", 45, 0, 8, 0, 0x5821, crc, 0xFFFFFFFF, 0xFFFFFFFF, len(name), len(extra))
    local = b"PK\3\4" + common + name + extra
    central = b"PK\1\2" + struct.pack("<H", 45) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name + extra
    at = len(local) + len(data)
    end64 = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, len(central), at)
    locator = b"PK\6\7" + struct.pack("<IQI", 0, at + len(central), 1)
    return local + data + central + end64 + locator + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), 0xFFFFFFFF, 0)


def small_zip(path, entries, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as z:
        for name, data in entries:
            z.writestr(name, data)
    return path


def delivery():
    return (HEAD + "<ficAlimMENESR>\n" + "".join(sound()) + "</ficAlimMENESR>\n").encode()


@case(("ent", "ent_eleve"), [2, 4])
def zip_of_10_gb_of_zeros(folder):
    (folder / f"{ENT}.zip").write_bytes(zeros_zip(10 * GIB, ELEVE))
    return folder / f"{ENT}.zip"


@case(("ent", "ent_eleve"), [2, 4])
def zip_of_zips_of_zeros(folder):
    inner = zeros_zip(GIB, ELEVE)
    middle = io.BytesIO()
    small_zip(middle, [(f"{i}.zip", inner) for i in range(10)])
    return small_zip(folder / f"{ENT}.zip", [(f"{i}.zip", middle.getvalue()) for i in range(10)])


@case(("ent", "ent_eleve"), [2, 4])
def zip_slip(folder):
    names = [f"../../../../../..{folder.parent}/slipped/{ELEVE}", f"{folder.parent}/slipped/{ELEVE}", f"..\\..\\slipped\\{ELEVE}"]
    return small_zip(folder / f"{ENT}.zip", [(n, delivery()) for n in names] + [(ELEVE, delivery())])


def lie(path, claimed):
    """Writes another uncompressed size in both headers of the only entry."""
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", data, data.index(mark) + at, claimed)
    path.write_bytes(data)
    return path


@case(("ent", "ent_eleve"), [2, 4])
def zip_that_says_less_than_it_holds(folder):
    body = delivery()[:-len("</ficAlimMENESR>\n")] + b" " * (400 << 20) + b"</ficAlimMENESR>\n"
    return lie(small_zip(folder / f"{ENT}.zip", [(ELEVE, body)]), 10)


@case(("ent", "ent_eleve"), [2, 4])
def zip_that_says_more_than_it_holds(folder):
    return lie(small_zip(folder / f"{ENT}.zip", [(ELEVE, delivery())]), 0xFFFFFFF0)


@case(("ent", "ent_eleve"), [2, 4])
def links_in_tar_gz(folder):
    with tarfile.open(folder / f"{ENT}.tar.gz", "w:gz") as t:
        for name, kind in ((ELEVE, tarfile.SYMTYPE), (ELEVE.replace("_0000", "_0001"), tarfile.LNKTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, str(secret(folder))
            t.addfile(entry)
    return folder / f"{ENT}.tar.gz"


# --- one run

TOKEN = "secret-" + "".join(random.Random(2026).choices("abcdefghijkmnpqrstuvwxyz", k=24))


def secret(folder):
    """A sound delivery that no input may reach: its pupil bears the token as a name."""
    path = folder.parent / "secret.xml"
    path.write_text(HEAD + "<ficAlimMENESR>\n" + request(0, sn=TOKEN) + "</ficAlimMENESR>\n", encoding="utf-8")
    return path


def faults(case, run, folder, outside):
    stdout, stderr = (folder / "stdout").read_bytes(), (folder / "stderr").read_bytes()
    found = []
    if run.late:
        return [f"more than {SECONDS} s"]
    if run.code < 0:
        found.append(f"ended by signal {-run.code}")
    elif run.code not in (0, 2, 4):
        found.append(f"exit code {run.code}")
    elif run.code not in case.codes:
        found.append(f"exit code {run.code}, expected {' or '.join(map(str, sorted(case.codes)))}")
    if re.search(rb"erreur interne du programme|RUST_BACKTRACE|stack overflow|memory allocation of", stderr):
        found.append("panic")
    if run.peak > PEAK_MIB:
        found.append(f"more than {PEAK_MIB} MiB")
    if run.wall > SECONDS:
        found.append(f"more than {SECONDS} s")
    written = [p for p in (folder / "out").rglob("*") if p.is_file()]
    if any(TOKEN.encode() in data for data in (stdout, stderr, *(p.read_bytes() for p in written if p.stat().st_size < 1 << 28))):
        found.append("a file of the machine is in the answer")
    if outside:
        found.append(f"left behind: {', '.join(outside[:3])}")
    if run.code == 2 and not stdout.strip():
        return found
    try:
        answer = json.loads(stdout)
    except ValueError:
        return found + ["no JSON document on the standard output"]
    if run.code not in (0, 4):
        return found
    try:
        files = [f["records"] for f in answer["files"]]
        if any(r["read"] != r["accepted"] + r["rejected"] for r in files):
            found.append("read ≠ accepted + rejected")
        if answer["findings_total"] != sum(c["count"] for c in answer["by_code"]):
            found.append("findings_total is not the sum of by_code")
        refusals = {c["code"] for c in answer["by_code"] if c["severity"] == "refusal"}
        codes = {c["code"] for c in answer["by_code"]}
        if (answer["verdict"] == "refused") != (run.code == 4):
            found.append(f"verdict {answer['verdict']} with exit code {run.code}")
        if run.code == 4 and not refusals:
            found.append("refused without a finding that says why")
        if run.code == 4 and case.one_of and not refusals & case.one_of:
            found.append(f"refused by {sorted(refusals)}, expected one of {sorted(case.one_of)}")
        if run.code == 0 and case.rejected and not codes & case.one_of:
            found.append(f"found {sorted(codes)}, expected one of {sorted(case.one_of)}")
        if run.code == 0 and case.rejected is not None and sum(r["rejected"] for r in files) != case.rejected:
            found.append(f"{sum(r['rejected'] for r in files)} records rejected, expected {case.rejected}")
    except (KeyError, TypeError) as e:
        found.append(f"unexpected form of the document: {e!r}")
    return found


def said(case, run, folder):
    """What the program answered, in short."""
    try:
        answer = json.loads((folder / "stdout").read_bytes())
        return " ".join(f"{c['code']}×{c['count']}" for c in answer["by_code"]) or answer["verdict"]
    except (ValueError, KeyError, TypeError):
        return (folder / "stderr").read_text(errors="replace").strip()[:90]


def main():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=target / "release" / "cartulaire")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/cartulaire-hostile"))
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--keep", action="store_true", help="keeps the inputs and the answers")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    cases = [c for c in CASES if not options.only or c.name in options.only.split(",") or c.make.__name__ in options.only.split(",")]
    if options.list:
        return print("\n".join(c.name for c in cases))
    if not cases:
        sys.exit("no such case; --list tells them")
    binary, work = options.binary.resolve(), options.work.resolve()
    if not binary.exists():
        sys.exit(f"{binary}: build it first (cargo build --locked --release), or give --binary")
    failed = 0
    print("| case | code | s | MiB | answer | |\n|---|---|---|---|---|---|", flush=True)
    for case in cases:
        home = work / case.name
        shutil.rmtree(home, ignore_errors=True)
        inputs, temporary = home / "input", home / "tmp"
        inputs.mkdir(parents=True)
        temporary.mkdir()
        path = case.make(inputs)
        before = {p for p in home.rglob("*")}
        # Links are not followed; what is already there is not what the program leaves.
        run = measured.run([binary, "validate", case.source, path, "--json", "--max-findings", "50", "--out", home / "run" / "out",
                            "--date", "2026-01-12"], home / "run", cwd=ROOT, limit=SECONDS,
                           env={**os.environ, "TMPDIR": str(temporary)})
        outside = [str(p.relative_to(home)) for p in home.rglob("*") if p not in before and home / "run" not in [p, *p.parents]]
        wrong = faults(case, run, home / "run", outside)
        failed += bool(wrong)
        print(f"| {case.name} | {run.code} | {run.wall:.1f} | {run.peak:.0f} | {said(case, run, home / 'run').replace('|', '/')} "
              f"| {'**' + '; '.join(wrong) + '**' if wrong else 'as expected'} |", flush=True)
        if not options.keep:
            shutil.rmtree(home)
    print(f"\n{len(cases)} cases, {failed} failed.")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
