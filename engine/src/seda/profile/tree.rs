//! The plan de classement of a class: units, their titles with placeholders, and which files each
//! holds.

use crate::contract::fault_at;
use crate::error::ConfigFault;
use crate::seda::model::Level;
use serde::Deserialize;
use std::collections::BTreeSet;
use toml::Spanned;

/// Kinds of files of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Rows of a table.
    Data,
    /// Table Schema of a table.
    Schema,
    /// Dictionary of a table.
    Dictionary,
    /// What the ingest found in a table.
    Quality,
    /// Editions of the code lists that the tables use.
    Nomenclatures,
    /// Where the records come from.
    Lineage,
    /// All tables in one SIARD archive.
    Siard,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 7] = [
        Kind::Data,
        Kind::Schema,
        Kind::Dictionary,
        Kind::Quality,
        Kind::Nomenclatures,
        Kind::Lineage,
        Kind::Siard,
    ];

    /// There is one for each table.
    pub fn is_of_table(self) -> bool {
        matches!(self, Kind::Data | Kind::Schema | Kind::Dictionary | Kind::Quality)
    }

    /// Name in a profile.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Data => "data",
            Kind::Schema => "schema",
            Kind::Dictionary => "dictionary",
            Kind::Quality => "quality",
            Kind::Nomenclatures => "nomenclatures",
            Kind::Lineage => "lineage",
            Kind::Siard => "siard",
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitFile {
    id: Spanned<String>,
    #[serde(rename = "in")]
    parent: Option<Spanned<String>>,
    each: Option<Each>,
    level: Level,
    title: Spanned<String>,
    description: Option<Spanned<String>>,
    #[serde(default)]
    holds: Vec<Spanned<Kind>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Each {
    Table,
}

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// Title of the class.
    Title,
    /// Description of the class.
    Description,
    /// School year.
    Year,
    /// First day of the records.
    First,
    /// Last day of the records.
    Last,
    /// Agency of the package.
    Producer,
    /// Titles of the tables of the package.
    Tables,
    /// Number of records of the package, with its noun.
    Records,
    /// Name of the table.
    Table,
    /// Its title.
    TableTitle,
    /// What a row of it is.
    TableDescription,
}

const PLACEHOLDERS: [(&str, Placeholder); 11] = [
    ("titre", Placeholder::Title),
    ("description", Placeholder::Description),
    ("annee_scolaire", Placeholder::Year),
    ("debut", Placeholder::First),
    ("fin", Placeholder::Last),
    ("producteur", Placeholder::Producer),
    ("tables", Placeholder::Tables),
    ("enregistrements", Placeholder::Records),
    ("table", Placeholder::Table),
    ("titre_table", Placeholder::TableTitle),
    ("description_table", Placeholder::TableDescription),
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(Placeholder),
}

/// A text with placeholders: `Effectifs, année scolaire {annee_scolaire}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

impl Template {
    fn parse(text: &str, of_table: bool) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            pieces.push(Piece::Text(before.to_owned()));
            let Some((name, after)) = after.split_once('}') else {
                return Err("une accolade ouverte n'est pas fermée".into());
            };
            let Some((_, placeholder)) = PLACEHOLDERS.iter().find(|(n, _)| *n == name) else {
                let known = PLACEHOLDERS.map(|(n, _)| format!("{{{n}}}")).join(", ");
                return Err(format!("« {{{name}}} » ne veut rien dire ; admis : {known}"));
            };
            use Placeholder as P;
            if !of_table && matches!(placeholder, P::Table | P::TableTitle | P::TableDescription) {
                return Err(format!(
                    "« {{{name}}} » n'a de sens que dans une unité par table (each = \"table\")"
                ));
            }
            pieces.push(Piece::Name(*placeholder));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Template(pieces))
    }

    /// The text, `say` giving the value of each placeholder.
    pub fn fill<'a>(&self, say: impl Fn(Placeholder) -> &'a str) -> String {
        self.0
            .iter()
            .map(|p| match p {
                Piece::Text(t) => t.as_str(),
                Piece::Name(n) => say(*n),
            })
            .collect()
    }
}

/// A unit of the plan.
#[derive(Debug, Clone)]
pub struct Node {
    /// Rank of its parent in the tree; none for the root.
    pub parent: Option<usize>,
    /// It is repeated for each table.
    pub each_table: bool,
    /// Level of description.
    pub level: Level,
    /// Title.
    pub title: Template,
    /// Scope and content.
    pub description: Option<Template>,
    /// Files whose units it holds.
    pub holds: Vec<Kind>,
}

/// A plan de classement: parents before their children, one root.
#[derive(Debug, Clone)]
pub struct Tree(pub Vec<Node>);

impl Tree {
    /// Reads the units of a file, every fault with its place.
    pub(super) fn read(
        file: &str,
        text: &str,
        units: Vec<Spanned<UnitFile>>,
        faults: &mut Vec<ConfigFault>,
    ) -> Self {
        let mut nodes: Vec<Node> = Vec::new();
        let mut names: Vec<String> = Vec::new();
        let mut of_table: Vec<bool> = Vec::new();
        let mut held: BTreeSet<Kind> = BTreeSet::new();
        let mut fault = |at: usize, message: String| faults.push(fault_at(file, text, at, message));
        let start = units.first().map_or(0, |u| u.span().start);
        for unit in units {
            let at = unit.span().start;
            let unit = unit.into_inner();
            if names.contains(unit.id.get_ref()) {
                fault(
                    unit.id.span().start,
                    format!("l'unité « {} » est décrite deux fois", unit.id.get_ref()),
                );
            }
            let parent = match &unit.parent {
                None => {
                    if !nodes.is_empty() {
                        fault(at, "le plan a déjà une racine : dites dans quelle unité celle-ci se range (in = \"…\")".into());
                    }
                    None
                }
                Some(name) => {
                    let found = names.iter().position(|n| n == name.get_ref());
                    if found.is_none() {
                        fault(
                            name.span().start,
                            format!(
                                "l'unité « {} » n'est pas décrite plus haut : une unité suit celle qui la contient",
                                name.get_ref()
                            ),
                        );
                    }
                    found
                }
            };
            let each_table = unit.each.is_some();
            let inside = parent.and_then(|p| of_table.get(p)).copied().unwrap_or(false);
            if each_table && (inside || nodes.is_empty()) {
                fault(
                    at,
                    "une unité par table ne peut être la racine, ni se ranger dans une autre unité par table"
                        .into(),
                );
            }
            let within = inside || each_table;
            let mut template = |t: &Spanned<String>| {
                if t.get_ref().trim().is_empty() {
                    fault(
                        t.span().start,
                        "texte vide : les services d'archives refusent une unité sans titre".into(),
                    );
                }
                Template::parse(t.get_ref(), within).unwrap_or_else(|message| {
                    fault(t.span().start, message);
                    Template(Vec::new())
                })
            };
            let title = template(&unit.title);
            let description = unit.description.as_ref().map(template);
            for kind in &unit.holds {
                let (at, kind) = (kind.span().start, *kind.get_ref());
                if !held.insert(kind) {
                    fault(at, format!("« {} » est rangé deux fois", kind.as_str()));
                }
                if kind.is_of_table() != within {
                    let place = if kind.is_of_table() {
                        "dans une unité par table"
                    } else {
                        "hors des unités par table"
                    };
                    fault(at, format!("« {} » se range {place}", kind.as_str()));
                }
            }
            names.push(unit.id.into_inner());
            of_table.push(within);
            let holds = unit.holds.into_iter().map(Spanned::into_inner).collect();
            nodes.push(Node { parent, each_table, level: unit.level, title, description, holds });
        }
        let missing: Vec<&str> = Kind::ALL.iter().filter(|k| !held.contains(k)).map(|k| k.as_str()).collect();
        if !missing.is_empty() {
            fault(
                start,
                format!(
                    "le plan ne range pas : {} ; tout fichier du paquet a sa place (holds = […])",
                    missing.join(", ")
                ),
            );
        }
        Tree(nodes)
    }
}
