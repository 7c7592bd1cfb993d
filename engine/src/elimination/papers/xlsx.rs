//! The bordereau as a spreadsheet that the archives annotate and give back.
//!
//! The sheet is protected without a password: protection keeps a hand from slipping, it proves
//! nothing. What binds the file to its list is `annotate`, which compares every cell.

use super::bordereau::{Answer, Bordereau};
use super::sheet::{self, COLUMNS, COPY_COLUMNS, Column, DECISION, OBSERVATION, Part, TOP, Value};
use crate::error::{Error, Result};
use chrono::Datelike;
use rust_xlsxwriter::{
    DataValidation, DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, ProtectionOptions,
    Workbook, Worksheet, XlsxError,
};

/// Paper size A4, in the format's numbering.
const A4: u8 = 9;

/// The spreadsheet's bytes: the same bordereau gives the same bytes.
///
/// # Errors
/// When the spreadsheet cannot be made.
pub fn xlsx(bordereau: &Bordereau) -> Result<Vec<u8>> {
    build(bordereau).map_err(|e| Error::Write(format!("bordereau d'élimination (.xlsx) : {e}")))
}

/// How cells look. `[$-40C]` asks for French separators and dates whatever the program's language.
struct Looks {
    title: Format,
    note: Format,
    label: Format,
    value: Format,
    heading: Format,
    archives_heading: Format,
    text: Format,
    plain: Format,
    count: Format,
    day: Format,
    open: Format,
}

impl Looks {
    fn new() -> Self {
        let cell = Format::new().set_border(FormatBorder::Thin).set_align(FormatAlign::Top);
        let heading = cell
            .clone()
            .set_bold()
            .set_text_wrap()
            .set_align(FormatAlign::Center)
            .set_align(FormatAlign::VerticalCenter)
            .set_background_color(0xE8_E8_E8_u32);
        Looks {
            title: Format::new().set_bold().set_font_size(14),
            note: Format::new().set_italic(),
            label: Format::new().set_bold(),
            value: Format::new(),
            archives_heading: heading.clone().set_background_color(0xFF_F2_CC_u32),
            heading,
            text: cell.clone().set_text_wrap(),
            plain: cell.clone().set_num_format("0").set_align(FormatAlign::Center),
            count: cell.clone().set_num_format("[$-40C]#,##0"),
            day: cell.clone().set_num_format("[$-40C]dd/mm/yyyy").set_align(FormatAlign::Center),
            open: cell.set_text_wrap().set_unlocked().set_background_color(0xFF_FB_F0_u32),
        }
    }
}

fn build(b: &Bordereau) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    // The library stamps the machine's time unless told otherwise.
    let (year, month, day) = (b.proposed_on.year(), b.proposed_on.month(), b.proposed_on.day());
    let created = ExcelDateTime::from_ymd(
        u16::try_from(year).unwrap_or(1900),
        u8::try_from(month).unwrap_or(1),
        u8::try_from(day).unwrap_or(1),
    )?;
    book.set_properties(
        &DocProperties::new()
            .set_title(format!("Bordereau d'élimination {}", b.id))
            .set_creation_datetime(&created),
    );
    let looks = Looks::new();
    main_sheet(book.add_worksheet(), b, &looks)?;
    if !b.copies.is_empty() {
        copies_sheet(book.add_worksheet(), b, &looks)?;
    }
    book.save_to_buffer()
}

fn main_sheet(page: &mut Worksheet, b: &Bordereau, looks: &Looks) -> Result<(), XlsxError> {
    page.set_name(sheet::MAIN)?;
    for (line, column, part, text) in sheet::head(b) {
        let look = match part {
            Part::Title => &looks.title,
            Part::Note => &looks.note,
            Part::Label => &looks.label,
            Part::Value => &looks.value,
        };
        page.write_string_with_format(line, column, text, look)?;
    }
    headings(page, TOP, &COLUMNS, looks)?;
    for (line, row) in (TOP + 1..).zip(&b.rows) {
        let values = sheet::row(row);
        for (column, value) in (0..).zip(&values) {
            write(page, line, column, value, looks)?;
        }
        page.set_row_height(line, height(&values, &COLUMNS))?;
        page.write_blank(line, DECISION, &looks.open)?;
        page.write_blank(line, OBSERVATION, &looks.open)?;
    }
    let last = TOP + u32::try_from(b.rows.len()).unwrap_or(u32::MAX).max(1);
    let words = Answer::ALL.map(Answer::french);
    let choice = DataValidation::new()
        .allow_list_strings(&words)?
        .set_input_title("Décision des archives")?
        .set_input_message("Visa, Refus ou À trier. Sans décision, la ligne est conservée.")?
        .set_error_title("Décision inconnue")?
        .set_error_message("Choisissez Visa, Refus ou À trier, ou laissez la cellule vide.")?;
    page.add_data_validation(TOP + 1, DECISION, last, DECISION, &choice)?;
    page.set_freeze_panes(TOP + 1, 0)?;
    page.set_repeat_rows(TOP, TOP)?;
    page.set_footer(format!("&L&8Bordereau d'élimination {}&R&8Page &P/&N", b.id.replace('&', "&&")));
    finish(page);
    Ok(())
}

fn copies_sheet(page: &mut Worksheet, b: &Bordereau, looks: &Looks) -> Result<(), XlsxError> {
    page.set_name(sheet::COPIES)?;
    headings(page, 0, &COPY_COLUMNS, looks)?;
    for (line, row) in (1..).zip(sheet::copies(b)) {
        for (column, value) in (0..).zip(&row) {
            write(page, line, column, value, looks)?;
        }
        page.set_row_height(line, height(&row, &COPY_COLUMNS))?;
    }
    page.set_freeze_panes(1, 0)?;
    page.set_repeat_rows(0, 0)?;
    finish(page);
    Ok(())
}

fn headings(page: &mut Worksheet, line: u32, columns: &[Column], looks: &Looks) -> Result<(), XlsxError> {
    for (column, (label, width)) in (0..).zip(columns) {
        let look = if column >= DECISION { &looks.archives_heading } else { &looks.heading };
        page.set_column_width(column, *width)?;
        page.write_string_with_format(line, column, *label, look)?;
    }
    page.set_row_height(line, 32)?;
    Ok(())
}

fn write(
    page: &mut Worksheet,
    line: u32,
    column: u16,
    value: &Value,
    looks: &Looks,
) -> Result<(), XlsxError> {
    let look = match value {
        Value::Text(text) => {
            page.write_string_with_format(line, column, text, &looks.text)?;
            return Ok(());
        }
        Value::Count(_) => &looks.count,
        Value::Plain(_) => &looks.plain,
        Value::Day(_) => &looks.day,
    };
    page.write_number_with_format(line, column, value.number().unwrap_or_default(), look)?;
    Ok(())
}

/// Height of a row whose texts wrap, in points: not all programs find it by themselves.
fn height(values: &[Value], columns: &[Column]) -> f64 {
    const LINE: f64 = 15.0;
    const HEIGHT_MAX: f64 = 409.0;
    let lines = |(value, (_, width)): (&Value, &Column)| {
        // Words leave a blank at the end of lines.
        let fits = (width - 3.0).max(1.0);
        value.shown().lines().map(|l| (l.chars().count() as f64 / fits).ceil().max(1.0)).sum::<f64>()
    };
    let most = values.iter().zip(columns).map(lines).fold(1.0, f64::max);
    (most * LINE).min(HEIGHT_MAX)
}

/// Protection and print setup. Widths and heights stay free: they change no cell.
fn finish(page: &mut Worksheet) {
    page.protect_with_options(&ProtectionOptions {
        format_columns: true,
        format_rows: true,
        ..ProtectionOptions::default()
    });
    page.set_landscape()
        .set_paper_size(A4)
        .set_print_fit_to_pages(1, 0)
        .set_margins(0.4, 0.4, 0.5, 0.6, 0.3, 0.3);
}
