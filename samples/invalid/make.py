#!/usr/bin/env python3
"""Writes the binary inputs of this folder, byte for byte the same each time: python3 make.py"""

import gzip
import io
import os
import tarfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = b"uai;libelle\n0990001N;Bleuet\n"


def write(folder, name, content):
    path = os.path.join(HERE, folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def packed(content):
    return gzip.compress(content, 9, mtime=0)


def zipped(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 12, 0, 0, 0)), content)
    return out.getvalue()


def tarred(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content, link in members:
            info = tarfile.TarInfo(name)
            if link:
                info.type, info.linkname = tarfile.SYMTYPE, link
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


write("ARCHIVE_UNSAFE_zip_path_upwards", "lot.zip", zipped([("table.csv", TABLE), ("../../table.csv", TABLE)]))
write("ARCHIVE_UNSAFE_tar_link", "lot.tar", tarred([("table.csv", TABLE, ""), ("lien.csv", b"", "/etc/hostname")]))
write("ARCHIVE_LIMIT_gz_of_zeros", "table.csv.gz", packed(bytes(64 << 20)))
rows = b"0990001N;Bleuet\n" * 20_000
write("ARCHIVE_BROKEN_cut_gz", "table.csv.gz", packed(TABLE + rows)[:600])
whole = zipped([("table.csv", TABLE)])
write("ARCHIVE_BROKEN_zip_without_directory", "lot.zip", whole[: whole.index(b"PK\x01\x02")])
