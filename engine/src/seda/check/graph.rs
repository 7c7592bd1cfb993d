//! What bears on several elements: references, cycles, orphans, groups and their usages.

use super::model::{Model, Object, Rank, Target, at};
use super::{Findings, codes};
use std::collections::{HashMap, HashSet};

/// Units and objects of one package.
const COUNT_MAX: usize = 100_000;
const USAGES: [&str; 5] = ["PhysicalMaster", "BinaryMaster", "Dissemination", "Thumbnail", "TextContent"];

/// References that lead nowhere, as the schema tells them.
pub fn structure(model: &Model, findings: &mut Findings) {
    let missing = |id: &str| !model.ids.contains_key(id);
    let mut dangling = |path: String| {
        let message = "la référence ne mène à aucun élément du manifeste : corrigez l'identifiant";
        findings.error(codes::NOT_XSD, path, message);
    };
    for r in model.references.iter().filter(|r| missing(&r.target)) {
        let name = if r.to_group { "DataObjectGroupReferenceId" } else { "DataObjectReferenceId" };
        dangling(format!("{}/{name}[1]", model.reference_path(r)));
    }
    for (rank, unit) in model.units.iter().enumerate() {
        if unit.stands_for.as_deref().is_some_and(missing) {
            dangling(format!(
                "{}/ArchiveUnitRefId[1]",
                model.unit_path(Rank::try_from(rank).unwrap_or_default())
            ));
        }
    }
    for object in &model.objects {
        if object.group_ref.as_deref().is_some_and(missing) {
            dangling(format!("{}/DataObjectGroupReferenceId[1]", model.object_path(object)));
        }
    }
    for (_, path) in model.others.iter().filter(|(target, _)| missing(target)) {
        dangling(path.clone());
    }
}

/// All that the schema does not say. Objects that name their group join it here.
pub fn check(model: &mut Model, findings: &mut Findings) {
    let malformed = join_groups(model, findings);
    let bad_usage = usages(model, findings);
    groups(model, &bad_usage, findings);
    cycle(model, findings);
    if !malformed {
        referenced(model, findings);
    }
    let count = model.objects.len() + model.units.iter().filter(|u| u.stands_for.is_none()).count();
    if model.units.len() > COUNT_MAX || count > 2 * COUNT_MAX {
        let message = "plus de 100 000 unités ou objets : l'archive conseille de partager le versement";
        findings.warning(codes::W_COUNT, model.package.clone(), message);
    }
}

fn join_groups(model: &mut Model, findings: &mut Findings) -> bool {
    let mut malformed = false;
    let named: Vec<(Rank, Box<str>)> = (0..)
        .zip(&model.objects)
        .filter_map(|(rank, o)| o.group_ref.clone().filter(|_| o.group.is_none()).map(|g| (rank, g)))
        .collect();
    for (rank, id) in named {
        if let Some(Target::Group(group)) = model.ids.get(&id).copied() {
            if let Some(group) = model.groups.get_mut(group as usize) {
                group.objects.push(rank);
            }
            if let Some(object) = model.objects.get_mut(rank as usize) {
                object.group = Some(group);
            }
        } else if let Some(object) = at(&model.objects, rank) {
            malformed = true;
            let path = format!("{}/DataObjectGroupReferenceId[1]", model.object_path(object));
            findings.error(codes::MALFORMED, path, "cet identifiant n'est pas celui d'un groupe d'objets");
        }
    }
    malformed
}

/// Checks usages and required fields of objects; the objects whose usage cannot be read.
fn usages(model: &Model, findings: &mut Findings) -> HashSet<Rank> {
    let mut bad = HashSet::new();
    for (rank, object) in (0..).zip(&model.objects) {
        let path = || model.object_path(object);
        let usage = object.usage.as_deref().unwrap_or_default();
        let (name, version) = match usage.split_once('_') {
            Some((name, version)) => (name, Some(version)),
            None => (usage, None),
        };
        let version_ok = version.is_none_or(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()));
        let fault = if !USAGES.contains(&name) || !version_ok {
            let message = "usage mal écrit : PhysicalMaster, BinaryMaster, Dissemination, Thumbnail ou TextContent, puis « _ » et un numéro (BinaryMaster_1)";
            Some((codes::USAGE_INVALID, message))
        } else if object.physical && name == "BinaryMaster" {
            Some((
                codes::USAGE_PHYSICAL,
                "un objet physique ne peut pas être BinaryMaster : écrivez PhysicalMaster",
            ))
        } else if !object.physical && name == "PhysicalMaster" {
            Some((
                codes::USAGE_BINARY,
                "un objet numérique ne peut pas être PhysicalMaster : écrivez BinaryMaster",
            ))
        } else {
            None
        };
        if let Some((code, message)) = fault {
            bad.insert(rank);
            let step = if object.usage.is_some() { "/DataObjectVersion[1]" } else { "" };
            findings.error(code, format!("{}{step}", path()), message);
        }
        if object.physical && !object.physical_id {
            findings.error(
                codes::OBJECT_EMPTY,
                path(),
                "l'objet physique n'a pas de PhysicalId : donnez sa cote",
            );
        } else if !object.physical && !object.inline && object.uri.as_deref().unwrap_or_default().is_empty() {
            let step = if object.uri.is_some() { "/Uri[1]" } else { "" };
            let message =
                "l'objet n'a pas d'Uri : donnez le chemin de son fichier, par exemple content/fichier.csv";
            findings.error(codes::OBJECT_EMPTY, format!("{}{step}", path()), message);
        }
    }
    bad
}

fn usage_name(object: &Object) -> &str {
    let usage = object.usage.as_deref().unwrap_or_default();
    usage.split_once('_').map_or(usage, |(name, _)| name)
}

fn groups(model: &Model, bad_usage: &HashSet<Rank>, findings: &mut Findings) {
    let master = |name: &str| matches!(name, "BinaryMaster" | "PhysicalMaster");
    let no_master = "un groupe d'objets a besoin d'un original : BinaryMaster ou PhysicalMaster";
    for group in &model.groups {
        let mut seen = Vec::new();
        // What cannot be read could be the master: its own fault is told already.
        let mut mastered = group.attached;
        for rank in &group.objects {
            let Some(object) = at(&model.objects, *rank) else { continue };
            if bad_usage.contains(rank) {
                mastered = true;
                continue;
            }
            let name = usage_name(object);
            mastered |= master(name);
            if seen.contains(&name) {
                let message = format!("deux objets {name} dans un même groupe : une seule version par usage");
                findings.error(codes::USAGE_TWICE, model.object_path(object), message);
            }
            seen.push(name);
        }
        if !mastered {
            findings.error(codes::NO_MASTER, model.group_path(group), no_master);
        }
    }
    for (rank, object) in (0..).zip(&model.objects) {
        if object.group.is_none() && !bad_usage.contains(&rank) && !master(usage_name(object)) {
            findings.error(codes::NO_MASTER, model.object_path(object), no_master);
        }
    }
}

/// Units that contain themselves, directly or through others.
fn cycle(model: &Model, findings: &mut Findings) {
    // A unit that stands for another is that other one.
    let real = |rank: Rank| match at(&model.units, rank).and_then(|u| u.stands_for.as_deref()) {
        Some(id) => match model.ids.get(id) {
            Some(Target::Unit(target)) => Some(*target),
            _ => None,
        },
        None => Some(rank),
    };
    let mut links: HashMap<Rank, Vec<(Rank, Rank)>> = HashMap::new();
    for (rank, unit) in (0..).zip(&model.units) {
        if let Some(parent) = unit.parent
            && unit.stands_for.is_some()
            && let Some(child) = real(rank)
        {
            links.entry(parent).or_default().push((child, rank));
        }
    }
    if links.is_empty() {
        return;
    }
    for (rank, unit) in (0..).zip(&model.units) {
        if let Some(parent) = unit.parent
            && unit.stands_for.is_none()
        {
            links.entry(parent).or_default().push((rank, rank));
        }
    }
    // 0 new, 1 open, 2 done.
    let mut state = vec![0_u8; model.units.len()];
    for (root, _) in (0..).zip(&model.units) {
        if state.get(root as usize) != Some(&0) {
            continue;
        }
        let mut stack = vec![(root, 0_usize)];
        if let Some(s) = state.get_mut(root as usize) {
            *s = 1;
        }
        while let Some((unit, next)) = stack.last_mut() {
            let Some((child, told)) = links.get(unit).and_then(|l| l.get(*next)).copied() else {
                if let Some(s) = state.get_mut(*unit as usize) {
                    *s = 2;
                }
                stack.pop();
                continue;
            };
            *next += 1;
            match state.get_mut(child as usize) {
                Some(s @ 0) => {
                    *s = 1;
                    stack.push((child, 0));
                }
                Some(1) => {
                    let message = "cette unité se contient elle-même : retirez ce lien du plan de classement";
                    findings.error(codes::LOOP, model.unit_path(told), message);
                    return;
                }
                _ => {}
            }
        }
    }
}

/// References of units to objects, and what no unit refers to.
fn referenced(model: &Model, findings: &mut Findings) {
    let mut objects = HashSet::new();
    let mut groups: HashSet<Rank> = HashSet::new();
    let mut of_unit: HashMap<Rank, (bool, Rank)> = HashMap::new();
    for r in &model.references {
        let name = if r.to_group { "DataObjectGroupReferenceId" } else { "DataObjectReferenceId" };
        let path = || format!("{}/{name}[1]", model.reference_path(r));
        let target = match model.ids.get(&r.target) {
            Some(Target::Object(rank)) => {
                objects.insert(*rank);
                match at(&model.objects, *rank).and_then(|o| o.group) {
                    Some(group) => {
                        groups.insert(group);
                        let message = "l'unité renvoie à un objet d'un groupe : donnez l'identifiant du groupe (DataObjectGroupReferenceId)";
                        findings.error(codes::OBJECT_FOR_GROUP, path(), message);
                        continue;
                    }
                    None if r.to_group => {
                        let message =
                            "l'unité renvoie à un objet comme à un groupe : employez DataObjectReferenceId";
                        findings.error(codes::OBJECT_FOR_GROUP, path(), message);
                        continue;
                    }
                    None => (false, *rank),
                }
            }
            Some(Target::Group(rank)) if r.to_group => {
                groups.insert(*rank);
                (true, *rank)
            }
            Some(Target::Group(rank)) => {
                groups.insert(*rank);
                let message =
                    "l'unité renvoie à un groupe comme à un objet : employez DataObjectGroupReferenceId";
                findings.error(codes::MALFORMED, path(), message);
                continue;
            }
            _ => {
                findings.error(
                    codes::MALFORMED,
                    path(),
                    "cet identifiant n'est ni celui d'un objet ni celui d'un groupe",
                );
                continue;
            }
        };
        if *of_unit.entry(r.unit).or_insert(target) != target {
            let message =
                "l'unité renvoie à deux groupes d'objets : une unité n'en a qu'un, faites-en deux unités";
            findings.error(codes::TWO_GROUPS, model.reference_path(r), message);
        }
    }
    for (rank, group) in (0..).zip(&model.groups) {
        if !groups.contains(&rank) {
            let message = "aucune unité ne renvoie à ce groupe d'objets : ajoutez un DataObjectReference, ou retirez le groupe";
            findings.error(codes::ORPHAN, model.group_path(group), message);
        }
    }
    for (rank, object) in (0..).zip(&model.objects) {
        if object.group.is_none() && !objects.contains(&rank) {
            let message =
                "aucune unité ne renvoie à cet objet : ajoutez un DataObjectReference, ou retirez l'objet";
            findings.error(codes::ORPHAN, model.object_path(object), message);
        }
    }
}
