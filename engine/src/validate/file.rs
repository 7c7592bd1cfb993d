//! One file through reader and judges, into a sink. Cutting the file into runs of records is
//! sequential; parsing, judging and encoding a run is done by whoever is free; what comes out is
//! taken in the order of the file, so that one thread or two give the same bytes.

use super::judge::{Judge, Judged};
use crate::domain::AnneeScolaire;
use crate::error::{Error, Result};
use crate::finding::{Finding, Severity};
use crate::source::{
    self, Chunk, Delivered, Limits, Place, RecordReader, too_many_unknown, unknown_attributes,
};
use crate::store::Encoded;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

/// Takes what validation gives, in the order of the file. `table` counts the document's contracts.
pub trait Sink {
    /// Whether accepted and rejected records are wanted; otherwise they are only counted.
    fn wants_rows(&self) -> bool;
    /// Accepted records of a school year.
    ///
    /// # Errors
    /// When they cannot be written.
    fn accepted(&mut self, table: usize, year: AnneeScolaire, rows: Encoded) -> Result<()>;
    /// Rejected records.
    ///
    /// # Errors
    /// When they cannot be written.
    fn rejected(&mut self, table: usize, rows: Encoded) -> Result<()>;
    /// A finding.
    fn finding(&mut self, table: usize, finding: Finding);
    /// What else the batch says; its records were taken already.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn side(&mut self, table: usize, judged: Judged) -> Result<()>;
}

/// Counts of one file or table.
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

impl FileOutcome {
    /// Adds another.
    pub fn add(&mut self, other: FileOutcome) {
        self.read += other.read;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.refused |= other.refused;
    }
}

/// What a file as a whole said.
pub struct FileSaid {
    /// Counts by table.
    pub tables: Vec<FileOutcome>,
    /// What the file says of itself.
    pub metadata: Vec<(String, String)>,
}

/// How much of the machine a validation may use, and the bounds of its input.
#[derive(Debug, Clone, Copy)]
pub struct Means {
    /// Threads that parse, judge and encode.
    pub threads: usize,
    /// Bounds.
    pub limits: Limits,
}

/// A judged and encoded run of records.
struct Done {
    table: usize,
    judged: Judged,
    accepted: Vec<(AnneeScolaire, Encoded)>,
    rejected: Option<(u64, Encoded)>,
    unknown: Vec<(String, Place)>,
    stop: Option<Finding>,
}

/// What the batches of a file said together, up to where it could be read.
struct Gathered<'s> {
    outcomes: Vec<FileOutcome>,
    unknown: BTreeMap<String, Place>,
    stop: Option<Finding>,
    name: &'s Arc<str>,
    sink: &'s mut dyn Sink,
}

/// Validates a file. `bases` are the records of each table in the files before.
///
/// # Errors
/// When reading or writing fails; what is wrong in the file goes to the sink as findings.
pub fn validate_file<'a>(
    judges: &[Judge<'a>],
    file: Delivered<'_>,
    bases: &[u64],
    file_number: usize,
    means: Means,
    sink: &mut dyn Sink,
) -> Result<FileSaid> {
    let name: Arc<str> = file.name.into();
    let contracts: Vec<_> = judges.iter().map(Judge::contract).collect();
    let mut reader = source::open(&contracts, file, means.limits);
    let mut gathered = Gathered {
        outcomes: vec![FileOutcome::default(); judges.len()],
        unknown: BTreeMap::new(),
        stop: None,
        name: &name,
        sink,
    };
    let work = Work { judges, bases, file_number, name: &name, encode: gathered.sink.wants_rows() };
    if means.threads < 2 {
        while gathered.stop.is_none()
            && let Some(chunk) = reader.next_chunk()?
        {
            gathered.take(work.run(chunk)?)?;
        }
    } else {
        parallel(&work, reader.as_mut(), means.threads, &mut gathered)?;
    }
    let end = reader.finish();
    let Gathered { mut outcomes, mut unknown, stop, sink, .. } = gathered;
    if stop.is_none() {
        end.unknown.into_iter().for_each(|(name, place)| {
            unknown.entry(name).or_insert(place);
        });
    }
    // What stopped the reading first is the reason, whatever the reader met further on.
    let refusal = stop.or(end.refusal);
    for finding in end.findings.into_iter().chain(unknown_attributes(&name, &unknown)).chain(refusal) {
        let refused = finding.severity == Severity::Refusal;
        outcomes.iter_mut().for_each(|o| o.refused |= refused);
        sink.finding(0, finding);
    }
    if outcomes.iter().any(|o| o.read != o.accepted + o.rejected) {
        return Err(Error::Corrupt(format!("{name} : lus ≠ acceptés + rejetés")));
    }
    Ok(FileSaid { tables: outcomes, metadata: end.metadata })
}

struct Work<'w, 'a> {
    judges: &'w [Judge<'a>],
    bases: &'w [u64],
    file_number: usize,
    name: &'w Arc<str>,
    encode: bool,
}

impl Work<'_, '_> {
    fn run(&self, chunk: Chunk<'_>) -> Result<Done> {
        let mut raw = chunk.parse();
        let table = raw.table;
        let (unknown, stop) = (std::mem::take(&mut raw.unknown), raw.stop.take());
        let judge = self.judges.get(table).ok_or_else(|| Error::Corrupt("table sans contrat".into()))?;
        let base = self.bases.get(table).copied().unwrap_or(0);
        let mut judged = judge.judge(self.name, base, self.file_number, raw)?;
        let (accepted, rejected) = (std::mem::take(&mut judged.accepted), judged.rejected.take());
        let rejected_records = judged.read - judged.accepted_count;
        let encode = |batch: &arrow::record_batch::RecordBatch| match self.encode {
            true => Encoded::new(batch),
            false => Ok(Encoded::counted(batch.num_rows())),
        };
        Ok(Done {
            table,
            accepted: accepted.iter().map(|(y, b)| Ok((*y, encode(b)?))).collect::<Result<_>>()?,
            rejected: rejected.map(|b| Ok::<_, Error>((rejected_records, encode(&b)?))).transpose()?,
            judged,
            unknown,
            stop,
        })
    }
}

/// Workers take the next run under a lock; a permit a run bounds what waits to be written.
fn parallel<'r>(
    work: &Work<'_, '_>,
    reader: &mut (dyn RecordReader<'r> + 'r),
    threads: usize,
    gathered: &mut Gathered<'_>,
) -> Result<()> {
    let source = Mutex::new((reader, 0_u64, false));
    let (permit, permits) = sync_channel::<()>(threads + 1);
    let permits = Mutex::new(permits);
    for _ in 0..=threads {
        let _ = permit.send(());
    }
    let (done, ready) = sync_channel::<(u64, Result<Done>)>(threads + 1);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (done, source, permits) = (done.clone(), &source, &permits);
            scope.spawn(move || worker(work, source, permits, &done));
        }
        drop(done);
        let mut next = 0;
        let mut early: BTreeMap<u64, Done> = BTreeMap::new();
        let mut failure = None;
        for (number, result) in ready {
            match result {
                Ok(d) => {
                    early.insert(number, d);
                }
                Err(e) => {
                    failure.get_or_insert(e);
                }
            }
            while failure.is_none()
                && gathered.stop.is_none()
                && let Some(d) = early.remove(&next)
            {
                next += 1;
                if let Err(e) = gathered.take(d) {
                    failure = Some(e);
                }
                let _ = permit.try_send(());
            }
            if failure.is_some() || gathered.stop.is_some() {
                if let Ok(mut source) = source.lock() {
                    source.2 = true;
                }
                // Wakes whoever waits for a permit, so that it sees the end.
                for _ in 0..threads {
                    let _ = permit.try_send(());
                }
            }
        }
        // Past a stop, nothing was to be read: what failed there does not count.
        failure.filter(|_| gathered.stop.is_none()).map_or(Ok(()), Err)
    })
}

type Source<'s, 'r> = Mutex<(&'s mut (dyn RecordReader<'r> + 'r), u64, bool)>;

fn worker(
    work: &Work<'_, '_>,
    source: &Source<'_, '_>,
    permits: &Mutex<Receiver<()>>,
    done: &SyncSender<(u64, Result<Done>)>,
) {
    loop {
        let waited = permits.lock().is_ok_and(|p| p.recv().is_ok());
        let Ok(mut held) = source.lock() else { break };
        if !waited || held.2 {
            break;
        }
        let chunk = held.0.next_chunk().transpose();
        let number = held.1;
        held.1 += 1;
        let Some(chunk) = chunk else {
            held.2 = true;
            // Whoever else waits for a permit must wake up to see the end.
            break;
        };
        held.2 |= chunk.is_err();
        drop(held);
        // A panic here would leave the others waiting for ever: it ends the run like any failure.
        let result = chunk.and_then(|c| {
            let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work.run(c)));
            judged.unwrap_or_else(|_| Err(Error::Corrupt("un contrôle s'est arrêté sans le dire".into())))
        });
        if done.send((number, result)).is_err() {
            break;
        }
    }
}

impl Gathered<'_> {
    /// The next batch, in the order of the file.
    fn take(&mut self, done: Done) -> Result<()> {
        let Done { table, mut judged, accepted, rejected, unknown, stop } = done;
        if let Some(outcome) = self.outcomes.get_mut(table) {
            outcome.read += judged.read;
            outcome.accepted += judged.accepted_count;
            outcome.rejected += rejected.as_ref().map_or(0, |(n, _)| *n);
        }
        if let Some((_, rows)) = rejected {
            self.sink.rejected(table, rows)?;
        }
        for (year, rows) in accepted {
            self.sink.accepted(table, year, rows)?;
        }
        std::mem::take(&mut judged.findings).into_iter().for_each(|f| self.sink.finding(table, f));
        for (name, place) in unknown {
            self.unknown.entry(name).or_insert(place);
        }
        self.stop = stop.or_else(|| too_many_unknown(self.name, &self.unknown));
        self.sink.side(table, judged)
    }
}
