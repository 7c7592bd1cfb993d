//! An import replaces the whole referential: what changes, and what is refused because archives
//! already bear the rule.

use super::VitamRule;
use serde::Serialize;
use std::collections::BTreeMap;

/// What becomes of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// New.
    Added,
    /// Gone, and nothing bears it.
    Deleted,
    /// Gone while archives bear it: refused.
    UsedDeleted,
    /// Title or description.
    Updated,
    /// Type or duration, and nothing bears it.
    Recomputed,
    /// Type or duration of a rule that archives bear: due dates change, warned.
    UsedRecomputed,
    /// A duration given to or taken from a rule that archives bear: refused.
    UsedDurationMode,
}

impl ChangeKind {
    /// Whether the import is refused.
    pub fn is_refused(self) -> bool {
        matches!(self, ChangeKind::UsedDeleted | ChangeKind::UsedDurationMode)
    }

    /// Whether a person must look at it.
    pub fn is_warned(self) -> bool {
        self == ChangeKind::UsedRecomputed
    }

    /// Stable code of a refusal or a warning.
    pub fn code(self) -> Option<&'static str> {
        match self {
            ChangeKind::UsedDeleted => Some("RULES_CSV_USED_DELETED"),
            ChangeKind::UsedDurationMode => Some("RULES_CSV_USED_DURATION_MODE"),
            ChangeKind::UsedRecomputed => Some("RULES_CSV_USED_CHANGED"),
            _ => None,
        }
    }
}

/// A rule that is not the same before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `RuleId`.
    pub id: String,
    /// What becomes of it.
    pub kind: ChangeKind,
    /// In French.
    pub message: String,
}

/// Compares the referential in force with the one that would replace it. `used` says whether
/// archives bear a rule. Changes come in the order of identifiers.
pub fn compare(old: &[VitamRule], new: &[VitamRule], used: impl Fn(&str) -> bool) -> Vec<Change> {
    let mut rules: BTreeMap<&str, [Option<&VitamRule>; 2]> = BTreeMap::new();
    for rule in old {
        rules.entry(&rule.id).or_default()[0] = Some(rule);
    }
    for rule in new {
        rules.entry(&rule.id).or_default()[1] = Some(rule);
    }
    let change = |(id, sides): (&str, [Option<&VitamRule>; 2])| {
        let (kind, message) = match sides {
            [Some(old), Some(new)] => changed(old, new, used(id))?,
            [Some(_), None] if used(id) => (
                ChangeKind::UsedDeleted,
                "règle retirée alors que des archives la portent : remettez-la".to_owned(),
            ),
            [Some(_), None] => (ChangeKind::Deleted, "règle retirée ; aucune archive ne la porte".to_owned()),
            [None, Some(_)] => (ChangeKind::Added, "règle ajoutée".to_owned()),
            [None, None] => return None,
        };
        Some(Change { id: id.to_owned(), kind, message })
    };
    rules.into_iter().filter_map(change).collect()
}

fn changed(old: &VitamRule, new: &VitamRule, used: bool) -> Option<(ChangeKind, String)> {
    let shown = |rule: &VitamRule| {
        let duration = rule.duration.map_or_else(|| "sans durée".to_owned(), |d| d.french());
        format!("{}, {duration}", rule.kind.as_str())
    };
    let recomputed = (old.kind, old.duration) != (new.kind, new.duration);
    if used && old.duration.is_some() != new.duration.is_some() {
        let message = "durée donnée ou ôtée à une règle que des archives portent : créez une autre règle";
        return Some((ChangeKind::UsedDurationMode, message.to_owned()));
    }
    if recomputed {
        let kind = if used { ChangeKind::UsedRecomputed } else { ChangeKind::Recomputed };
        let after =
            if used { " ; les échéances des archives qui la portent seront recalculées" } else { "" };
        return Some((kind, format!("{} → {}{after}", shown(old), shown(new))));
    }
    (old != new).then(|| (ChangeKind::Updated, "intitulé ou description modifié".to_owned()))
}
