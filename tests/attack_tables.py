#!/usr/bin/env python3
"""Attacks a published table: what can a reader compute of each masked cell?

usage: attack_tables.py PACKAGE_DIR THRESHOLD

Reads only data.csv and datapackage.json. One unknown per masked cell (at least 1: combinations that
are empty are not listed), one equality per published or masked total of each additive dimension;
exact least and greatest integer value of every masked cell (HiGHS, through scipy). Prints one JSON
document; exit code 1 when a cell is pinned or known to be under the threshold. Shares nothing with
the engine.
"""
import csv, itertools, json, pathlib, sys
import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp


def main():
    folder, threshold = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    package = json.loads((folder / "datapackage.json").read_text("utf-8"))
    fields = package["resources"][0]["schema"]["fields"]
    dims = [f["name"] for f in fields if f["cartulaire:role"] == "dimension"]
    measure = next(f["name"] for f in fields if f["cartulaire:role"] == "measure")
    with open(folder / "data.csv", encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f, delimiter=";"))
    cells = {tuple(r[d] for d in dims): r[measure] for r in rows}
    hidden = {k: i for i, k in enumerate(sorted(k for k, v in cells.items() if v == ""))}
    equations = []
    for d in range(len(dims)):
        for key in cells:
            if key[d] != "_T":
                continue
            parts = [k for k in cells if k[d] != "_T" and k[:d] + k[d + 1:] == key[:d] + key[d + 1:]]
            terms, constant = {}, 0
            for k, sign in itertools.chain(((p, 1) for p in parts), [(key, -1)]):
                if k in hidden:
                    terms[hidden[k]] = terms.get(hidden[k], 0) + sign
                else:
                    constant -= sign * int(cells[k])
            if terms:
                equations.append((terms, constant))
            elif constant != 0:
                sys.exit(f"published numbers do not add up at {key}")
    n = len(hidden)
    exposed = []
    if n:
        a = np.zeros((len(equations), n))
        b = np.zeros(len(equations))
        for i, (terms, constant) in enumerate(equations):
            for j, c in terms.items():
                a[i, j] = c
            b[i] = constant
        constraint, bounds = LinearConstraint(a, b, b), Bounds(1, 10**7)
        for key, j in hidden.items():
            c = np.zeros(n)
            c[j] = 1
            low = milp(c, constraints=constraint, bounds=bounds, integrality=np.ones(n))
            high = milp(-c, constraints=constraint, bounds=bounds, integrality=np.ones(n))
            assert low.success and high.success, (key, low.message, high.message)
            lower, upper = round(low.fun), round(-high.fun)
            if lower == upper or (lower >= 1 and upper < threshold):
                exposed.append({"cell": key, "lower": lower, "upper": upper})
    print(json.dumps({"cells": len(cells), "masked": n, "exposed": exposed}))
    sys.exit(1 if exposed else 0)


main()
