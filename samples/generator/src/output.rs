//! Writes records in their frame, spoils one in fifty, and tells the truth file where.

use crate::faults::{Act, Recipe};
use crate::frame::{Frame, Row, Table, lines};
use crate::rng::{Purpose, Rng};
use crate::world::{Day, Year};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Records before the first fault: a table of fewer than fifteen stays clean.
const CLEAN_START: u64 = 14;
/// Records between two faults: fifty on average, never so few that a delivery would be refused.
const GAP: (u64, u64) = (25, 75);

/// A file written: its folder, the school year that it belongs to, its records.
pub struct Written {
    pub name: String,
    pub folder: PathBuf,
    pub year: String,
    pub records: u64,
}

/// What is delivered in a night, or in the nights of several school years, and the truth about it.
pub struct Night {
    dir: PathBuf,
    /// Whether the files of each night have a folder of their own, named by its day.
    by_night: bool,
    folder: PathBuf,
    year: String,
    truth: BufWriter<File>,
    last_file: String,
    pub seed: u64,
    pub records: u64,
    files: Vec<Written>,
    /// Records that the planted faults reject, by file.
    rejected: HashMap<String, HashSet<u64>>,
    pub findings: BTreeMap<&'static str, u64>,
    pub wrong: u64,
}

impl Night {
    pub fn create(dir: PathBuf, seed: u64, pupils: u64, by_night: bool) -> Result<Self> {
        std::fs::create_dir_all(&dir)?;
        let mut truth = BufWriter::new(File::create(beside(&dir, ".truth.json"))?);
        write!(truth, "{{\"seed\":{seed},\"pupils\":{pupils},\"findings\":[")?;
        Ok(Night {
            folder: dir.clone(),
            dir,
            by_night,
            year: String::new(),
            truth,
            last_file: String::new(),
            seed,
            records: 0,
            files: Vec::new(),
            rejected: HashMap::new(),
            findings: BTreeMap::new(),
            wrong: 0,
        })
    }

    /// The files that come next belong to this school year and this night.
    pub fn begin(&mut self, year: &Year, (y, m, d): Day) -> Result<()> {
        self.year = year.label();
        if self.by_night {
            self.folder = self.dir.join(format!("{y}-{m:02}-{d:02}"));
            std::fs::create_dir_all(&self.folder)?;
        }
        Ok(())
    }

    fn tell(&mut self, file: &str, line: u64, record: u64, recipe: &Recipe) -> Result<()> {
        self.wrong += 1;
        self.rejected.entry(file.to_owned()).or_default().insert(record);
        self.warn(file, line, record, recipe.column, recipe.code)
    }

    /// Tells a finding that does not reject its record.
    pub fn warn(
        &mut self,
        file: &str,
        line: u64,
        record: u64,
        column: &str,
        code: &'static str,
    ) -> Result<()> {
        let comma = if self.findings.is_empty() { "" } else { "," };
        *self.findings.entry(code).or_default() += 1;
        // Names, columns and codes are plain ASCII: nothing to escape.
        write!(
            self.truth,
            "{comma}\n{{\"file\":\"{file}\",\"line\":{line},\"record\":{record},\
             \"column\":\"{column}\",\"code\":\"{code}\"}}"
        )?;
        Ok(())
    }

    /// Files written, in the order of their names.
    pub fn files(&self) -> &[Written] {
        &self.files
    }

    /// Where a file was written.
    pub fn path(&self, file: &str) -> PathBuf {
        let folder = self.files.iter().find(|w| w.name == file).map_or(&self.dir, |w| &w.folder);
        folder.join(file)
    }

    /// Where what is said of the whole goes: beside the folder, its name and this end.
    pub fn beside(&self, end: &str) -> PathBuf {
        beside(&self.dir, end)
    }

    /// Records of a file that must be rejected.
    pub fn rejected(&self, file: &str) -> HashSet<u64> {
        self.rejected.get(file).cloned().unwrap_or_default()
    }

    pub fn finish(&mut self) -> Result<()> {
        self.truth.write_all(b"\n]}\n")?;
        self.truth.flush()?;
        // Parts of an earlier, bigger night would be read with this one.
        let folders: BTreeSet<&PathBuf> = self.files.iter().map(|w| &w.folder).collect();
        for folder in folders {
            let files = self.files.iter().filter(|w| w.folder == *folder).count();
            if std::fs::read_dir(folder)?.count() != files {
                eprintln!("{}: holds other files, which the truth does not cover", folder.display());
            }
        }
        Ok(())
    }
}

fn beside(dir: &Path, end: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Writes the files of one table.
pub struct Output<'n> {
    night: &'n mut Night,
    table: Table,
    file: String,
    writer: Option<BufWriter<File>>,
    rng: Rng,
    line: u64,
    record: u64,
    seen: u64,
    due: u64,
    turn: usize,
    row: Row,
    bytes: Vec<u8>,
    /// A right record of this file, for copies.
    earlier: Vec<u8>,
}

impl<'n> Output<'n> {
    pub fn new(night: &'n mut Night, table: Table) -> Self {
        let rng = Rng::of(night.seed, Purpose::Faults, 0);
        let turn = table.turn;
        Output {
            night,
            table,
            file: String::new(),
            writer: None,
            rng,
            line: 1,
            record: 0,
            seen: 0,
            due: 0,
            turn,
            row: Row::default(),
            bytes: Vec::new(),
            earlier: Vec::new(),
        }
    }

    /// Opens a file. Files come in the order of their names, so that the truth needs no sorting.
    pub fn start(&mut self, file: String) -> Result<()> {
        if file <= self.night.last_file {
            return Err(format!("{file} written after {}", self.night.last_file).into());
        }
        let mut writer = BufWriter::with_capacity(1 << 18, File::create(self.night.folder.join(&file))?);
        writer.write_all(self.table.preamble.as_bytes())?;
        self.line = 1 + lines(self.table.preamble.as_bytes());
        self.night.last_file.clone_from(&file);
        let (folder, year) = (self.night.folder.clone(), self.night.year.clone());
        self.night.files.push(Written { name: file.clone(), folder, year, records: 0 });
        let name_hash = file.bytes().fold(0_u64, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)));
        self.rng = Rng::of(self.night.seed, Purpose::Faults, name_hash);
        self.due = CLEAN_START + self.rng.below(4);
        (self.record, self.seen) = (0, 0);
        self.earlier.clear();
        (self.file, self.writer) = (file, Some(writer));
        Ok(())
    }

    pub fn end(&mut self) -> Result<()> {
        if let Some(mut writer) = self.writer.take() {
            writer.write_all(self.table.postamble.as_bytes())?;
            writer.flush()?;
        }
        if let Some(written) = self.night.files.last_mut() {
            written.records = self.record;
        }
        Ok(())
    }

    /// Records written in the present file.
    pub fn records(&self) -> u64 {
        self.record
    }

    /// The empty row to fill.
    pub fn row(&mut self) -> &mut Row {
        self.row.clear();
        &mut self.row
    }

    /// Writes the row; `spare` rows are never spoiled.
    pub fn emit(&mut self, spare: bool) -> Result<()> {
        if self.row.len() != self.table.columns.len() {
            return Err(format!("{}: {} values", self.file, self.row.len()).into());
        }
        let due = !spare && self.seen >= self.due;
        self.seen += 1;
        let recipes = &self.table.recipes;
        let recipe = due.then(|| recipes.get(self.turn % recipes.len().max(1)).copied()).flatten();
        let Some(recipe) = recipe else {
            self.table.render(&self.row, None, &mut self.bytes);
            if self.earlier.is_empty() {
                self.earlier.clone_from(&self.bytes);
            }
            return self.flush_record(None);
        };
        self.due = self.seen + self.rng.between(GAP.0, GAP.1);
        self.turn += 1;
        if matches!(recipe.act, Act::CopyOfEarlier) {
            self.table.render(&self.row, None, &mut self.bytes);
            self.flush_record(None)?;
            std::mem::swap(&mut self.bytes, &mut self.earlier);
        } else {
            self.spoil(recipe);
            self.table.render(&self.row, Some(recipe), &mut self.bytes);
        }
        self.flush_record(Some(recipe))
    }

    fn flush_record(&mut self, recipe: Option<&Recipe>) -> Result<()> {
        self.record += 1;
        self.night.records += 1;
        if let Some(recipe) = recipe {
            self.night.tell(&self.file, self.line, self.record, recipe)?;
        }
        if let Some(writer) = &mut self.writer {
            writer.write_all(&self.bytes)?;
        }
        // A CSV value never holds a line feed here: no need to count.
        self.line += if matches!(self.table.frame, Frame::Csv) { 1 } else { lines(&self.bytes) };
        Ok(())
    }

    fn cell(&mut self, column: &str) -> Option<&mut String> {
        let at = self.table.columns.iter().position(|c| c == column)?;
        self.row.cell(at)
    }

    fn spoil(&mut self, recipe: &Recipe) {
        let (other, value) = match recipe.act {
            Act::Set(value) => (None, value),
            Act::SetWith(value, column, other) => (Some((column, other)), value),
            Act::SecondValue(value) => {
                if let Some(cell) = self.cell(recipe.column) {
                    // An empty first value would not count as one.
                    *cell =
                        if cell.is_empty() { format!("{value}|{value}") } else { format!("{cell}|{value}") };
                }
                return;
            }
            Act::WrongLetter => {
                if let Some(cell) = self.cell(recipe.column) {
                    let wrong = if cell.ends_with('A') { 'B' } else { 'A' };
                    cell.pop();
                    cell.push(wrong);
                }
                return;
            }
            _ => return,
        };
        for (column, value) in [Some((recipe.column, value)), other].into_iter().flatten() {
            if let Some(cell) = self.cell(column) {
                value.clone_into(cell);
            }
        }
    }
}
