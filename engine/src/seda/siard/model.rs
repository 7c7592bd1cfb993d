//! What an archive says of its tables.

use crate::error::{Error, Result};
use chrono::NaiveDate;
use std::collections::BTreeSet;

/// Longest list that a cell may hold: the table's schema names every place of it.
pub const MAX_LIST: usize = 10_000;

/// Digits of the widest decimal: what an `i128` holds for certain.
const MAX_PRECISION: u8 = 38;

/// An archived database. Texts are for people, in French; `name`, `owner` and `timespan` may not be
/// empty (eCH-0165, metadata of the database).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Name.
    pub name: String,
    /// What it holds.
    pub description: String,
    /// Office and institution that answer for the data.
    pub owner: String,
    /// When the data were entered ("2025-2026").
    pub timespan: String,
    /// Program that writes the archive, with its version.
    pub producer: String,
    /// Day of the archive.
    pub date: NaiveDate,
    /// Its only schema.
    pub schema: Schema,
}

/// A named set of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Name.
    pub name: String,
    /// What it holds.
    pub description: String,
    /// Tables, in the order of the archive.
    pub tables: Vec<Table>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Name, alone of its kind.
    pub name: String,
    /// What a row is.
    pub description: String,
    /// Columns, in order.
    pub columns: Vec<Column>,
    /// Columns that are never null and single out a row.
    pub primary_key: Option<Key>,
    /// References to other tables of the archive.
    pub foreign_keys: Vec<ForeignKey>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// What it holds.
    pub description: String,
    /// Type.
    pub kind: Kind,
    /// Whether cells may be null.
    pub nullable: bool,
}

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 64-bit integer: `BIGINT`.
    Integer,
    /// Exact decimal: `DECIMAL(precision, scale)`.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, at most `precision`.
        scale: u8,
    },
    /// `BOOLEAN`.
    Boolean,
    /// Day: `DATE`.
    Date,
    /// Time of day in whole seconds, in no time zone: `TIME`.
    Time,
    /// Length of time in whole seconds: `INTERVAL SECOND`.
    Seconds,
    /// Text: `VARCHAR` of the longest value met, `CLOB` above 4,000 characters.
    Text,
    /// Several texts: an array of `VARCHAR`, as long as the longest list met.
    List,
}

/// A named key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Name.
    pub name: String,
    /// Names of its columns.
    pub columns: Vec<String>,
}

/// A reference to a key of another table, or of the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// Name.
    pub name: String,
    /// Table that is referred to.
    pub table: String,
    /// Pairs: the column here, the column there. The columns there are a key of their table.
    pub columns: Vec<(String, String)>,
    /// What is to be known of it.
    pub description: String,
}

impl Database {
    /// Checks that the model says nothing that SQL or the standard refuses.
    ///
    /// # Errors
    /// `SIARD_MODEL` with every fault, one a line.
    pub fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        for (what, text) in
            [("le nom de la base", &self.name), ("le détenteur", &self.owner), ("la période", &self.timespan)]
        {
            if text.is_empty() {
                faults.push(format!("{what} manque"));
            }
        }
        let tables = &self.schema.tables;
        if tables.is_empty() {
            faults.push("aucune table".into());
        }
        for name in repeated(tables.iter().map(|t| t.name.as_str())) {
            faults.push(format!("table « {name} » donnée deux fois"));
        }
        for table in tables {
            let found = table.faults(tables);
            faults.extend(found.into_iter().map(|f| format!("table « {} » : {f}", table.name)));
        }
        if faults.is_empty() {
            return Ok(());
        }
        Err(Error::Refused { code: "SIARD_MODEL", message: faults.join("\n") })
    }
}

impl Table {
    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    fn faults(&self, tables: &[Table]) -> Vec<String> {
        let mut faults = Vec::new();
        if self.columns.is_empty() {
            faults.push("aucune colonne".into());
        }
        for name in repeated(self.columns.iter().map(|c| c.name.as_str())) {
            faults.push(format!("colonne « {name} » donnée deux fois"));
        }
        for c in &self.columns {
            if let Kind::Decimal { precision, scale } = c.kind
                && !(1..=MAX_PRECISION).contains(&precision) | (scale > precision)
            {
                faults.push(format!("colonne « {} » : décimal ({precision}, {scale}) impossible", c.name));
            }
        }
        for key in self.primary_key.iter() {
            if key.columns.is_empty() {
                faults.push(format!("clé « {} » sans colonne", key.name));
            }
            for name in &key.columns {
                match self.column(name) {
                    None => faults.push(format!("clé « {} » : colonne « {name} » inconnue", key.name)),
                    Some(c) if c.kind == Kind::List => {
                        faults.push(format!("clé « {} » : « {name} » a plusieurs valeurs", key.name));
                    }
                    Some(c) if c.nullable => {
                        faults.push(format!("clé primaire « {} » : « {name} » peut être vide", key.name));
                    }
                    Some(_) => {}
                }
            }
        }
        for key in &self.foreign_keys {
            self.check_foreign(key, tables, &mut faults);
        }
        let names = self.primary_key.iter().map(|k| &k.name);
        for name in repeated(names.chain(self.foreign_keys.iter().map(|k| &k.name)).map(String::as_str)) {
            faults.push(format!("clé « {name} » donnée deux fois"));
        }
        faults
    }

    fn check_foreign(&self, key: &ForeignKey, tables: &[Table], faults: &mut Vec<String>) {
        let mut fault = |text: String| faults.push(format!("clé étrangère « {} » : {text}", key.name));
        let Some(target) = tables.iter().find(|t| t.name == key.table) else {
            return fault(format!("la table « {} » n'est pas dans l'archive", key.table));
        };
        for (here, _) in &key.columns {
            match self.column(here) {
                None => fault(format!("colonne « {here} » inconnue")),
                Some(c) if c.kind == Kind::List => fault(format!("« {here} » a plusieurs valeurs")),
                Some(_) => {}
            }
        }
        let there: BTreeSet<&str> = key.columns.iter().map(|(_, there)| there.as_str()).collect();
        let is_key = |k: &Key| {
            there.len() == key.columns.len() && there == k.columns.iter().map(String::as_str).collect()
        };
        if !target.primary_key.iter().any(is_key) {
            fault(format!("les colonnes visées ne sont pas une clé de « {} »", key.table));
        }
    }
}

/// Names that come more than once, each said once.
fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| !seen.insert(*name)).collect()
}
