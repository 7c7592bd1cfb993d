//! The bordereau d'élimination as a spreadsheet: header, one row a kind of record, the archives'
//! decision last. Columns follow the models of several Archives départementales.

use super::BordereauRow;
use crate::error::{Error, Result};
use chrono::{Datelike, NaiveDate};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Workbook, XlsxError};

const HEADINGS: [(&str, f64); 11] = [
    ("N° d'ordre", 8.0),
    ("Référence au tableau de gestion", 24.0),
    ("Typologie des documents", 44.0),
    ("Année de début", 10.0),
    ("Année de fin", 10.0),
    ("DUA ou DUP", 12.0),
    ("Échéance", 12.0),
    ("Nombre d'enregistrements", 16.0),
    ("Volume (octets)", 16.0),
    ("Observations", 60.0),
    ("Décision des archives", 22.0),
];

/// The spreadsheet's bytes: the same list gives the same bytes.
///
/// # Errors
/// When the spreadsheet cannot be made.
pub fn xlsx(id: &str, digest: &str, date: NaiveDate, rows: &[BordereauRow]) -> Result<Vec<u8>> {
    build(id, digest, date, rows).map_err(|e| Error::Write(format!("bordereau : {e}")))
}

fn build(id: &str, digest: &str, date: NaiveDate, rows: &[BordereauRow]) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    // The library stamps the machine's time unless told otherwise.
    let (year, month, day) = (u16::try_from(date.year()).unwrap_or(1900), date.month(), date.day());
    let created =
        ExcelDateTime::from_ymd(year, u8::try_from(month).unwrap_or(1), u8::try_from(day).unwrap_or(1))?;
    book.set_properties(
        &DocProperties::new()
            .set_title(format!("Bordereau d'élimination {id}"))
            .set_creation_datetime(&created),
    );
    let sheet = book.add_worksheet();
    sheet.set_name("Bordereau d'élimination")?;
    let bold = Format::new().set_bold();
    let heading = Format::new()
        .set_bold()
        .set_border(FormatBorder::Thin)
        .set_text_wrap()
        .set_align(FormatAlign::Center);
    let text = Format::new().set_border(FormatBorder::Thin).set_text_wrap().set_align(FormatAlign::Top);
    let number =
        Format::new().set_border(FormatBorder::Thin).set_num_format("# ##0").set_align(FormatAlign::Top);
    let records: u64 = rows.iter().map(|r| r.records).sum();
    let bytes: u64 = rows.iter().map(|r| r.bytes).sum();
    let head = [
        ("Bordereau d'élimination", id.to_owned()),
        ("État", "proposé : aucune élimination sans visa du contrôle scientifique et technique (code du patrimoine, R212-14)".to_owned()),
        ("Date de proposition", date.format("%d/%m/%Y").to_string()),
        ("Volume total", format!("{records} enregistrements, {bytes} octets")),
        ("Empreinte de la liste (SHA-256)", digest.to_owned()),
    ];
    for (line, (label, value)) in (0..).zip(&head) {
        sheet.write_string_with_format(line, 0, *label, &bold)?;
        sheet.write_string(line, 2, value)?;
    }
    let top = 6;
    for (column, (label, width)) in (0..).zip(HEADINGS) {
        sheet.set_column_width(column, width)?;
        sheet.write_string_with_format(top, column, label, &heading)?;
    }
    for (line, row) in (top + 1..).zip(rows) {
        let texts = [
            (1, row.rule.clone()),
            (2, row.typology.clone()),
            (3, row.first_year.clone()),
            (4, row.last_year.clone()),
            (5, row.duration.clone()),
            (
                6,
                crate::domain::DateFormat::Iso
                    .parse(&row.due_date)
                    .map_or(row.due_date.clone(), |d| d.format("%d/%m/%Y").to_string()),
            ),
            (9, row.reasons.join(" ; ")),
            (10, String::new()),
        ];
        for (column, value) in texts {
            sheet.write_string_with_format(line, column, value, &text)?;
        }
        // Exact below 2^53, far above any volume met.
        for (column, value) in [(0, row.order as f64), (7, row.records as f64), (8, row.bytes as f64)] {
            sheet.write_number_with_format(line, column, value, &number)?;
        }
    }
    sheet.set_freeze_panes(top + 1, 0)?;
    sheet.set_landscape().set_paper_size(9).set_print_fit_to_pages(1, 0);
    book.save_to_buffer()
}
