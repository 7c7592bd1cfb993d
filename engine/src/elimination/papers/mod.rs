//! The papers of an elimination: the bordereau as a sheet that archivists annotate and as a PDF, the
//! attestation as a PDF.

mod annotate;
mod attestation;
mod attestation_pdf;
mod bordereau;
mod bordereau_pdf;
mod order_pdf;
mod package;
#[cfg(test)]
mod samples;
mod sheet;
mod workbook;
mod xlsx;

pub use annotate::{annotate, annotations};
pub use attestation::{
    Attestation, AttestedRow, Failure, JournalAnchor, Person, RowOutcome, SignatureCited, Tombstones,
    VisaCited,
};
pub use attestation_pdf::attestation_pdf;
pub use bordereau::{
    Answer, ArchivedCopy, Bordereau, BordereauRow, CopyCovered, CopyKind, RowDecision, Service,
};
pub use bordereau_pdf::bordereau_pdf;
pub use order_pdf::order_pdf;
pub use package::WorkbookLimits;
pub use xlsx::xlsx;
