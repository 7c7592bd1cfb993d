//! One file through reader and validator, into a sink. With two threads one parses while the
//! other judges; batches keep their order, so the result is the same.

use super::judge::{Judged, Validator};
use crate::domain::AnneeScolaire;
use crate::error::{Error, Result};
use crate::finding::{Finding, Severity};
use crate::source::{self, Limits, RawBatch};
use arrow::record_batch::RecordBatch;
use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// Takes what validation gives.
pub trait Sink {
    /// Accepted records of a school year.
    ///
    /// # Errors
    /// When they cannot be written.
    fn accepted(&mut self, year: AnneeScolaire, batch: &RecordBatch) -> Result<()>;
    /// Rejected records.
    ///
    /// # Errors
    /// When they cannot be written.
    fn rejected(&mut self, batch: &RecordBatch) -> Result<()>;
    /// A finding.
    fn finding(&mut self, finding: Finding);
}

/// Counts of one file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileOutcome {
    /// Records read.
    pub read: u64,
    /// Records accepted.
    pub accepted: u64,
    /// Records in quarantine.
    pub rejected: u64,
    /// The file stopped being readable: its delivery is refused.
    pub refused: bool,
}

/// Validates a file.
///
/// # Errors
/// When reading or writing fails; what is wrong in the file goes to the sink as findings.
pub fn validate_file<'a>(
    validator: &mut Validator<'a>,
    file: &str,
    input: Box<dyn Read + Send + 'a>,
    limits: Limits,
    threads: usize,
    sink: &mut dyn Sink,
) -> Result<FileOutcome> {
    let name: Arc<str> = file.into();
    let mut reader = source::open(validator.contract(), file, input, limits);
    let mut outcome = FileOutcome::default();
    if threads < 2 {
        while let Some(batch) = reader.next_batch()? {
            take(validator, &name, batch, &mut outcome, sink)?;
        }
    } else {
        std::thread::scope(|scope| -> Result<()> {
            let reader = &mut reader;
            let (sender, receiver) = sync_channel::<Result<RawBatch>>(4);
            let parser = scope.spawn(move || {
                while let Some(batch) = reader.next_batch().transpose() {
                    let failed = batch.is_err();
                    if sender.send(batch).is_err() || failed {
                        break;
                    }
                }
            });
            for batch in receiver {
                take(validator, &name, batch?, &mut outcome, sink)?;
            }
            parser.join().map_err(|_| Error::Corrupt("le lecteur s'est arrêté sans le dire".into()))
        })?;
    }
    let end = reader.finish();
    for finding in end.findings.into_iter().chain(end.refusal) {
        outcome.refused |= finding.severity == Severity::Refusal;
        sink.finding(finding);
    }
    validator.end_file(outcome.read);
    if outcome.read != outcome.accepted + outcome.rejected {
        return Err(Error::Corrupt(format!("{file} : lus ≠ acceptés + rejetés")));
    }
    Ok(outcome)
}

fn take(
    validator: &mut Validator<'_>,
    name: &Arc<str>,
    batch: RawBatch,
    outcome: &mut FileOutcome,
    sink: &mut dyn Sink,
) -> Result<()> {
    let Judged { accepted, rejected, findings, read, accepted_count } = validator.judge(name, batch)?;
    outcome.read += read;
    outcome.accepted += accepted_count;
    if let Some(batch) = rejected {
        outcome.rejected += batch.num_rows() as u64;
        sink.rejected(&batch)?;
    }
    for (year, batch) in accepted {
        sink.accepted(year, &batch)?;
    }
    findings.into_iter().for_each(|f| sink.finding(f));
    Ok(())
}
