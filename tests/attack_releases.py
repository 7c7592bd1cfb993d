#!/usr/bin/env python3
"""Attacks everything published: what can a reader compute of each masked cell?

usage: attack_releases.py PUBLICATIONS_DIR THRESHOLD WIDTH [--seconds N]
       attack_releases.py --naive PERSONS_CSV dim1,dim2,... THRESHOLD [--seconds N]

Reads only PUBLICATIONS_DIR/<dataset>/<version>/{data.csv,datapackage.json}: each version alone, then all
versions of one population and state as one system. A cell is named by its finest codes, so that the same
persons are one unknown in every table; every crossing is the sum of every nearest finer one. A masked cell
is exposed when its integer interval is narrower than WIDTH, or lies in 1..THRESHOLD-1. It is safe when
integer tables that agree with all that is published, checked by additions, show that it is not. What
--seconds for one set of linked cells (default 120) leaves open is undecided. Of two states of a population,
figures printed in both that differ by less than THRESHOLD are counted. A mean or a share that does not follow
from what its version prints is exposed. Exit code: 1 exposed, 2 undecided,
inconsistent or unreadable, 0 safe. --naive masks only the cells under THRESHOLD of a table of persons with
all margins, and counts those recovered exactly. Shares nothing with the engine.
"""
import argparse, collections, csv, itertools, json, pathlib, sys, time
import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

CAP, FREE = 10**7, 10**12  # Greatest figure of a masked cell; the side of a sum that is left open.
# One measure of a version. cells: ({dimension: code} without totals, figure or None where masked).
Table = collections.namedtuple("Table", "name population state measure floor coarser cells additive")


class Inconsistent(Exception):
    """What is published contradicts itself: nothing is proven."""


def read(folder):
    package = json.loads((folder / "datapackage.json").read_text("utf-8"))
    fields = next(r for r in package["resources"] if r["path"] == "data.csv")["schema"]["fields"]
    dims = [f["name"] for f in fields if f["cartulaire:role"] == "dimension"]
    coarser = {f["name"]: f["cartulaire:hierarchy"] for f in fields if f.get("cartulaire:hierarchy")}
    with open(folder / "data.csv", encoding="utf-8-sig", newline="") as f:
        rows = [({d: r[d] for d in dims if r[d] != "_T"}, r) for r in csv.DictReader(f, delimiter=";")]
    for field in (f for f in fields if f["cartulaire:role"] == "measure"):
        m, number = field["name"], int if field["cartulaire:additive"] else float
        if any((r[m] == "") != (r[m + "_statut"] in ("C", "M")) for _, r in rows):
            raise ValueError(f"a status of {m} does not go with its figure")
        yield Table("/".join(folder.parts[-2:]), package.get("cartulaire:population"), package.get("cartulaire:state"),
                    m, int(field.get("cartulaire:zeros") == "published"), coarser,
                    [(codes, number(r[m]) if r[m] else None) for codes, r in rows], field["cartulaire:additive"])


def hierarchies(tables):
    """{(finer, coarser): {code: code above}}, for the declared pairs in which each code has one above."""
    pairs, unsure = {pair for t in tables for pair in t.coarser.items()}, set()
    while more := {(a, d) for (a, b), (c, d) in itertools.product(pairs, pairs) if b == c} - pairs:
        pairs |= more
    up = {p: {} for p in pairs}
    for codes, (f, c) in itertools.product((codes for t in tables for codes, _ in t.cells), pairs):
        if f in codes and c in codes and up[f, c].setdefault(codes[f], codes[c]) != codes[c]:
            unsure.add((f, c))  # A week under two months names nothing by itself.
    for (a, b), (c, d) in itertools.product(pairs, pairs):
        if b == c and not unsure & {(a, b), (c, d), (a, d)}:
            up[a, d] = {low: up[c, d][mid] for low, mid in up[a, b].items() if mid in up[c, d]} | up[a, d]
    return {p: codes for p, codes in up.items() if p not in unsure}


def finest(codes, up):
    """Name of a cell: codes that a finer one implies are left out."""
    return frozenset((d, c) for d, c in codes.items() if not any((e, d) in up for e in codes))


def level(key):
    return frozenset(d for d, _ in key)


def label(key):
    return ", ".join(f"{d}={c}" for d, c in sorted(key)) or "total"


class System:
    """Cells of some tables under common names, and the sums between them."""

    def __init__(self, tables):
        self.up, self.cells, self.floor, self.sums = hierarchies(tables), {}, {}, []
        own = [[(finest(codes, self.up), value) for codes, value in t.cells] for t in tables]
        for floor, (key, value) in ((t.floor, cell) for t, cells in zip(tables, own) for cell in cells):
            if value is None:
                self.floor[key] = max(floor, self.floor.get(key, 0))
            elif self.cells.get(key) not in (value, None):
                raise Inconsistent(f"two figures for {label(key)}: {self.cells[key]} and {value}")
            self.cells[key] = self.cells.get(key) if value is None else value
        for keys in ({k for k, _ in cells} for cells in own):  # What a published crossing leaves out is nil.
            levels = {level(k) for k in keys}
            for key in (k for k in self.cells if k not in keys and level(k) in levels):
                if self.cells[key] or self.floor.get(key):
                    raise Inconsistent(f"{label(key)} is nil in one table and not in another")
                self.cells[key] = 0
        self.variables = {k: i for i, k in enumerate(k for k, v in self.cells.items() if v is None)}
        self.link({level(k) for k in self.cells})

    def refines(self, fine, coarse):
        return fine != coarse and all(d in fine or any((e, d) in self.up for e in fine) for d in coarse)

    def project(self, key, coarse):
        """The cell of a coarser crossing that contains this one; None when no table says which."""
        above = {d: self.up[e, d][c] for d in coarse for e, c in key if c in self.up.get((e, d), ())}
        above |= {d: c for d, c in key if d in coarse}
        return frozenset(above.items()) if len(above) == len(coarse) else None

    def link(self, real):
        """A sum for each cell and each nearest finer crossing. The finest crossing that two crossings both
        detail links them, even when no table publishes it."""
        levels = new = set(real)
        while new and len(levels) < 200:
            meets = [{d for d in a | b if all(d in l or self.refines(l, {d}) for l in (a, b))}
                     for a, b in itertools.product(new, levels)]
            new = {frozenset(d for d in m if not any((e, d) in self.up for e in m)) for m in meets} - levels
            levels = levels | new
        by_level = collections.defaultdict(list)
        for key in self.cells:
            by_level[level(key)].append(key)
        for l in sorted(levels - real, key=sorted):
            below = dict.fromkeys(self.project(k, l) for f in real if self.refines(f, l) for k in by_level[f])
            by_level[l] = [key for key in below if key is not None]
            self.variables |= {k: len(self.variables) + i for i, k in enumerate(by_level[l])}
        for coarse in sorted(levels, key=sorted):
            finer = [l for l in sorted(levels, key=sorted) if self.refines(l, coarse)]
            for fine in (f for f in finer if not any(self.refines(f, l) for l in finer)):
                parts = {key: [] for key in by_level[coarse]}
                for key in by_level[fine]:
                    parts.setdefault(self.project(key, coarse), []).append(key)
                partial = parts.pop(None, None) is not None  # Somewhere below, no table says where.
                for parent, children in parts.items():
                    self.add(parent, children, partial)

    def add(self, parent, children, partial):
        signs = {**dict.fromkeys(children, 1), parent: -1}
        terms = {self.variables[k]: s for k, s in signs.items() if k in self.variables}
        constant = sum(s * (self.cells.get(k) or 0) for k, s in signs.items())
        if not terms and (constant > 0 or constant and not partial):
            raise Inconsistent(f"published numbers do not add up at {label(parent)}")
        self.sums += [(terms, -FREE if partial else -constant, -constant)] if terms else []


def propagate(a, low, high, lo, hi):
    """Tightens the bounds row by row until nothing moves."""
    rows, cols, plus = np.repeat(np.arange(a.shape[0]), np.diff(a.indptr)), a.indices, a.data > 0
    for _ in range(1000):
        least, most = np.where(plus, lo[cols], -hi[cols]), np.where(plus, hi[cols], -lo[cols])
        floor, ceiling, new_lo, new_hi = np.zeros_like(low), np.zeros_like(low), lo.copy(), hi.copy()
        np.add.at(floor, rows, least)
        np.add.at(ceiling, rows, most)
        top, bottom = (high - floor)[rows] + least, (low - ceiling)[rows] + most
        np.minimum.at(new_hi, cols, np.where(plus, top, -bottom))
        np.maximum.at(new_lo, cols, np.where(plus, bottom, -top))
        if (new_lo > new_hi).any():
            raise Inconsistent("no table has the published numbers")
        if (new_lo == lo).all() and (new_hi == hi).all():
            break
        lo, hi = new_lo, new_hi
    return lo, hi


class Component:
    """Linked unknowns: lo and hi are certain bounds, seen_lo and seen_hi were reached by integer tables."""

    def __init__(self, a, low, high, lo, hi, seconds):
        self.a, self.low, self.high, self.lo, self.hi = a, low, high, lo, hi
        self.sums = LinearConstraint(a, np.where(low < -FREE // 2, -np.inf, low), high) if a.shape[0] else ()
        self.seen_lo, self.seen_hi = np.full(len(lo), FREE), np.full(len(lo), -FREE)
        self.end = time.monotonic() + seconds

    def maximise(self, goal, gap=0):
        """Proven ceiling of the goal, FREE when time is over. Integer tables met are remembered."""
        ceiling = FREE
        for whole in (0, 1):  # The relaxation first: mostly its solution is whole, and all is said.
            left = self.end - time.monotonic()
            if left <= 0:
                break
            r = milp(-goal, integrality=np.full(len(goal), whole), bounds=Bounds(self.lo, self.hi), constraints=self.sums,
                     options={"time_limit": min(left, 10) if gap else left, "mip_rel_gap": gap})
            if r.status == 2:
                raise Inconsistent("no table has the published numbers")
            # A bound holds even where time cut the search; a relaxation cut short proves nothing.
            bound = r.mip_dual_bound if whole else r.fun if r.status == 0 else None
            ceiling = min(ceiling, -bound) if bound is not None and np.isfinite(bound) else ceiling
            if r.x is not None and self.remember(r.x) and r.status == 0:
                break
        return ceiling

    def remember(self, x):
        table = np.rint(x).astype(np.int64)
        sums = self.a @ table
        if ((sums < self.low) | (sums > self.high)).any() or ((table < self.lo) | (table > self.hi)).any():
            return False
        self.seen_lo, self.seen_hi = np.minimum(self.seen_lo, table), np.maximum(self.seen_hi, table)
        return np.abs(x - table).max() < 1e-4

    def safe(self, width, threshold):
        return (self.seen_hi - self.seen_lo >= width) & ((self.seen_hi >= threshold) | (self.seen_lo < 1))

    def attack(self, wanted, width, threshold):
        rng, before = np.random.default_rng(1), None
        for turn in range(40):  # Many cells move at once, before each is looked at alone.
            rest = wanted & ~self.safe(width, threshold)
            if rest.sum() < 3 or turn > 4 and rest.sum() == before:
                break
            before = rest.sum()
            self.maximise(np.where(rest, rng.integers(-3, 4, len(rest)), 0).astype(float), gap=0.2)
        for j, sign in itertools.product(np.flatnonzero(wanted), (1, -1)):
            reached = self.seen_hi[j] == self.hi[j] if sign == 1 else self.seen_lo[j] == self.lo[j]
            if reached or self.safe(width, threshold)[j]:
                continue
            ceiling = np.floor(self.maximise(np.where(np.arange(len(wanted)) == j, sign, 0.0)) + 1e-5)
            if sign == 1:
                self.hi[j] = min(self.hi[j], ceiling)
            else:
                self.lo[j] = max(self.lo[j], -ceiling)


def attack(system, width, threshold, seconds):
    """[(cell, lower, upper)] of the exposed cells, and the cells left undecided."""
    names = list(system.variables)
    wanted = np.array([k in system.floor for k in names], bool)
    lo = np.array([system.floor.get(k, 0) for k in names], np.int64)
    cols, data = [c for s in system.sums for c in s[0]], [v for s in system.sums for v in s[0].values()]
    start = np.cumsum([0] + [len(s[0]) for s in system.sums])
    a = csr_array((np.array(data, np.int64), np.array(cols, np.int64), start), shape=(len(system.sums), len(names)))
    low, high = (np.array([s[i] for s in system.sums], np.int64) for i in (1, 2))
    lo, hi = propagate(a, low, high, lo, np.full(len(names), CAP, np.int64))
    free, known = np.flatnonzero(lo < hi), a @ np.where(lo < hi, 0, lo)
    rest = a[:, free].tocoo()
    groups = connected_components(abs(rest.T) @ abs(rest), directed=False)[1] if len(free) else np.array([], int)
    owner = np.full(a.shape[0], -1)
    owner[rest.row] = groups[rest.col]
    seen = [(names[j], lo[j], hi[j], False, True) for j in np.flatnonzero((lo == hi) & wanted)]
    seen += [(k, v, v, False, True) for k, v in system.cells.items() if k in system.floor and v is not None]
    for group in np.unique(groups):
        mine, rows = free[groups == group], np.flatnonzero(owner == group)
        part = Component(a[rows][:, mine], low[rows] - known[rows], high[rows] - known[rows], lo[mine], hi[mine], seconds)
        part.attack(wanted[mine], width, threshold)
        exact = (part.seen_lo == part.lo) & (part.seen_hi == part.hi)
        columns = zip(mine, part.lo, part.hi, part.safe(width, threshold), exact)
        seen += [(names[j], *column) for j, *column in columns if wanted[j]]
    exposed = [(k, int(lower), int(upper)) for k, lower, upper, safe, _ in seen
               if not safe and (upper - lower < width or lower >= 1 and upper < threshold)]
    told = {k for k, _, _ in exposed}
    return exposed, [k for k, _, _, safe, exact in seen if not (safe or exact or k in told)]


def judge(tables, limits, exposed):
    """Counts of one system; adds its exposed cells to the list."""
    line = {"name": " + ".join(t.name for t in tables), "measure": tables[0].measure, "exposed": 0,
            "cells": sum(len(t.cells) for t in tables), "masked": sum(v is None for t in tables for _, v in t.cells)}
    try:
        system = System(tables)
        found, undecided = attack(system, *limits)
    except Inconsistent as e:
        return line | {"undecided": max(1, line["masked"]), "inconsistent": str(e)}
    exposed += [{"table": line["name"], "cell": label(key), "lower": lower, "upper": upper}
                for key, lower, upper in sorted(found, key=lambda f: label(f[0]))]
    line |= {"cells": len(system.cells), "masked": len(system.floor)}
    return line | {"exposed": len(found), "undecided": len(undecided)}


def computed(table, tables, exposed):
    """A mean or a share must follow from what the same version prints: a / b of a row, or a / a of a wider one."""
    own = [{frozenset(codes.items()): v for codes, v in t.cells} for t in tables if t.name == table.name and t.additive]
    found = []
    for codes, v in ((c, v) for c, v in table.cells if v is not None):
        key = frozenset(codes.items())
        wider = [frozenset(k) for n in range(len(key) + 1) for k in itertools.combinations(sorted(key), n)]
        pairs = [(100 * a[key], a.get(w)) for a in own for w in wider if a[key] is not None]
        pairs += [(a[key], b[key]) for a, b in itertools.permutations(own, 2) if a[key] is not None]
        if not any(b and abs(a / b - v) <= 0.005 + 1e-9 for a, b in pairs):
            found.append({"table": table.name, "cell": f"{table.measure}: {label(key)}", "lower": v, "upper": v})
    exposed += found
    return {"name": table.name, "measure": table.measure, "exposed": len(found), "cells": len(table.cells),
            "masked": sum(v is None for _, v in table.cells), "undecided": 0}


def differences(group, threshold):
    """Figures printed of two states that differ by a few people."""
    up, pairs = hierarchies(group), set()
    printed = [(str(t.state), {finest(c, up): v for c, v in t.cells if v is not None}) for t in group]
    for (s, a), (t, b) in itertools.combinations(printed, 2):
        pairs |= {(min(s, t), max(s, t), k) for k in a if s != t and 0 < abs(a[k] - b.get(k, a[k])) < threshold}
    return [{"population": group[0].population, "measure": group[0].measure, "states": states, "differences": n}
            for states, n in sorted(collections.Counter((s, t) for s, t, _ in pairs).items())]


def releases(source, threshold, width, seconds):
    tables, folder = [], pathlib.Path(source)
    try:
        for folder in sorted(p for p in folder.glob("*/*") if p.is_dir()):
            tables += read(folder)
    except (OSError, KeyError, ValueError, StopIteration) as e:
        print(f"{folder}: {e!r}", file=sys.stderr)
        return 2
    if not tables:
        print(f"{source}: no publication", file=sys.stderr)
        return 2
    states, populations, exposed = collections.defaultdict(list), collections.defaultdict(list), []
    for t in (t for t in tables if t.additive and t.population is not None):
        states[t.population, t.state, t.measure].append(t)
        populations[t.population, t.measure].append(t)
    limits = int(width), int(threshold), seconds
    out = {"tables": [judge([t], limits, exposed) if t.additive else computed(t, tables, exposed) for t in tables],
           "joined": [judge(group, limits, exposed) | {"population": key[0], "state": key[1]}
                      for key, group in states.items() if len(group) > 1],
           "differences": [d for group in populations.values() for d in differences(group, int(threshold))]}
    print(json.dumps(out | {"exposed": exposed[:50]}, ensure_ascii=False, indent=1))
    return 1 if exposed else 2 if any(line["undecided"] for line in out["tables"] + out["joined"]) else 0


def naive(source, dimensions, threshold, seconds):
    dims, cells = dimensions.split(","), collections.Counter()
    with open(source, encoding="utf-8-sig", newline="") as f:
        delimiter = ";" if ";" in f.readline() else ","
        f.seek(0)
        inner = collections.Counter(tuple(r[d] for d in dims) for r in csv.DictReader(f, delimiter=delimiter))
    for (codes, n), keep in itertools.product(inner.items(), itertools.product((True, False), repeat=len(dims))):
        cells[frozenset((d, c) for d, c, k in zip(dims, codes, keep) if k)] += n
    published = [(dict(key), n if n >= int(threshold) else None) for key, n in cells.items()]
    system = System([Table(source, None, None, "persons", 1, {}, published, True)])
    found, undecided = attack(system, 1, 0, seconds)
    assert all(lower == cells[key] for key, lower, _ in found)
    print(json.dumps({"cells": len(cells), "masked": len(system.floor), "recovered": len(found),
                      "masked_inner": sum(len(k) == len(dims) for k in system.floor),
                      "recovered_inner": sum(len(k) == len(dims) for k, _, _ in found), "undecided": len(undecided)}))
    return 1 if found else 2 if undecided else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--naive", action="store_true")
    parser.add_argument("arguments", nargs=3)
    options = parser.parse_args()
    sys.exit((naive if options.naive else releases)(*options.arguments, options.seconds))
