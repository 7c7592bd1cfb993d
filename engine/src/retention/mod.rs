//! Sort final: what the rules say of every record at a date. Nothing here deletes anything.

mod class;
mod decide;
mod diff;
mod duration;
mod examples;
mod explain;
mod facts;
#[cfg(test)]
mod laws;
mod load;
mod overlay;
mod rules;
mod shipped;
mod stage;
#[cfg(test)]
mod testing;
mod texts;
pub mod tri;
pub mod vitam;

pub use class::{ClassRules, EventDate, Facts};
pub use decide::{Outcome, Verdict};
pub use diff::{ChangeKind, Direction, FieldChange, Impact, RuleChange, Share, diff, impact};
pub use duration::{Duration, Mode};
pub use explain::{Explanation, RuleStory};
pub use facts::{Shared, check_scope, unknown_columns};
pub use rules::{
    Agreement, Basis, Cap, Clock, EffectiveBy, Event, Example, Phase, Referential, Rule, SortFinal, Start,
    Step, Verified,
};
pub use shipped::{SHIPPED, SHIPPED_PLANS};
pub use stage::{
    Analysis, Group, Simulation, decisions, each_snapshot, first_due, impacts, record_name, record_names,
    simulate, sort_final,
};
pub use texts::RuleTexts;
