#!/usr/bin/env python3
"""Attacks everything published: what can a reader compute of each masked cell?

usage: attack_releases.py PUBLICATIONS_DIR THRESHOLD WIDTH [--known FILE] [--seconds N]
       attack_releases.py --naive PERSONS_CSV dim1,dim2,... THRESHOLD [--seconds N]

Reads only PUBLICATIONS_DIR/<dataset>/<version>/{data.csv,datapackage.json}: each version alone, then as one
system all that tells of the same persons (same table and school year, or same population) in the same state
under the same filter, whatever the names of datasets and columns: a dimension is its source and prefix where
the descriptor says them, counts of persons are one measure, an amount is the column it adds up. A cell is
named by its finest codes, so that the same persons are one unknown in every table; every crossing is the sum
of every finer one. Finer are declared hierarchies, longer prefixes of a column, and --known FILE: [{"fine",
"coarse", "map": {code: code above}}], of dimensions "table.column", "table.column/prefix" or published names.
A code without one above may be anywhere: the sums it could be part of are only bounds.

A masked count is exposed when its integer interval is narrower than WIDTH or lies in 1..THRESHOLD-1, a printed
one when it lies there; a masked amount, when its interval is narrower than WIDTH or than the percent of its
lower bound that the policy of its version asks. Where nobody is counted, the amount is nil. Of the command
line and the policies of the versions joined, the strictest holds. A cell is safe when integer tables that agree
with all that is published, checked by additions, show that it is not exposed. What --seconds for one set of
linked cells (default 120) leaves open is undecided, as are changed figures, rows of persons, and knowledge that
the tables do not bear out. Of two states or filters, figures printed in both that differ by less than THRESHOLD
are counted. A mean or a share that does not follow from what its version prints is exposed. Exit code: 1
exposed, 2 undecided, inconsistent or unreadable, 0 safe. --naive masks only the cells under THRESHOLD of a
table of persons with all margins, and counts those recovered exactly. Shares nothing with the engine.
"""
import argparse, collections, csv, functools, hashlib, io, itertools, json, pathlib, sys, time, typing
import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

CAP, FREE = 10**7, 10**15  # Greatest figure of a masked cell, unless greater are printed; an open side of a sum.
PERSONS = ("persons",)
Rule = collections.namedtuple("Rule", "threshold width percent")
Dimension = collections.namedtuple("Dimension", "name source prefix")


class Table(typing.NamedTuple):
    """One measure of a version."""
    name: str
    measure: str
    cells: list  # ({dimension: code} without totals, figure or None where masked).
    floor: int = 0  # Least figure of a masked cell.
    kind: tuple | None = None  # What is one measure under any name; None where the version does not say.
    people: bool = True
    amount: bool = False
    additive: bool = True
    dims: dict = {}  # {dimension: as published}.
    coarser: dict = {}  # {dimension: declared coarser one}.
    who: frozenset = frozenset()  # Versions with one of these in common tell of the same persons.
    population: str | None = None
    state: tuple = (None, "")  # And the filter.
    rule: Rule = Rule(0, 0, 0)  # Of its policy.
    other: str = ""  # What it is, when it is no table of true figures.


class Inconsistent(Exception):
    """What is published contradicts itself: nothing is proven."""


def read(folder):
    package = json.loads((folder / "datapackage.json").read_text("utf-8"))
    said = lambda key: package.get("cartulaire:" + key)
    resource = next(r for r in package["resources"] if r["path"] == "data.csv")
    data = (folder / "data.csv").read_bytes()
    algorithm, _, digest = (resource.get("hash") or "").rpartition(":")
    if digest and hashlib.new(algorithm or "md5", data).hexdigest() != digest.lower():
        raise ValueError("data.csv is not the file that the descriptor describes")
    fields, dims = resource["schema"]["fields"], {}
    for field in (f for f in fields if f["cartulaire:role"] == "dimension"):
        own = Dimension(field["name"], field.get("cartulaire:source"), field.get("cartulaire:prefix"))
        dims[own.name] = own, (own.source or own.name) + (f"/{own.prefix}" if own.source and own.prefix else "")
    who = [("package", *folder.parts[-2:])] + [("population", said("population"))] * bool(said("population"))
    who += [("table", said("table"), said("school_year"))] * bool(said("table") and "cartulaire:school_year" in package)
    common = Table("/".join(folder.parts[-2:]), "", [], who=frozenset(who), population=said("population"),
                   state=(said("state"), choice(said("filter") or "")), dims={d: own for own, d in dims.values()},
                   rule=Rule(*((said("policy") or {}).get(k) or 0 for k in Rule._fields)),
                   coarser={dims[f["name"]][1]: dims[f["cartulaire:hierarchy"]][1]
                            for f in fields if f.get("cartulaire:hierarchy")})
    if said("method") or said("microdata"):
        yield common._replace(other=said("method") or "rows of persons")
        return
    rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=";")
    rows = [({d: r[n] for n, (_, d) in dims.items() if r[n] != "_T"}, r) for r in rows]
    for field in (f for f in fields if f["cartulaire:role"] == "measure"):
        m, number = field["name"], int if field["cartulaire:additive"] else float
        persons, amount, column = (field.get("cartulaire:" + k) for k in ("persons", "amount", "column"))
        if any((r[m] == "") != (r[m + "_statut"] in ("C", "M")) for _, r in rows):
            raise ValueError(f"a status of {m} does not go with its figure")
        kind = ("amount", column) if amount and column else PERSONS if persons and not amount else None
        yield common._replace(measure=m, cells=[(codes, number(r[m]) if r[m] else None) for codes, r in rows],
                              floor=int(field.get("cartulaire:zeros") == "published" and not amount), kind=kind,
                              people=persons is not False and not amount, amount=bool(amount),
                              additive=field["cartulaire:additive"])


def knowledge(path):
    known = json.loads(pathlib.Path(path).read_text("utf-8"))
    if any(not isinstance(c, str) for k in known for c in (k["fine"], k["coarse"], *k["map"].values())):
        raise ValueError("dimensions and codes are texts")
    return known


def together(tables):
    """Groups of tables of the same persons."""
    groups = []
    for t in tables:
        near = [g for g in groups if g[0] & t.who]
        groups = [g for g in groups if not g[0] & t.who]
        groups.append((t.who.union(*(who for who, _ in near)), [o for _, g in near for o in g] + [t]))
    return [list(alike(group)) for _, group in groups]


def alike(group):
    """The tables of a group, where names that a version does not explain mean what they mean in the others."""
    ids, kinds, own = collections.defaultdict(set), collections.defaultdict(set), {}
    for t in group:
        kinds[t.measure] |= {t.kind} - {None}
        for d, o in t.dims.items():
            own[d] = o
            ids[o.name] |= {d} if o.source else set()
    for t in group:
        to = {d: min(ids[o.name]) if not o.source and len(ids[o.name]) == 1 else d for d, o in t.dims.items()}
        told = kinds[t.measure] if len(kinds[t.measure]) == 1 and (t.people or t.amount) else {("measure", t.measure)}
        yield t._replace(kind=t.kind or min(told), coarser={to[f]: to[c] for f, c in t.coarser.items()},
                         dims={to[d]: own[to[d]]._replace(name=o.name) for d, o in t.dims.items()},
                         cells=[({to[d]: c for d, c in codes.items()}, v) for codes, v in t.cells])


def compose(up):
    """Adds to each pair what follows from two others, until nothing does."""
    more = True
    while more:
        more = False
        for (a, b), (c, d) in itertools.product(up, up):
            if b == c and (a, d) in up:
                new = {low: up[c, d][mid] for low, mid in up[a, b].items() if mid in up[c, d]} | up[a, d]
                up[a, d], more = new, more or len(new) > len(up[a, d])
    return up


def choice(text):
    """The choice of rows; that periods are over, or that a figure is there, mostly leaves nothing out: a reader supposes so."""
    return " & ".join(p for p in text.split(" & ") if "<" not in p and not p.endswith(" présent"))


def hierarchies(tables, known=()):
    """{(finer, coarser): {code: code above}}, less the pairs of which the tables show a code under two; those of
    them that were known otherwise."""
    dims = sorted({(d, own) for t in tables for d, own in t.dims.items()}, key=str)
    find = lambda name: {d for d, own in dims if name in (d, own.name)} or {name}
    given, codes = collections.defaultdict(dict), collections.defaultdict(set)
    for k in known:
        for pair in itertools.product(find(k["fine"]), find(k["coarse"])):
            given[pair] |= k["map"]
            codes[pair[0]] |= k["map"].keys()
            codes[pair[1]] |= set(k["map"].values())
    for d, c in (item for t in tables for cell, _ in t.cells for item in cell.items()):
        codes[d].add(c)
    for (f, fine), (c, coarse) in itertools.product(dims, dims):
        n, whole = coarse.prefix, fine.prefix or FREE
        if fine.source and fine.source == coarse.source and n and n < whole:  # An escaped code hides its own start.
            given[f, c] |= {code: code if code == "_Z" else code[:n] for code in codes[f] if code[:1] != "'"}
    pairs, unsure = {pair for t in tables for pair in t.coarser.items()} | given.keys(), set()
    while more := {(a, d) for (a, b), (c, d) in itertools.product(pairs, pairs) if b == c} - pairs:
        pairs |= more
    pairs = sorted((a, b) for a, b in pairs if (b, a) not in pairs)  # None is above itself.
    up = compose({p: dict(given.get(p, ())) for p in pairs})
    sure = {p: set(above) for p, above in up.items()}
    for cell, (f, c) in itertools.product((cell for t in tables for cell, _ in t.cells), pairs):
        if f in cell and c in cell and cell[f] not in sure[f, c] and up[f, c].setdefault(cell[f], cell[c]) != cell[c]:
            unsure.add((f, c))  # A week under two months names nothing by itself.
    up = {p: above for p, above in compose({p: up[p] for p in pairs if p not in unsure}).items() if above}
    return up, [" -> ".join(p) for p in sorted(given) if p not in pairs or p in unsure]


def finest(codes, up):
    """Name of a cell: codes that a finer one implies are left out. None where two codes exclude each other."""
    above = {(d, up[e, d][codes[e]]) for e, d in up if codes.get(e) in up[e, d]} | set(codes.items())
    if len({d for d, _ in above}) < len(above):
        return None
    return frozenset((d, c) for d, c in codes.items() if not any((e, d) in up for e in codes))


def level(key):
    return frozenset(d for d, _ in key)


def label(key):
    return ", ".join(f"{d}={c}" for d, c in sorted(key)) or "total"


class System:
    """Cells of some tables under common names, and the sums between them. `beside`: what is told of the same
    persons, amounts beside counts and counts beside amounts."""

    def __init__(self, tables, beside=(), known=()):
        self.up, self.ignored = hierarchies([*tables, *beside], known)
        self.cells, self.floor, self.sums = {}, {}, []
        own, beside = ([self.named(t) for t in some] for some in (tables, beside))
        for floor, (key, value) in ((t.floor, cell) for t, cells in zip(tables, own) for cell in cells):
            if value is None:
                self.floor[key] = max(floor, self.floor.get(key, 0))
            elif self.cells.get(key) not in (value, None):
                raise Inconsistent(f"two figures for {label(key)}: {self.cells[key]} and {value}")
            self.cells[key] = self.cells.get(key) if value is None else value
        for keys in ({k for k, _ in cells} for cells in own):  # What a published crossing leaves out is nil.
            levels = {level(k) for k in keys}
            self.nil(k for k in self.cells if k not in keys and level(k) in levels)
        for cells in beside:
            figures = {k: v for k, v in cells if v is None} | {k: v for k, v in cells if v is not None}
            levels = {level(k) for k in figures}
            if tables[0].amount:
                self.nil(k for k in self.cells if self.empty(k, figures, levels))
            else:  # An amount is somebody's.
                self.floor |= {k: 1 for k in self.floor if figures.get(k)}
        self.variables = {k: i for i, k in enumerate(k for k, v in self.cells.items() if v is None)}
        self.link({level(k) for k in self.cells})

    def named(self, table):
        cells = [(finest(codes, self.up), codes, v) for codes, v in table.cells]
        for codes in (codes for key, codes, v in cells if key is None and (v or v is None and table.floor)):
            raise Inconsistent(f"what is known leaves nobody in {label(codes.items())}")
        return [(key, v) for key, _, v in cells if key is not None]

    def nil(self, keys):
        for key in keys:
            if self.cells[key] or self.floor.get(key):
                raise Inconsistent(f"{label(key)} is nil in one table and not in another")
            self.cells[key] = 0

    def empty(self, key, figures, levels):
        """Whether a table of counts has nobody in a cell that contains this one, or leaves it out."""
        above = {l: self.project(key, l) for l in levels if l == level(key) or self.refines(level(key), l)}
        return any(len(a) == len(l) and figures.get(a, 0) == 0 for l, a in above.items())

    def refines(self, fine, coarse):
        return fine != coarse and all(d in fine or any((e, d) in self.up for e in fine) for d in coarse)

    def project(self, key, coarse):
        """The cell of a coarser crossing that contains this one; what is sure of it, when not all is."""
        above = {d: self.up[e, d][c] for d in coarse for e, c in key if c in self.up.get((e, d), ())}
        return frozenset((above | {d: c for d, c in key if d in coarse}).items())

    def link(self, real):
        """A sum for each cell and each finer crossing, but those that follow from others. The finest crossing that
        two crossings both detail links them, even when no table publishes it."""
        levels, new, every = set(real), set(real), set().union(*real, *self.up)
        while new and len(levels) < 200:
            meets = [{d for d in every if all(d in l or self.refines(l, {d}) for l in (a, b))}
                     for a, b in itertools.product(new, levels)]
            new = {frozenset(d for d in m if not any((e, d) in self.up for e in m)) for m in meets} - levels
            levels |= new
        order, by_level, part = sorted(levels, key=sorted), collections.defaultdict(list), set()
        for key in self.cells:
            by_level[level(key)].append(key)
        for l in (l for l in order if l not in real):
            below = [[self.project(k, l) for k in by_level[f]] for f in order if f in real and self.refines(f, l)]
            if all(any(len(key) < len(l) for key in keys) for keys in below):
                part.add(l)  # Some of its cells are not known to exist.
            by_level[l] = [key for key in dict.fromkeys(itertools.chain(*below)) if len(key) == len(l)]
            self.variables |= {k: len(self.variables) + i for i, k in enumerate(by_level[l])}
        codes = collections.defaultdict(set)
        for l, (d, c) in ((l, item) for l in order for key in by_level[l] for item in key):
            codes[l, d].add(c)
        whole = functools.cache(lambda f, l: f not in part and all(
            d in f or any(codes[f, e] <= self.up.get((e, d), {}).keys() for e in f) for d in l))
        for coarse in order:
            finer = [l for l in order if self.refines(l, coarse)]
            for fine in finer:
                if not any(self.refines(fine, l) and whole(l, coarse) and whole(fine, l) for l in finer):
                    self.detail(by_level[coarse], coarse, by_level[fine], fine not in part)

    def detail(self, parents, coarse, finer, complete):
        """The sums of one crossing over a finer one."""
        parts, doubt = {key: [] for key in parents}, {}
        for key in finer:
            above = self.project(key, coarse)
            (parts if len(above) == len(coarse) else doubt).setdefault(above, []).append(key)
        for parent, children in parts.items():
            maybe = [k for above, keys in doubt.items() if above <= parent for k in keys]
            self.add(parent, dict.fromkeys(children, 1) | {parent: -1}, complete and not maybe)
            if complete and maybe:
                self.add(parent, dict.fromkeys(children + maybe, -1) | {parent: 1}, False)

    def add(self, parent, signs, exact):
        terms = {self.variables[k]: s for k, s in signs.items() if k in self.variables}
        constant = sum(s * (self.cells.get(k) or 0) for k, s in signs.items())
        if not terms and (constant > 0 or constant and exact):
            raise Inconsistent(f"published numbers do not add up at {label(parent)}")
        self.sums += [(terms, -constant if exact else -FREE, -constant)] if terms else []


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


def narrow(rule, lower, upper):
    """Whether an interval leaves too little doubt."""
    return 100 * (upper - lower) < np.maximum(100 * rule.width, rule.percent * lower)


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

    def safe(self, rule):
        known = narrow(rule, self.seen_lo, self.seen_hi)
        return ~known & ((self.seen_hi >= rule.threshold) | (self.seen_lo < 1))

    def attack(self, wanted, rule):
        rng, before = np.random.default_rng(1), None
        for turn in range(40):  # Many cells move at once, before each is looked at alone.
            rest = wanted & ~self.safe(rule)
            if rest.sum() < 3 or turn > 4 and rest.sum() == before:
                break
            before = rest.sum()
            self.maximise(np.where(rest, rng.integers(-3, 4, len(rest)), 0).astype(float), gap=0.2)
        for j, sign in itertools.product(np.flatnonzero(wanted), (1, -1)):
            reached = self.seen_hi[j] == self.hi[j] if sign == 1 else self.seen_lo[j] == self.lo[j]
            if reached or self.safe(rule)[j]:
                continue
            ceiling = np.floor(self.maximise(np.where(np.arange(len(wanted)) == j, sign, 0.0)) + 1e-5)
            if sign == 1:
                self.hi[j] = min(self.hi[j], ceiling)
            else:
                self.lo[j] = max(self.lo[j], -ceiling)


def attack(system, rule, seconds):
    """[(cell, lower, upper)] of the exposed cells, and the cells left undecided."""
    names = list(system.variables)
    wanted = np.array([k in system.floor for k in names], bool)
    lo = np.array([system.floor.get(k, 0) for k in names], np.int64)
    cols, data = [c for s in system.sums for c in s[0]], [v for s in system.sums for v in s[0].values()]
    start = np.cumsum([0] + [len(s[0]) for s in system.sums])
    a = csr_array((np.array(data, np.int64), np.array(cols, np.int64), start), shape=(len(system.sums), len(names)))
    low, high = (np.array([s[i] for s in system.sums], np.int64) for i in (1, 2))
    cap = max([CAP] + [2 * v for v in system.cells.values() if v])
    lo, hi = propagate(a, low, high, lo, np.full(len(names), cap, np.int64))
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
        part.attack(wanted[mine], rule)
        exact = (part.seen_lo == part.lo) & (part.seen_hi == part.hi)
        columns = zip(mine, part.lo, part.hi, part.safe(rule), exact)
        seen += [(names[j], *column) for j, *column in columns if wanted[j]]
    exposed = [(k, int(lower), int(upper)) for k, lower, upper, safe, _ in seen
               if not safe and (narrow(rule, lower, upper) or lower >= 1 and upper < rule.threshold)]
    told = {k for k, _, _ in exposed}
    return exposed, [k for k, _, _, safe, exact in seen if not (safe or exact or k in told)]


def beside(tables, group):
    """The counts that go with amounts, and the amounts that go with counts."""
    first = tables[0]
    return [t for t in group if t.additive and not t.other and t.state == first.state
            and (first.amount and t.people or first.people and t.amount)]


def judge(tables, others, limits, exposed):
    """Counts of one system; adds its exposed cells to the list. `others`: what is told beside."""
    (rule, known, seconds), first = limits, tables[0]
    line = {"name": first.name, "measure": first.measure, "exposed": 0, "cells": sum(len(t.cells) for t in tables),
            "masked": sum(v is None for t in tables for _, v in t.cells)}
    if first.other:
        return line | {"undecided": 1, "inconsistent": f"not attacked: {first.other}"}
    line["name"] = " + ".join(dict.fromkeys(t.name for t in [*tables, *others]))
    rule = Rule(*map(max, rule, *(t.rule for t in [*tables, *others])))
    rule = rule._replace(threshold=0) if first.amount else rule._replace(percent=0)
    try:
        system = System(tables, others, known)
        found, undecided = attack(system, rule, seconds)
        line |= {"cells": len(system.cells), "masked": len(system.floor), "undecided": len(undecided + system.ignored)}
        line |= {"ignored": system.ignored} if system.ignored else {}
        printed = [cell for cell in system.cells.items() if cell[0] not in system.floor]
    except Inconsistent as e:
        line |= {"undecided": max(1, line["masked"]), "inconsistent": str(e)}
        found, printed = [], dict.fromkeys((frozenset(codes.items()), v) for t in tables for codes, v in t.cells)
    found += [(k, v, v) for k, v in printed if v and v < rule.threshold and first.people]
    exposed += [{"table": line["name"], "measure": line["measure"], "cell": label(key), "lower": lower, "upper": upper}
                for key, lower, upper in sorted(found, key=lambda f: label(f[0]))]
    return line | {"exposed": len(found)}


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
    up, pairs, threshold = hierarchies(group)[0], set(), max(threshold, *(t.rule.threshold for t in group))
    printed = [(" | ".join(filter(None, map(str, t.state))),
                {k: v for c, v in t.cells if v is not None and (k := finest(c, up)) is not None}) for t in group]
    for (s, a), (t, b) in itertools.combinations(printed, 2):
        pairs |= {(min(s, t), max(s, t), k) for k in a if s != t and 0 < abs(a[k] - b.get(k, a[k])) < threshold}
    return [{"population": group[0].population, "measure": group[0].measure, "states": states, "differences": n}
            for states, n in sorted(collections.Counter((s, t) for s, t, _ in pairs).items())]


def releases(source, threshold, width, known, seconds):
    tables, folder, rule = [], pathlib.Path(source), Rule(int(threshold), int(width), 0)
    try:
        for folder in sorted(p for p in folder.glob("*/*") if p.is_dir()):
            tables += read(folder)
        folder, known = known, knowledge(known) if known else []
    except (OSError, KeyError, TypeError, AttributeError, ValueError, StopIteration) as e:
        print(f"{folder}: {e!r}", file=sys.stderr)
        return 2
    if not tables:
        print(f"{source}: no publication", file=sys.stderr)
        return 2
    out, exposed, limits = {"tables": [], "joined": [], "differences": []}, [], (rule, known, seconds)
    groups = together(tables)
    for t, group in sorted(((t, group) for group in groups for t in group), key=lambda pair: pair[0].name):
        own = [o for o in group if o.name == t.name]
        out["tables"].append(judge([t], beside([t], own), limits, exposed) if t.additive else computed(t, own, exposed))
    for group in ([t for t in group if t.additive and not t.other] for group in groups):
        for kind, state in dict.fromkeys((t.kind, t.state) for t in group):
            some = [t for t in group if (t.kind, t.state) == (kind, state)]
            others = beside(some, group)
            if len(some) > 1 or {t.name for t in others} - {some[0].name}:
                populations = " + ".join(sorted({t.population for t in some if t.population}))
                out["joined"].append(judge(some, others, limits, exposed)
                                     | {"population": populations, "state": state[0], "filter": state[1]})
        for kind in dict.fromkeys(t.kind for t in group):
            out["differences"] += differences([t for t in group if t.kind == kind], rule.threshold)
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
    system = System([Table(source, "persons", published, floor=1)])
    found, undecided = attack(system, Rule(0, 1, 0), seconds)
    assert all(lower == cells[key] for key, lower, _ in found)
    print(json.dumps({"cells": len(cells), "masked": len(system.floor), "recovered": len(found),
                      "masked_inner": sum(len(k) == len(dims) for k in system.floor),
                      "recovered_inner": sum(len(k) == len(dims) for k, _, _ in found), "undecided": len(undecided)}))
    return 1 if found else 2 if undecided else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--naive", action="store_true")
    parser.add_argument("--known")
    parser.add_argument("arguments", nargs=3)
    options = parser.parse_args()
    sys.exit(naive(*options.arguments, options.seconds) if options.naive
             else releases(*options.arguments, options.known, options.seconds))
