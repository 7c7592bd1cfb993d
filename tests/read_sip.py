"""An independent reader of packages: rebuilds every table of a SIP and compares it with the store.

read_sip.py STORE ZIP...   prints one JSON line a package; exits with 1 at the first difference.
"""

import csv
import hashlib
import io
import json
import sys
import zipfile
from collections import Counter
from pathlib import Path

import duckdb
from lxml import etree


def local(element):
    return etree.QName(element).localname


def children(element, name):
    return [e for e in element if local(e) == name]


def text(element, *path):
    for name in path:
        element = children(element, name)[0]
    return element.text


def objects(root, archive):
    """Checked bytes of each object, by the group that holds it."""
    found = {}
    package = children(root, "DataObjectPackage")[0]
    for group in children(package, "DataObjectGroup"):
        for item in children(group, "BinaryDataObject"):
            data = archive.read(text(item, "Uri"))
            digest = children(item, "MessageDigest")[0]
            assert digest.get("algorithm") == "SHA-512"
            assert hashlib.sha512(data).hexdigest() == digest.text, text(item, "Uri")
            assert len(data) == int(text(item, "Size")), text(item, "Uri")
            found[group.get("id")] = (text(item, "FileInfo", "Filename"), data)
    return found


def shown(unit):
    """Groups that the units show, titles on the way."""
    title = text(unit, "Content", "Title")
    for reference in children(unit, "DataObjectReference"):
        yield text(reference, "DataObjectGroupReferenceId"), title
    for child in children(unit, "ArchiveUnit"):
        yield from shown(child)


def as_text(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "|".join(as_text(v) for v in value if v is not None)
    if isinstance(value, dict):
        # A composite: a part that is not there ends it.
        parts = list(value.values())
        return "$".join(parts[: parts.index(None)] if None in parts else parts)
    return str(value)


def stored(store, origins, header):
    rows = Counter()
    for origin in origins:
        path = str(Path(store) / origin["path"])
        names = [c[0] for c in duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet('{path}', hive_partitioning=false)").fetchall()]
        # The school year is in the path, not in the file.
        absent = [c for c in header if c not in names]
        assert absent in ([], ["annee_scolaire"]), absent
        columns = ", ".join(f'"{c}"' if c in names else f"'{origin['annee_scolaire']}'" for c in header)
        query = f"SELECT {columns} FROM read_parquet('{path}', hive_partitioning=false)"
        rows.update(tuple(map(as_text, row)) for row in duckdb.sql(query).fetchall())
    return rows


def read(path):
    """Tables of a package: name, header, rows, and where the rows come from."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        root = etree.fromstring(archive.read("manifest.xml"))
        files = objects(root, archive)
        assert len(files) + 1 == len(archive.namelist())
    units = children(children(root, "DataObjectPackage")[0], "DescriptiveMetadata")[0]
    seen = Counter(group for unit in units for group, _ in shown(unit))
    assert seen == Counter(files.keys()), "every file is shown by one unit"
    by_name = dict(files.values())
    origins = json.loads(by_name["provenance.json"])["records"]
    for name, data in by_name.items():
        if not name.endswith("-donnees.csv"):
            continue
        table = name.removesuffix("-donnees.csv")
        schema = json.loads(by_name[f"{table}-schema.json"])
        rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
        assert rows[0] == [f["name"] for f in schema["fields"]]
        assert by_name[f"{table}-dictionnaire.txt"] and by_name[f"{table}-qualite.json"]
        yield table, rows[0], Counter(map(tuple, rows[1:])), [o for o in origins if o["table"] == table]


def main(store, *paths):
    """Packages of one set are added up: a table may be cut between producers."""
    tables = {}
    for path in paths:
        for table, header, rows, origins in read(path):
            key = (table, tuple(sorted(o["path"] for o in origins)))
            known = tables.setdefault(key, (header, Counter(), origins))
            known[1].update(rows)
    for (table, _), (header, rows, origins) in tables.items():
        assert rows == stored(store, origins, header), f"{table} differs from the store"
        print(json.dumps({"table": table, "rows": sum(rows.values())}))


main(*sys.argv[1:])
