//! All releases of a population as one system, attacked together.
//!
//! Cells of one state of the population are shared by name, and add up across releases ([`state`]). Two states
//! are linked by differences: one unknown per cell that both show or say, adding up like the cells. Where everything
//! printed moved one way, a reader supposes that all did (nobody came, or nobody left): differences are then at least nil, and
//! at most what the totals printed leave. Where nothing printed moved, he may suppose either. Where figures moved both ways, or
//! where one way cannot be, a difference is at least what would empty the earlier cell.
//!
//! Three crossings that close a circle (A × B, B × C, A × C) say a little more, which is not looked for.

mod state;

use super::audit::{Interval, Limits, attack_until};
use super::policy::Uniform;
use super::release::{CHOSEN, Chosen, Finding, Key, LEFT, Reason, Release, label, levels, plain_findings};
use super::slots::Slots;
use super::suppress::Suppression;
use super::system::{CellId, Known, Published, Relation};
use crate::error::{Error, Result};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use state::{Levels, Spread, State};
use std::collections::{BTreeMap, BTreeSet};

/// Cells named in a message.
const NAMED: usize = 5;
/// Work of an attack between two states: it shows danger, and does not prove that there is none.
const BETWEEN: u64 = 1_500_000_000;

/// Releases joined; the last is the candidate.
#[derive(Debug, Clone)]
pub struct Joint {
    /// The system.
    pub published: Published,
    /// What each of its cells is.
    pub cells: Vec<Meaning>,
    /// Between two states, nothing that is printed moved.
    still: bool,
    /// Of one state: what is not shown to be in doubt is found.
    alone: bool,
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

/// What a reader supposes of two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supposed {
    /// All moved as what is printed did; where nothing did, people came.
    Come,
    /// The same; where nothing did, people left.
    Gone,
    /// Nothing.
    Nothing,
}

/// How a reader links two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Gone,
    Come,
    Both,
}

impl Joint {
    /// Joins releases of one population, as a reader does who supposes something of how states follow.
    pub fn of(releases: &[&Release], supposed: Supposed) -> Self {
        let mut by: BTreeMap<&str, Vec<&Release>> = BTreeMap::new();
        for release in releases {
            by.entry(&release.state).or_default().push(release);
        }
        let mut states: BTreeMap<&str, State> =
            by.iter().map(|(name, all)| (*name, State::of(all))).collect();
        let wanted: BTreeSet<Levels> = states.values().flat_map(State::listed).cloned().collect();
        for (name, state) in &mut states {
            let implied = by.get(name).and_then(|all| all.iter().map(|r| &r.implied).max_by_key(|i| i.len()));
            let implied = implied.cloned().unwrap_or_default();
            if by.len() > 1 {
                state.derive(&wanted, &implied);
            }
            state.link(&implied);
        }
        let mut joint = Joint {
            published: Published { cells: Vec::new(), relations: Vec::new() },
            cells: Vec::new(),
            still: false,
            alone: states.len() < 2,
        };
        let mut starts: BTreeMap<&str, CellId> = BTreeMap::new();
        for (name, state) in &states {
            let start = joint.cells.len() as CellId;
            starts.insert(name, start);
            for (key, known) in state.keys.iter().zip(&state.known) {
                joint.push(key, name, false, *known);
            }
            for ((parent, _), children) in &state.sums {
                let children = children.iter().map(|c| start + c).collect();
                joint.published.relations.push(Relation { parent: start + parent, children });
            }
            state.spread.iter().for_each(|spread| joint.split(start, spread));
            let chosen = by.get(name).into_iter().flatten().flat_map(|r| r.chosen.iter());
            let chosen: BTreeMap<&str, &Chosen> = chosen.map(|c| (c.flag.as_str(), c)).collect();
            joint.left_out(start, name, state, &chosen);
        }
        if let Some(last) = releases.last()
            && let Some(now) = states.get(last.state.as_str())
        {
            for (name, before) in states.iter().filter(|(n, _)| **n != last.state) {
                let at = |name: &str| starts.get(name).copied().unwrap_or(0);
                joint.link(name, (before, at(name)), (now, at(&last.state)), supposed);
            }
        }
        joint
    }

    fn push(&mut self, key: &Key, state: &str, difference: bool, known: Known) -> CellId {
        self.published.cells.push(known);
        self.cells.push(Meaning { key: key.clone(), state: state.to_owned(), difference });
        (self.cells.len() - 1) as CellId
    }

    /// Adds what a choice of rows leaves of each cell: readers subtract what it took from what all are, or what a
    /// wider choice took.
    fn left_out(&mut self, start: CellId, name: &str, state: &State, chosen: &BTreeMap<&str, &Chosen>) {
        for (taken, key) in (start..).zip(&state.keys) {
            for (at, (flag, _)) in key.iter().enumerate() {
                let Some(own) = chosen.get(flag.as_str()) else { continue };
                let mut rest = key.clone();
                rest.remove(at);
                let wider = chosen.values().filter(|o| own.within(o)).map(|o| Some(o.flag.clone()));
                for wider in wider.chain([None]) {
                    let mut whole = rest.clone();
                    whole.extend(wider.map(|flag| (flag, CHOSEN.to_owned())));
                    whole.sort_unstable();
                    let Some(all) = state.number(&whole) else { continue };
                    whole.push((flag.clone(), LEFT.to_owned()));
                    whole.sort_unstable();
                    if state.number(&whole).is_none() {
                        let left = self.push(&whole, name, true, Known::Masked { floor: 0 });
                        let children = vec![taken, left];
                        self.published.relations.push(Relation { parent: start + all, children });
                    }
                }
            }
        }
    }

    /// Adds sums in which some cells are spread over several margins: nobody knows how.
    fn split(&mut self, start: CellId, spread: &Spread) {
        let sums = &spread.sums;
        let mut parts: BTreeMap<CellId, Vec<CellId>> = BTreeMap::new();
        for sum in sums {
            let mut children: Vec<CellId> = sum.sure.iter().map(|c| start + c).collect();
            for cell in &sum.open {
                let part = self.push(&Key::new(), "", false, Known::Absent { floor: 0 });
                parts.entry(start + cell).or_default().push(part);
                children.push(part);
            }
            if sum.more {
                children.push(self.push(&Key::new(), "", false, Known::Absent { floor: 0 }));
            }
            self.published.relations.push(Relation { parent: start + sum.parent, children });
        }
        for (parent, mut children) in parts {
            // Some of it may be under a margin that nobody lists.
            if sums.iter().any(|s| s.more) || spread.loose.contains(&(parent - start)) {
                children.push(self.push(&Key::new(), "", false, Known::Absent { floor: 0 }));
            }
            self.published.relations.push(Relation { parent, children });
        }
    }

    fn link(
        &mut self,
        name: &str,
        (before, old_at): (&State, CellId),
        (now, new_at): (&State, CellId),
        supposed: Supposed,
    ) {
        let keys: BTreeSet<&Key> = before.keys.iter().chain(&now.keys).collect();
        let unsaid = |k: &Known| matches!(k, Known::Absent { .. });
        let shared: Vec<(&Key, Known, Known)> = keys
            .into_iter()
            .filter_map(|k| Some((k, before.known_of(k)?, now.known_of(k)?)))
            .filter(|(_, a, b)| !(unsaid(a) && unsaid(b)))
            .collect();
        let changes: Vec<i64> =
            shared.iter().filter_map(|(_, a, b)| Some(b.value()? - a.value()?)).filter(|d| *d != 0).collect();
        let (fell, rose) = (changes.iter().any(|d| *d < 0), changes.iter().any(|d| *d > 0));
        self.still |= !fell && !rose;
        let way = match (supposed, fell, rose) {
            (Supposed::Nothing, ..) | (_, true, true) => Way::Both,
            (_, true, false) | (Supposed::Gone, false, false) => Way::Gone,
            (_, false, _) => Way::Come,
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
            let mut place = |state: &State, start: CellId, known: Known| match state.number(key) {
                Some(c) => start + c,
                None => self.push(key, name, false, known),
            };
            let (old, new) = (place(before, old_at, *a), place(now, new_at, *b));
            let (parent, child) = if way == Way::Gone { (old, new) } else { (new, old) };
            self.published.relations.push(Relation { parent, children: vec![child, d] });
        }
        // Differences add up where both states do.
        for ((parent, below), children) in &before.sums {
            let Some(parent) = before.keys.get(*parent as usize) else { continue };
            let own = now.number(parent).and_then(|p| now.sums.get(&(p, below.clone())));
            let (Some(others), Some(sum)) = (own, numbers.get(parent)) else { continue };
            let name = |state: &'_ State, c: &CellId| state.keys.get(*c as usize).cloned();
            let all: BTreeSet<Key> = children
                .iter()
                .filter_map(|c| name(before, c))
                .chain(others.iter().filter_map(|c| name(now, c)))
                .collect();
            let parts: Option<Vec<CellId>> = all.iter().map(|k| numbers.get(k).copied()).collect();
            if let Some(children) = parts {
                self.published.relations.push(Relation { parent: *sum, children });
            }
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
        proofs: &[Proof<'_>],
    ) -> Result<Vec<(Meaning, Interval)>> {
        let proven: Vec<Vec<bool>> = proofs.iter().map(|p| self.proven(p, rule)).collect();
        let wanted = |cell: CellId| !proven.iter().any(|p| p.at(cell as usize));
        let doubt = |meaning: &Meaning, low: i64, high: Option<i64>| match meaning.difference {
            true => rule.allows_difference(low, high),
            false => rule.allows(low, high),
        };
        let enough = |cell: CellId, low: i64, high: i64| {
            low < high && self.cells.get(cell as usize).is_some_and(|m| doubt(m, low, Some(high)))
        };
        let bounded = if self.alone { *limits } else { Limits { work: limits.work.min(BETWEEN), ..*limits } };
        let found = attack_until(&self.published, wanted, enough, &bounded)?.into_iter().filter_map(|i| {
            let meaning = self.cells.get(i.cell as usize)?;
            let doubt = |low: i64, high: Option<i64>| doubt(meaning, low, high);
            // In one state, what is neither shown to be in doubt nor computed is no better than computed.
            let safe = i.proves(doubt) || (!self.alone && doubt(i.lower, i.upper));
            (!safe).then(|| (meaning.clone(), i))
        });
        Ok(found.collect())
    }
}

/// What a suppression proves: its moves change the true table and leave every addition of its own tables
/// true. One that leaves those of all releases true too is a table that readers cannot exclude.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    /// State of the population.
    pub state: &'a str,
    /// Names of its cells.
    pub keys: &'a [Key],
    /// True values.
    pub truth: &'a [i64],
    /// What is masked of them.
    pub suppression: &'a Suppression,
}

impl Joint {
    /// Cells that moves alone put in doubt as far as the rule asks, by number.
    fn proven(&self, proof: &Proof<'_>, rule: Uniform) -> Vec<bool> {
        let own = |m: &Meaning| !m.difference && m.state == proof.state;
        let names: HashMap<&Key, CellId, FixedState> =
            self.cells.iter().zip(0..).filter(|(m, _)| own(m)).map(|(m, i)| (&m.key, i)).collect();
        let places: Vec<Option<CellId>> = proof.keys.iter().map(|k| names.get(k).copied()).collect();
        let truth = proof.truth;
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
        *was == Known::Value(0)
            || listed.contains_key(key)
            || !crossings.contains(&levels(key))
            || !candidate.chosen.iter().all(|c| c.takes(key))
    };
    candidate.state == before.state
        && candidate.keys.iter().zip(&candidate.published.cells).all(|(key, now)| same(key, *now))
        && before.keys.iter().zip(&before.published.cells).all(left_out)
}

/// Attacks a candidate (a count of people) alone, with each earlier release of its population, and with
/// all of them. Empty when nothing protected can be computed: it may leave if its certificate holds.
///
/// Where `limits` stop the attack of one state before a table shows the doubt of a cell, the cell is found too; and so
/// are releases that contradict each other.
///
/// # Errors
/// When what is published names cells that are not there.
pub fn review(
    candidate: &Release,
    earlier: &[Release],
    rule: Uniform,
    limits: &Limits,
    proofs: &[Proof<'_>],
) -> Result<Vec<Finding>> {
    let same = |r: &&Release| r.population == candidate.population && r.persons == candidate.persons;
    let linked: Vec<&Release> = earlier.iter().filter(same).collect();
    let mut found: Vec<Finding> = Vec::new();
    let mut seen: BTreeSet<(String, Key, bool)> = BTreeSet::new();
    let rule = rule.of(candidate.persons);
    // What was already found of a set, where it was attacked before the others.
    let mut sets: Vec<(Vec<&Release>, Option<Supposing>)> = vec![(vec![candidate], None)];
    if linked.iter().any(|release| said(candidate, release)) {
        return Ok(found);
    }
    for release in &linked {
        let plain = plain_findings(candidate, release, rule);
        if !plain.iter().any(|f| f.reason == Reason::Contradiction) {
            sets.push((vec![release, candidate], None));
        }
        found.extend(plain);
    }
    if linked.len() > 1 && sets.len() == linked.len() + 1 {
        // All together say what any of them says: two by two only tell which. But of one state, all that is not
        // shown to be in doubt is found: that is looked at by itself.
        let here = |r: &&Release| r.state == candidate.state;
        let all: Vec<&Release> = linked.iter().copied().chain([candidate]).collect();
        let now: Vec<&Release> = all.iter().copied().filter(here).collect();
        let said = supposing(&all, rule, limits, proofs)?;
        if matches!(&said, Supposing::Found(exposed) if exposed.is_empty()) {
            sets.truncate(1);
        }
        if (2..all.len()).contains(&now.len()) {
            sets.push((now, None));
        }
        sets.push((all, Some(said)));
    }
    for f in found.iter().filter(|f| f.reason == Reason::Difference) {
        let state = linked.iter().find(|r| f.releases.first() == Some(&r.name)).map(|r| r.state.clone());
        seen.insert((state.unwrap_or_default(), f.cell.clone(), true));
    }
    for (set, said) in sets {
        let said = said.map_or_else(|| supposing(&set, rule, limits, proofs), Ok)?;
        let (Supposing::Found(exposed) | Supposing::Less(exposed)) = said else {
            // Nothing is proven against what contradicts itself.
            found.push(Finding {
                releases: set.iter().map(|r| r.name.clone()).collect(),
                cell: Key::new(),
                reason: Reason::Contradiction,
                lower: 0,
                upper: None,
            });
            continue;
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

/// What a reader finds by what he may suppose.
enum Supposing {
    /// These are exposed.
    Found(Vec<(Meaning, Interval)>),
    /// These, of who supposes nothing: whatever else he may suppose contradicts what is printed.
    Less(Vec<(Meaning, Interval)>),
    /// The releases contradict each other.
    Contradiction,
}

fn supposing(set: &[&Release], rule: Uniform, limits: &Limits, proofs: &[Proof<'_>]) -> Result<Supposing> {
    let mut found: Option<Vec<(Meaning, Interval)>> = None;
    let first = Joint::of(set, Supposed::Come);
    let again = first.still.then(|| Joint::of(set, Supposed::Gone));
    for joint in [Some(first), again].into_iter().flatten() {
        match joint.exposed(rule, limits, proofs) {
            // Not all moved that way.
            Err(Error::Corrupt(_)) => {}
            exposed => found.get_or_insert_default().extend(exposed?),
        }
    }
    if let Some(found) = found {
        return Ok(Supposing::Found(found));
    }
    match Joint::of(set, Supposed::Nothing).exposed(rule, limits, proofs) {
        Err(Error::Corrupt(_)) => Ok(Supposing::Contradiction),
        exposed => Ok(Supposing::Less(exposed?)),
    }
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
        if reason == Reason::Contradiction && all.iter().all(|f| f.cell.is_empty()) {
            lines.push(format!("{} : ces chiffres se contredisent", names.join(" et ")));
            continue;
        }
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
