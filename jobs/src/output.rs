//! What people see: progress on stderr, results on stdout.

use cartulaire_engine::error::Result;
use cartulaire_engine::french::thousands;
use cartulaire_engine::run::Progress;
use cartulaire_engine::store::{StepRow, files};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::path::Path;

/// How much to show.
pub struct Shown {
    /// One JSON document on stdout and nothing else there.
    pub json: bool,
    /// Only errors.
    pub quiet: bool,
    bar: RefCell<Option<ProgressBar>>,
    bars: bool,
}

impl Shown {
    /// From the command line; bars only on a terminal.
    pub fn new(json: bool, quiet: bool, no_progress: bool) -> Self {
        let bars = !quiet && !no_progress && std::io::stderr().is_terminal();
        Shown { json, quiet, bar: RefCell::new(None), bars }
    }

    /// Writes a result for people.
    pub fn say(&self, text: &str) {
        if !self.json && !self.quiet {
            write_out(text);
        }
    }

    /// Writes a document that was asked for as it is.
    pub fn raw(&self, text: &str) {
        write_out(text.trim_end());
    }

    /// Writes a document that was asked for into a file, or as it is.
    pub fn deliver(&self, out: Option<&Path>, text: &str) -> Result<()> {
        match out {
            Some(path) => {
                files::write_atomic(path, text.as_bytes())?;
                self.document(&json!({"path": path.display().to_string()}));
                self.say(&format!("« {} » écrit.", path.display()));
            }
            None => self.raw(text),
        }
        Ok(())
    }

    /// Writes the JSON document, when it is wanted: straight out, however long it is.
    pub fn document(&self, value: &impl serde::Serialize) {
        if self.json {
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            // A closed pipe is not an error of ours.
            let _ = serde_json::to_writer_pretty(&mut out, value).map(|()| writeln!(out));
        }
    }
}

/// A closed pipe is not an error of ours.
pub fn write_out(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
}

impl Progress for Shown {
    fn begin(&self, step: &str) {
        if self.bars {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{msg:22} [{bar:32}] {pos}/{len} {elapsed}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_message(french_step(step));
            self.bar.replace(Some(bar));
        }
    }

    fn advance(&self, done: u64, total: u64) {
        if let Some(bar) = &*self.bar.borrow() {
            bar.set_length(total);
            bar.set_position(done);
        }
    }

    fn end(&self, _step: &StepRow) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Name of a step for people.
pub fn french_step(name: &str) -> &'static str {
    match name {
        "receive" => "réception",
        "ingest" => "ingestion et contrôle",
        "extract" => "données ouvertes",
        "sort-final" => "sort final",
        "elimination" => "liste d'élimination",
        "package" => "paquets SEDA",
        _ => "étape",
    }
}

/// A table: columns as wide as their widest cell, numbers to the right.
pub fn table(header: &[&str], rows: &[Vec<String>], numbers: &[usize]) -> String {
    let width = |i: usize| {
        let cells = rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count());
        cells.chain(header.get(i).map(|h| h.chars().count())).max().unwrap_or(0)
    };
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.enumerate().map(|(i, c)| {
            let fill = " ".repeat(width(i).saturating_sub(c.chars().count()));
            if numbers.contains(&i) { format!("{fill}{c}") } else { format!("{c}{fill}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut out = vec![line(&mut header.iter().copied())];
    let rule: Vec<String> = (0..header.len()).map(|i| "─".repeat(width(i))).collect();
    out.push(line(&mut rule.iter().map(String::as_str)));
    out.extend(rows.iter().map(|r| line(&mut r.iter().map(String::as_str))));
    out.join("\n")
}

/// The table that ends a run.
pub fn steps_table(steps: &[StepRow]) -> String {
    let rows: Vec<Vec<String>> = steps
        .iter()
        .map(|s| {
            let outputs: Vec<String> = serde_json::from_str(&s.outputs).unwrap_or_default();
            let shown = match outputs.as_slice() {
                [] => String::new(),
                [one] => one.clone(),
                [first, rest @ ..] => format!("{first} (+{})", rest.len()),
            };
            let mut name = french_step(&s.name).to_owned();
            if s.status == "gated" {
                name.push_str(" (refus)");
            }
            let seconds = format!("{},{} s", s.millis / 1000, s.millis % 1000 / 100);
            vec![
                name,
                thousands(s.read),
                thousands(s.accepted),
                thousands(s.rejected),
                thousands(s.excluded),
                seconds,
                shown,
            ]
        })
        .collect();
    table(&["étape", "lus", "acceptés", "rejetés", "exclus", "durée", "sorties"], &rows, &[1, 2, 3, 4, 5])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let t = table(&["é", "n"], &[vec!["abc".into(), "1".into()], vec!["d".into(), "22".into()]], &[1]);
        assert_eq!(t, "é     n\n───  ──\nabc   1\nd    22");
    }
}
