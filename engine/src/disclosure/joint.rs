//! All releases of a population as one system, attacked together.
//!
//! Cells of one state of the population are shared by name. Two states are linked by differences: one
//! unknown per cell that both show, adding up like the cells. Where everything printed moved one way,
//! a reader supposes that all did (nobody came, or nobody left): differences are then at least nil, and
//! at most what the totals printed leave. Where figures moved both ways, or where one way cannot be,
//! a difference is at least what would empty the earlier cell.
//!
//! Crossings of one state are joined by the cells that they share, and by levels that imply others (a MEF
//! says the level): a crossing of the coarse one adds up from a crossing of the fine one. Three that close
//! a circle (A × B, B × C, A × C) say a little more, which is not looked for.

use super::audit::{Interval, Limits, attack};
use super::policy::Uniform;
use super::release::{Finding, Implied, Key, Reason, Release, label, levels, plain_findings};
use super::slots::Slots;
use super::suppress::Suppression;
use super::system::{CellId, Known, Published, Relation};
use super::table::Tables;
use crate::error::{Error, Result};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Cells named in a message.
const NAMED: usize = 5;

/// Releases joined; the last is the candidate.
#[derive(Debug, Clone)]
pub struct Joint {
    /// The system.
    pub published: Published,
    /// What each of its cells is.
    pub cells: Vec<Meaning>,
}

/// A cell of the joined system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// Its name.
    pub key: Key,
    /// State of the population, or the earlier of two.
    pub state: String,
    /// Change from that state to the candidate's.
    pub difference: bool,
}

/// A margin, what adds up to it, and what a part of may.
type Sum<'a> = (&'a Key, BTreeSet<&'a Key>, BTreeSet<&'a Key>);

/// One state of the population: everything published of it.
#[derive(Default)]
struct State<'a> {
    cells: BTreeMap<&'a Key, Known>,
    crossings: BTreeSet<Vec<&'a str>>,
    /// By margin and levels of what adds up to it.
    sums: BTreeMap<(&'a Key, Vec<&'a str>), BTreeSet<&'a Key>>,
    /// Sums by levels that imply others, one crossing by another.
    implied: Vec<Vec<Sum<'a>>>,
    numbers: HashMap<&'a Key, CellId, FixedState>,
}

impl<'a> State<'a> {
    fn add(&mut self, release: &'a Release) {
        let crossings = release.crossings();
        let own = release.index();
        for (key, known) in release.keys.iter().zip(&release.published.cells) {
            self.cells.entry(key).and_modify(|k| *k = closer(*k, *known)).or_insert(*known);
        }
        // What one release lists and another, of the same crossing, leaves out is nil.
        for (key, known) in &mut self.cells {
            let here = levels(key);
            if self.crossings.contains(&here) && !own.contains_key(key) && crossings.contains(&here) {
                *known = closer(*known, Known::Value(0));
            }
        }
        self.crossings.extend(crossings);
        for relation in &release.published.relations {
            let name = |c: CellId| release.keys.get(c as usize);
            let Some(parent) = name(relation.parent) else { continue };
            let children: BTreeSet<&Key> = relation.children.iter().filter_map(|c| name(*c)).collect();
            let Some(first) = children.first() else { continue };
            self.sums.entry((parent, levels(first))).or_default().extend(children);
        }
    }

    /// Adds up each crossing of a coarse level from the smallest crossings of the fine one that detail it.
    fn imply(&mut self, implied: &[Implied]) {
        let mut by: BTreeMap<Vec<&str>, Vec<&'a Key>> = BTreeMap::new();
        for (key, known) in &self.cells {
            if !matches!(known, Known::Absent { .. }) {
                by.entry(levels(key)).or_default().push(key);
            }
        }
        for i in implied {
            let (fine, coarse) = (i.fine.as_str(), i.coarse.as_str());
            for (above, parents) in by.iter().filter(|(l, _)| l.contains(&coarse) && !l.contains(&fine)) {
                let details = |below: &Vec<&str>| {
                    below.contains(&fine)
                        && !below.contains(&coarse)
                        && above.iter().all(|l| *l == coarse || below.contains(l))
                };
                let Some(least) = by.keys().filter(|l| details(l)).map(Vec::len).min() else { continue };
                for (below, cells) in by.iter().filter(|(l, _)| details(l) && l.len() == least) {
                    self.implied.push(summed(i, above, parents, cells, by.get(&named(below, coarse))));
                }
            }
        }
    }

    /// What is known of a cell, nil when it is not listed where others of its crossing are.
    fn known(&self, key: &Key) -> Option<Known> {
        match self.cells.get(key) {
            Some(Known::Absent { .. }) => None,
            Some(k) => Some(*k),
            None => self.crossings.contains(&levels(key)).then_some(Known::Value(0)),
        }
    }
}

/// Levels of a crossing with one more.
fn named<'k>(levels: &[&'k str], more: &'k str) -> Vec<&'k str> {
    let mut all: Vec<&str> = levels.iter().copied().chain([more]).collect();
    all.sort_unstable();
    all
}

/// The cells `parents` of a crossing of the coarse level, by the cells of one that details it. A code that comes
/// under several is named with the one it is under: those are in `more`.
fn summed<'a>(
    i: &Implied,
    above: &[&str],
    parents: &[&'a Key],
    cells: &[&'a Key],
    more: Option<&Vec<&'a Key>>,
) -> Vec<Sum<'a>> {
    let mut sums: HashMap<Key, (BTreeSet<&'a Key>, BTreeSet<&'a Key>), FixedState> =
        parents.iter().map(|p| ((*p).clone(), Default::default())).collect();
    // Cells by what the parents have besides the coarse level, for codes that nobody knows.
    let mut by_rest: HashMap<Key, Vec<Key>, FixedState> = HashMap::default();
    for parent in parents {
        let rest = parent.iter().filter(|(l, _)| *l != i.coarse).cloned().collect();
        by_rest.entry(rest).or_default().push((*parent).clone());
    }
    let mut codes: BTreeSet<&str> = BTreeSet::new();
    for key in cells {
        let mut rest: Key = key.iter().filter(|(l, _)| above.contains(&l.as_str())).cloned().collect();
        rest.retain(|(l, _)| *l != i.coarse);
        let Some((_, code)) = key.iter().find(|(l, _)| *l == i.fine) else { continue };
        codes.insert(code);
        let under = |coarse: &String| {
            let mut own = rest.clone();
            own.push((i.coarse.clone(), coarse.clone()));
            own.sort_unstable();
            own
        };
        let may: Vec<Key> = match i.map.get(code) {
            Some(all) => all.iter().map(under).collect(),
            None => by_rest.get(&rest).cloned().unwrap_or_default(),
        };
        for own in &may {
            if let Some((sure, open)) = sums.get_mut(own) {
                if may.len() == 1 {
                    sure.insert(key)
                } else {
                    open.insert(key)
                };
            }
        }
    }
    for key in more.into_iter().flatten() {
        if key.iter().any(|(l, c)| *l == i.fine && codes.contains(c.as_str())) {
            continue;
        }
        let own: Key = key.iter().filter(|(l, _)| above.contains(&l.as_str())).cloned().collect();
        if let Some((sure, _)) = sums.get_mut(&own) {
            sure.insert(key);
        }
    }
    parents
        .iter()
        .map(|p| {
            let (sure, open) = sums.remove(*p).unwrap_or_default();
            (*p, sure, open)
        })
        .collect()
}

/// The sharper of two.
fn closer(a: Known, b: Known) -> Known {
    match (a, b) {
        (Known::Value(_), _) => a,
        (_, Known::Value(_)) => b,
        (Known::Masked { floor: x }, Known::Masked { floor: y } | Known::Absent { floor: y })
        | (Known::Absent { floor: x }, Known::Masked { floor: y }) => Known::Masked { floor: x.max(y) },
        (Known::Absent { floor: x }, Known::Absent { floor: y }) => Known::Absent { floor: x.max(y) },
    }
}

/// How a reader links two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Gone,
    Come,
    Both,
}

impl Joint {
    /// Joins releases of one population; `one_way` lets a reader suppose that all moved as printed
    /// figures did.
    pub fn of(releases: &[&Release], one_way: bool) -> Self {
        let mut states: BTreeMap<&str, State> = BTreeMap::new();
        for release in releases {
            states.entry(&release.state).or_default().add(release);
        }
        let implied = releases.last().map(|r| r.implied.clone()).unwrap_or_default();
        for state in states.values_mut() {
            state.imply(&implied);
        }
        let mut joint =
            Joint { published: Published { cells: Vec::new(), relations: Vec::new() }, cells: Vec::new() };
        for (name, state) in &mut states {
            for (key, known) in &state.cells {
                state.numbers.insert(key, joint.push(key, name, false, *known));
            }
            for ((parent, _), children) in &state.sums {
                joint.sum(&state.numbers, parent, children);
            }
            for sums in &state.implied {
                joint.split(&state.numbers, sums);
            }
        }
        if let Some(last) = releases.last()
            && let Some(now) = states.get(last.state.as_str())
        {
            for (name, before) in states.iter().filter(|(n, _)| **n != last.state) {
                joint.link(name, before, now, one_way);
            }
        }
        joint
    }

    fn push(&mut self, key: &Key, state: &str, difference: bool, known: Known) -> CellId {
        self.published.cells.push(known);
        self.cells.push(Meaning { key: key.clone(), state: state.to_owned(), difference });
        (self.cells.len() - 1) as CellId
    }

    /// Adds a sum of cells that are all there; whether they are.
    fn sum(
        &mut self,
        numbers: &HashMap<&Key, CellId, FixedState>,
        parent: &Key,
        children: &BTreeSet<&Key>,
    ) -> bool {
        let of = |k: &Key| numbers.get(k).copied();
        let (Some(parent), Some(children)) = (of(parent), children.iter().map(|c| of(c)).collect()) else {
            return false;
        };
        self.published.relations.push(Relation { parent, children });
        true
    }

    /// Adds sums in which some cells are spread over several margins: nobody knows how.
    fn split(&mut self, numbers: &HashMap<&Key, CellId, FixedState>, sums: &[Sum<'_>]) {
        let mut parts: BTreeMap<&Key, Vec<CellId>> = BTreeMap::new();
        for (parent, sure, open) in sums {
            if !self.sum(numbers, parent, sure) {
                continue;
            }
            for key in open {
                let part = self.push(key, "", false, Known::Absent { floor: 0 });
                parts.entry(key).or_default().push(part);
                if let Some(last) = self.published.relations.last_mut() {
                    last.children.push(part);
                }
            }
        }
        for (key, children) in parts {
            if let Some(parent) = numbers.get(key).copied() {
                self.published.relations.push(Relation { parent, children });
            }
        }
    }

    fn link(&mut self, name: &str, before: &State, now: &State, one_way: bool) {
        let keys: BTreeSet<&Key> = before.cells.keys().chain(now.cells.keys()).copied().collect();
        let shared: Vec<(&Key, Known, Known)> =
            keys.into_iter().filter_map(|k| Some((k, before.known(k)?, now.known(k)?))).collect();
        let changes: Vec<i64> =
            shared.iter().filter_map(|(_, a, b)| Some(b.value()? - a.value()?)).filter(|d| *d != 0).collect();
        let way = match (one_way, changes.iter().any(|d| *d < 0), changes.iter().any(|d| *d > 0)) {
            (false, ..) | (true, true, true) => Way::Both,
            (true, true, false) => Way::Gone,
            (true, false, _) => Way::Come,
        };
        let most = shared.iter().filter_map(|(_, a, _)| a.value()).max().unwrap_or(0);
        let mut numbers: HashMap<&Key, CellId, FixedState> = HashMap::default();
        for (key, a, b) in &shared {
            let known = match (a.value(), b.value()) {
                (Some(a), Some(b)) if way == Way::Gone => Known::Value(a - b),
                (Some(a), Some(b)) => Known::Value(b - a),
                _ if way != Way::Both => Known::Masked { floor: 0 },
                // Masked in both: nothing printed says how many there were, but some margin above does.
                _ => Known::Masked { floor: -a.value().unwrap_or(most) },
            };
            let d = self.push(key, name, true, known);
            numbers.insert(key, d);
            let mut place = |state: &State, known: Known| match state.numbers.get(*key) {
                Some(c) => *c,
                None => self.push(key, name, false, known),
            };
            let (old, new) = (place(before, *a), place(now, *b));
            let (parent, child) = if way == Way::Gone { (old, new) } else { (new, old) };
            self.published.relations.push(Relation { parent, children: vec![child, d] });
        }
        let mut sums: BTreeMap<(&Key, &Vec<&str>), BTreeSet<&Key>> = BTreeMap::new();
        for ((parent, below), children) in &before.sums {
            if let Some(others) = now.sums.get(&(*parent, below.clone())) {
                sums.insert((parent, below), children | others);
            }
        }
        for ((parent, _), children) in sums {
            self.sum(&numbers, parent, &children);
        }
    }

    /// What a reader can compute too closely, or could for all that was found. Cells that `proof` shows to be in
    /// doubt are not attacked.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when no table agrees with what is published.
    pub fn exposed(
        &self,
        rule: Uniform,
        limits: &Limits,
        proof: Option<&Proof<'_>>,
    ) -> Result<Vec<(Meaning, Interval)>> {
        let proven = proof.map(|p| self.proven(p, rule)).unwrap_or_default();
        let wanted = |cell: CellId| !proven.at(cell as usize);
        let found = attack(&self.published, wanted, limits)?.into_iter().filter_map(|i| {
            let meaning = self.cells.get(i.cell as usize)?;
            let doubt = |low: i64, high: Option<i64>| match meaning.difference {
                true => rule.allows_difference(low, high),
                false => rule.allows(low, high),
            };
            // What is neither shown to be in doubt nor computed is no better than computed.
            (!i.proves(doubt)).then(|| (meaning.clone(), i))
        });
        Ok(found.collect())
    }
}

/// What a suppression proves: its moves change the true table and leave every addition of its own tables
/// true. One that leaves those of all releases true too is a table that readers cannot exclude.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    /// State of the population.
    pub state: &'a str,
    /// The tables.
    pub tables: &'a Tables,
    /// What is masked of them.
    pub suppression: &'a Suppression,
}

impl Joint {
    /// Cells that moves alone put in doubt as far as the rule asks, by number.
    fn proven(&self, proof: &Proof<'_>, rule: Uniform) -> Vec<bool> {
        let own = |m: &Meaning| !m.difference && m.state == proof.state;
        let names: HashMap<&Key, CellId, FixedState> =
            self.cells.iter().zip(0..).filter(|(m, _)| own(m)).map(|(m, i)| (&m.key, i)).collect();
        let places: Vec<Option<CellId>> = (0..proof.tables.cells.len() as CellId)
            .map(|c| names.get(&proof.tables.key(c)).copied())
            .collect();
        let truth: Vec<i64> = proof.tables.cells.iter().map(|c| c.value).collect();
        let incidence = self.published.incidence();
        let mut reached: HashMap<CellId, (i64, i64), FixedState> = HashMap::default();
        let mut balance: HashMap<u32, i64, FixedState> = HashMap::default();
        for changes in &proof.suppression.moves {
            balance.clear();
            let moved: Option<Vec<(CellId, i64, i64)>> = changes
                .iter()
                .map(|(cell, change)| {
                    let place = places.get(*cell as usize).copied().flatten()?;
                    let floor = self.published.cells.get(place as usize)?.floor()?;
                    let value = truth.at(*cell as usize).checked_add(*change)?;
                    for (relation, sign) in incidence.of_cell(place) {
                        *balance.entry(*relation).or_default() += change.checked_mul(i64::from(*sign))?;
                    }
                    (value >= floor).then_some((place, truth.at(*cell as usize), value))
                })
                .collect();
            for (place, before, after) in
                moved.filter(|_| balance.values().all(|b| *b == 0)).into_iter().flatten()
            {
                let (low, high) = reached.entry(place).or_insert((before, before));
                (*low, *high) = ((*low).min(after), (*high).max(after));
            }
        }
        let mut out = vec![false; self.cells.len()];
        for (cell, (low, high)) in reached {
            out.put(cell as usize, rule.allows(low, Some(high)));
        }
        out
    }
}

/// Whether everything that a candidate says was said before, of the same state: nothing new to attack.
fn said(candidate: &Release, before: &Release) -> bool {
    let known = before.index();
    let same = |key: &Key, now: Known| match (
        now,
        known.get(key).and_then(|c| before.published.cells.get(*c as usize)),
    ) {
        (Known::Absent { .. }, _) => true,
        (Known::Value(a), Some(Known::Value(b))) => a == *b,
        (Known::Masked { floor: a }, Some(Known::Masked { floor: b })) => a <= *b,
        _ => false,
    };
    // What the candidate leaves out of a crossing that it lists is nil.
    let (listed, crossings) = (candidate.index(), candidate.crossings());
    let left_out = |(key, was): (&Key, &Known)| {
        *was == Known::Value(0) || listed.contains_key(key) || !crossings.contains(&levels(key))
    };
    candidate.state == before.state
        && candidate.keys.iter().zip(&candidate.published.cells).all(|(key, now)| same(key, *now))
        && before.keys.iter().zip(&before.published.cells).all(left_out)
}

/// Attacks a candidate (a count of people) alone, with each earlier release of its population, and with
/// all of them. Empty when nothing protected can be computed: it may leave if its certificate holds.
///
/// Where `limits` stop the attack before a table shows the doubt of a cell, the cell is found too.
///
/// # Errors
/// [`Error::Corrupt`] when releases that agree cell by cell contradict each other in their additions.
pub fn review(
    candidate: &Release,
    earlier: &[Release],
    rule: Uniform,
    limits: &Limits,
    proof: Option<&Proof<'_>>,
) -> Result<Vec<Finding>> {
    let same = |r: &&Release| r.population == candidate.population && r.persons == candidate.persons;
    let linked: Vec<&Release> = earlier.iter().filter(same).collect();
    let mut found: Vec<Finding> = Vec::new();
    let mut seen: BTreeSet<(String, Key, bool)> = BTreeSet::new();
    let rule = rule.of(candidate.persons);
    let mut sets: Vec<Vec<&Release>> = vec![vec![candidate]];
    if linked.iter().any(|release| said(candidate, release)) {
        return Ok(found);
    }
    for release in &linked {
        let plain = plain_findings(candidate, release, rule);
        if !plain.iter().any(|f| f.reason == Reason::Contradiction) {
            sets.push(vec![release, candidate]);
        }
        found.extend(plain);
    }
    if linked.len() > 1 && sets.len() == linked.len() + 1 {
        sets.push(linked.iter().copied().chain([candidate]).collect());
    }
    for f in found.iter().filter(|f| f.reason == Reason::Difference) {
        let state = linked.iter().find(|r| f.releases.first() == Some(&r.name)).map(|r| r.state.clone());
        seen.insert((state.unwrap_or_default(), f.cell.clone(), true));
    }
    for set in sets {
        let exposed = match Joint::of(&set, true).exposed(rule, limits, proof) {
            // Not all moved one way.
            Err(Error::Corrupt(_)) => match Joint::of(&set, false).exposed(rule, limits, proof) {
                // Nothing is proven against what contradicts itself.
                Err(Error::Corrupt(_)) if set.len() > 1 => {
                    found.push(Finding {
                        releases: set.iter().map(|r| r.name.clone()).collect(),
                        cell: Key::new(),
                        reason: Reason::Contradiction,
                        lower: 0,
                        upper: None,
                    });
                    continue;
                }
                found => found?,
            },
            found => found?,
        };
        for (meaning, interval) in exposed {
            let known = (meaning.state.clone(), meaning.key.clone(), meaning.difference);
            if seen.insert(known) {
                found.push(Finding {
                    releases: set.iter().map(|r| r.name.clone()).collect(),
                    cell: meaning.key.clone(),
                    reason: if meaning.difference { Reason::Difference } else { Reason::Cell },
                    lower: interval.lower,
                    upper: interval.upper,
                });
            }
        }
    }
    Ok(found)
}

/// The refusal of a candidate, for people: which releases, which cells, and what to do instead.
pub fn refusal(findings: &[Finding], remedies: &[String]) -> Error {
    let mut groups: BTreeMap<(&[String], Reason), Vec<&Finding>> = BTreeMap::new();
    for f in findings {
        groups.entry((&f.releases, f.reason)).or_default().push(f);
    }
    let mut lines = Vec::new();
    for ((releases, reason), all) in groups {
        let names: Vec<String> = releases.iter().map(|r| format!("« {r} »")).collect();
        let what = match reason {
            Reason::Unmasked => "une cellule masquée auparavant serait publiée",
            Reason::AlreadyPublished => "une cellule déjà publiée serait masquée",
            Reason::Contradiction => "des chiffres de la même date se contredisent",
            Reason::Cell => "une cellule masquée se calcule de trop près",
            Reason::Difference => "la différence isole quelques personnes",
        };
        let cells: Vec<String> = all.iter().take(NAMED).map(|f| label(&f.cell)).collect();
        let more = if all.len() > NAMED { " ; …" } else { "" };
        lines.push(format!(
            "{} : {what}, {} cas : {}{more}",
            names.join(" et "),
            all.len(),
            cells.join(" ; ")
        ));
    }
    let advice = if remedies.is_empty() {
        "aucune proposition ne passe : publiez moins de croisements".to_owned()
    } else {
        format!("possible : {}", remedies.join(" ; "))
    };
    Error::Refused {
        code: "RELEASES_DISCLOSE",
        message: format!("publication refusée ; {} ; {advice}", lines.join(" ; ")),
    }
}
