//! One request of an AAF file: its attributes gathered, then moved into the columns.

use super::super::columns::RawColumns;
use super::super::xml::{Form, Refusal, attribute};
use super::super::{Place, RawBatch, Request, printable};
use super::ROOT;
use crate::codes::Code;
use crate::contract::Contract;
use crate::finding::Finding;
use quick_xml::events::BytesStart;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// What the header's comments may say; anything else could name somebody.
const HEADER: &[&str] =
    &["versionAF", "versionSDET", "codeAcademieExport", "degre", "dateGenerationExport", "dateDebutExport"];
/// Unknown attributes told one by one; a file with more is not an AAF file of any year.
pub(super) const UNKNOWN_MAX: usize = 1000;

/// Where the reader stands inside a request.
#[derive(Clone, Copy, PartialEq)]
enum Section {
    None,
    Operational,
    Identifier,
    Attributes,
}

#[derive(Clone, Copy, PartialEq)]
enum Verb {
    Add,
    Modify,
    Delete,
}

/// What an attribute's values belong to.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Target {
    None,
    Column(usize),
    Extra(usize),
}

/// What the contract says of an AAF file.
pub(super) struct Layout<'a> {
    pub(super) contract: &'a Contract,
    pub(super) category: &'a str,
    pub(super) identifier: Option<usize>,
    pub(super) delta: bool,
    pub(super) columns: HashMap<Arc<str>, usize, foldhash::fast::RandomState>,
}

/// The request being read: all its texts in one buffer, and who they belong to.
pub(super) struct Requests<'a> {
    layout: Arc<Layout<'a>>,
    /// Attributes that the contract does not name, and where each was first met.
    unknown: BTreeMap<String, (usize, Place)>,
    unknown_names: Vec<String>,
    pub(super) header: Vec<(String, String)>,
    begun: bool,
    place: Place,
    verb: Verb,
    section: Section,
    target: Target,
    /// A modification is something else than a replacement.
    other_operation: bool,
    in_value: bool,
    value_start: usize,
    text: String,
    values: Vec<(Target, Range<usize>)>,
    named: Vec<usize>,
    category: String,
    id: String,
}

impl<'a> Layout<'a> {
    pub(super) fn new(
        contract: &'a Contract,
        category: &'a str,
        identifier: Option<usize>,
        delta: bool,
    ) -> Self {
        let columns = contract
            .columns
            .iter()
            .enumerate()
            .flat_map(|(i, c)| {
                std::iter::once((c.name.clone(), i))
                    .chain(c.aliases.iter().map(move |a| (a.as_str().into(), i)))
            })
            .filter(|(_, i)| Some(*i) != identifier)
            .collect();
        Layout { contract, category, identifier, delta, columns }
    }
}

impl<'a> Requests<'a> {
    pub(super) fn new(layout: Arc<Layout<'a>>) -> Self {
        Requests {
            layout,
            unknown: BTreeMap::new(),
            unknown_names: Vec::new(),
            header: Vec::new(),
            begun: false,
            place: Place::default(),
            verb: Verb::Add,
            section: Section::None,
            target: Target::None,
            other_operation: false,
            in_value: false,
            value_start: 0,
            text: String::new(),
            values: Vec::new(),
            named: Vec::new(),
            category: String::new(),
            id: String::new(),
        }
    }

    /// Attributes unknown so far, and where each was first met; the next batch starts anew.
    pub(super) fn take_unknown(&mut self) -> Vec<(String, Place)> {
        self.unknown_names.clear();
        std::mem::take(&mut self.unknown).into_iter().map(|(name, (_, place))| (name, place)).collect()
    }

    pub(super) fn text_len(&self) -> usize {
        self.text.len()
    }

    fn begin(&mut self, verb: Verb, place: Place) {
        self.begun = true;
        self.place = place;
        self.verb = verb;
        self.section = Section::None;
        self.in_value = false;
        self.other_operation = false;
        self.text.clear();
        self.values.clear();
        self.named.clear();
        self.category.clear();
        self.id.clear();
    }

    fn target_of(
        &mut self,
        tag: &BytesStart<'_>,
        place: &mut dyn FnMut() -> Place,
    ) -> Result<Target, Refusal> {
        let Some(name) = attribute(tag, "name") else {
            return Err((Code::XmlMalformed, "élément sans attribut « name »".into()));
        };
        self.target_named(&name, place)
    }

    pub(super) fn target_named(
        &mut self,
        name: &str,
        place: &mut dyn FnMut() -> Place,
    ) -> Result<Target, Refusal> {
        if let Some(column) = self.layout.columns.get(name) {
            return Ok(Target::Column(*column));
        }
        if let Some((index, _)) = self.unknown.get(name) {
            return Ok(Target::Extra(*index));
        }
        if self.unknown.len() >= UNKNOWN_MAX {
            return Err(too_many_unknown());
        }
        let index = self.unknown_names.len();
        self.unknown_names.push(name.to_owned());
        self.unknown.insert(name.to_owned(), (index, place()));
        Ok(Target::Extra(index))
    }

    /// Moves the finished request, the `record`th of the file, into the columns.
    pub(super) fn emit(
        &mut self,
        record: u64,
        file: &Arc<str>,
        columns: &mut RawColumns,
        batch: &mut RawBatch,
    ) {
        self.place.record = record;
        let layout = self.layout.clone();
        let contract = layout.contract;
        let row = batch.places.len();
        batch.places.push(self.place);
        let text = std::mem::take(&mut self.text);
        let value = |r: &Range<usize>| text.get(r.clone()).unwrap_or_default();
        let column_of = |t: &Target| match t {
            Target::Column(c) => *c,
            _ => usize::MAX,
        };
        // Values of one attribute stay in their order: the sort is stable.
        self.values.sort_by_key(|(t, _)| column_of(t));
        let key = contract.key.first().copied();
        let no_column: Arc<str> = "".into();
        let name = |c: Option<usize>| {
            c.and_then(|c| contract.columns.get(c)).map_or_else(|| no_column.clone(), |c| c.name.clone())
        };
        let key_value = self.values.iter().find(|(t, _)| Some(column_of(t)) == key).map(|(_, r)| value(r));
        let whole = self.verb == Verb::Add;
        let fault = if self.verb != Verb::Add && !layout.delta {
            Some((Code::AafRequest, no_column.clone(), "requête de Delta dans un export Complet".to_owned()))
        } else if self.other_operation {
            Some((Code::AafRequest, no_column.clone(), "modification autre que « replace »".to_owned()))
        } else if self.category != layout.category {
            let message = format!("catégorie « {} » attendue dans ce fichier", layout.category);
            Some((Code::AafCategory, no_column.clone(), message))
        } else if layout.identifier.is_none()
            && (self.id.is_empty() || key_value.map_or(whole, |v| v != self.id))
        {
            let message = "l'élément <id> est vide ou diffère de l'attribut clé";
            Some((Code::AafIdentifier, name(key), message.to_owned()))
        } else if text.contains('\0') || self.id.contains('\0') {
            Some((Code::EncNul, no_column.clone(), "caractère nul dans une valeur".to_owned()))
        } else {
            None
        };
        if layout.delta {
            batch.requests.push(match self.verb {
                Verb::Add => Request::Add,
                Verb::Delete => Request::Delete,
                Verb::Modify => Request::Modify(self.named.clone()),
            });
        }
        if let Some((code, column, message)) = fault {
            batch.broken.push((row, Finding::new(code, self.place.origin(file, &column), message)));
            let mut raw = format!("categorie={}\nid={}", self.category, self.id);
            for (target, range) in &self.values {
                let attribute = match target {
                    Target::Extra(i) => self.unknown_names.get(*i).map_or("", |n| n),
                    _ => contract.columns.get(column_of(target)).map_or("", |c| &*c.name),
                };
                raw.push_str(&format!("\n{attribute}={}", value(range)));
            }
            batch.raw.push((row, raw));
            (0..contract.columns.len()).for_each(|c| columns.push(c, None));
            columns.end_record();
            self.text = text;
            return;
        }
        let mut rest = self.values.as_slice();
        for column in 0..contract.columns.len() {
            let count = rest.iter().take_while(|(t, _)| column_of(t) == column).count();
            let (mine, after) = rest.split_at(count);
            rest = after;
            let is_id = layout.identifier == Some(column) || (!whole && Some(column) == key);
            if is_id {
                columns.push(column, Some(&self.id));
                continue;
            }
            if columns.is_list(column) {
                columns.push_list(column, mine.iter().map(|(_, r)| value(r)));
                continue;
            }
            let mut filled = mine.iter().map(|(_, r)| value(r)).filter(|v| !v.is_empty());
            let first = filled.next();
            if filled.next().is_some() {
                let finding = Finding::new(
                    Code::MultipleValues,
                    self.place.origin(file, &name(Some(column))),
                    "une seule valeur est admise",
                );
                batch.broken.push((row, finding));
                let all: Vec<&str> = mine.iter().map(|(_, r)| value(r)).collect();
                batch.raw.push((row, format!("{}={}", name(Some(column)), all.join("|"))));
            }
            columns.push(column, first);
        }
        for (target, range) in rest {
            if let Target::Extra(i) = target {
                columns.push_extra(self.unknown_names.get(*i).map_or("", |n| n), value(range));
            }
        }
        columns.end_record();
        self.text = text;
    }
}

impl Form for Requests<'_> {
    fn root(&self) -> String {
        ROOT.into()
    }

    fn start(
        &mut self,
        depth: usize,
        tag: &BytesStart<'_>,
        place: &mut dyn FnMut() -> Place,
    ) -> Result<(), Refusal> {
        let name = tag.name();
        let name: &str = name.as_ref();
        match (depth, name) {
            (1, ROOT) => {}
            (1, _) => {
                return Err((
                    Code::XmlRoot,
                    format!("la racine attendue est <{ROOT}>, le fichier porte <{}>", printable(name)),
                ));
            }
            (2, "addRequest") => self.begin(Verb::Add, place()),
            (2, "modifyRequest") => self.begin(Verb::Modify, place()),
            (2, "deleteRequest") => self.begin(Verb::Delete, place()),
            (3, "operationalAttributes") => self.section = Section::Operational,
            (3, "identifier") => self.section = Section::Identifier,
            (3, "attributes") if self.verb == Verb::Add => self.section = Section::Attributes,
            (3, "modifications") if self.verb == Verb::Modify => self.section = Section::Attributes,
            (4, "attr") if self.section == Section::Operational => self.target = Target::None,
            (4, "attr") if self.section == Section::Attributes && self.verb == Verb::Add => {
                self.target = self.target_of(tag, place)?;
            }
            (4, "modification") if self.section == Section::Attributes && self.verb == Verb::Modify => {
                if attribute(tag, "operation").is_some_and(|o| o != "replace") {
                    self.other_operation = true;
                }
                self.target = self.target_of(tag, place)?;
                if let Target::Column(c) = self.target {
                    self.named.push(c);
                }
            }
            (4, "id") if self.section == Section::Identifier => self.open_value(),
            (5, "value") => self.open_value(),
            _ => {
                return Err((
                    Code::XmlMalformed,
                    format!("élément <{}> inattendu à cet endroit", printable(name)),
                ));
            }
        }
        Ok(())
    }

    fn end(&mut self, depth: usize, _name: &str) -> bool {
        match depth {
            2 => return true,
            3 => self.section = Section::None,
            4 if self.in_value => {
                self.in_value = false;
                self.id = self.text.split_off(self.value_start);
            }
            4 => self.target = Target::None,
            5 if self.in_value => {
                self.in_value = false;
                let range = self.value_start..self.text.len();
                match (self.section, self.target) {
                    (Section::Operational, _) => self.category = self.text.split_off(range.start),
                    (Section::Attributes, Target::None) => self.text.truncate(range.start),
                    (Section::Attributes, target) => self.values.push((target, range)),
                    _ => self.text.truncate(range.start),
                }
            }
            _ => {}
        }
        false
    }

    fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn wants_text(&self) -> bool {
        self.in_value
    }

    fn comment(&mut self, text: &str) {
        // versionAF="AAF-VE2407", dateGenerationExport="16/09/2024"…
        if let Some((name, value)) = text.trim().split_once('=')
            && self.header.len() < 20
            && HEADER.contains(&name.trim())
        {
            let value: String = value.trim().trim_matches('"').chars().take(80).collect();
            self.header.push((name.trim().to_owned(), value));
        }
    }

    fn begins_record(&mut self) -> bool {
        std::mem::take(&mut self.begun)
    }
}

/// What the reader of plain runs sets without events.
impl Requests<'_> {
    pub(super) fn begin_add(&mut self, place: Place) {
        self.begin(Verb::Add, place);
        self.begun = false;
    }

    pub(super) fn add_value(&mut self, target: Target, value: &str) {
        let start = self.text.len();
        self.text.push_str(value);
        self.values.push((target, start..self.text.len()));
    }

    pub(super) fn set_category(&mut self, value: &str) {
        value.clone_into(&mut self.category);
    }

    pub(super) fn set_id(&mut self, value: &str) {
        value.clone_into(&mut self.id);
    }
}

impl Requests<'_> {
    fn open_value(&mut self) {
        self.in_value = true;
        self.value_start = self.text.len();
    }
}

/// Why a file with too many unknown attributes is refused.
pub(super) fn too_many_unknown() -> Refusal {
    (Code::FileLimit, format!("plus de {UNKNOWN_MAX} attributs inconnus du contrat"))
}
