//! Papers: documents that are printed, signed and kept for ever.
//!
//! PDF/A-2a and PDF/UA-1: tagged from title to last cell, fonts embedded, no outside reference; the
//! library checks both while it writes. Same words → same bytes: the only date is the one given.
//!
//! A document is laid out first, page by page, as marks (texts and rules at their places) and a tree
//! of tags; then it is drawn. So "page 2/7" knows the 7, and no text is drawn outside the tree.

mod font;
mod pdf;
mod table;

use crate::error::Result;
use chrono::NaiveDate;
pub use font::Weight;
use font::{Faces, Line};
pub use table::{Align, Column, Table};

/// Margins, in points.
const MARGIN: f32 = 36.0;
/// Room kept at the foot of pages.
const FOOT: f32 = 18.0;
/// Height of a line, for a size of 1.
const LEADING: f32 = 1.25;
/// From the top of a line to its baseline, for a size of 1.
const BASELINE: f32 = 0.98;
/// Size of running text.
const BODY: f32 = 9.0;
/// Blank inside frames.
const FRAME_PAD: f32 = 7.0;
/// Blank between frames.
const FRAME_GAP: f32 = 14.0;
/// Size of the feet of pages.
const SMALL: f32 = 7.0;

/// Which way an A4 page lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orientation {
    /// Upright.
    Portrait,
    /// On its side.
    Landscape,
}

/// What a node of the tag tree is. A node has either nodes or texts.
#[derive(Debug, Clone, PartialEq)]
enum Role {
    /// Heading: level and text.
    Heading(u16, String),
    P,
    Table,
    TableHead,
    TableBody,
    Row,
    /// Header of a column.
    ColumnHeader,
    /// Header of a row.
    RowHeader,
    Cell,
}

/// A node of the tag tree.
struct Tagged {
    role: Role,
    children: Vec<usize>,
}

/// Something at a place of a page, in points from its upper left corner.
enum Mark {
    Text {
        /// Its node; `None` for what only helps the eye: feet of pages, repeated headings.
        node: Option<usize>,
        x: f32,
        baseline: f32,
        size: f32,
        weight: Weight,
        line: Line,
    },
    Rule {
        from: (f32, f32),
        to: (f32, f32),
    },
    Shade {
        at: (f32, f32),
        size: (f32, f32),
    },
}

/// An area with a frame: heading, sentences, then fields to fill in or filled in.
pub struct Frame {
    /// Heading.
    pub heading: String,
    /// Sentences under it.
    pub sentences: Vec<String>,
    /// Fields.
    pub fields: Vec<Field>,
}

/// A field of a [`Frame`].
pub struct Field {
    /// What is asked, without colon.
    pub label: String,
    /// What is answered; blank room for a hand where `None`.
    pub value: Option<String>,
    /// Points of blank room under the label; 0 for a line to write on beside it.
    pub room: f32,
}

impl Field {
    /// A line to write on.
    pub fn blank(label: &str) -> Self {
        Field { label: label.into(), value: None, room: 0.0 }
    }

    /// Room for a signature or a stamp.
    pub fn room(label: &str, room: f32) -> Self {
        Field { label: label.into(), value: None, room }
    }

    /// A field that is filled in.
    pub fn filled(label: &str, value: impl Into<String>) -> Self {
        Field { label: label.into(), value: Some(value.into()), room: 0.0 }
    }
}

/// A document in the making. Each element goes under the one before.
pub struct Paper {
    title: String,
    foot: String,
    size: (f32, f32),
    faces: Faces,
    pages: Vec<Vec<Mark>>,
    nodes: Vec<Tagged>,
    roots: Vec<usize>,
    /// Headings for the outline: level, text, page from 0, height.
    outline: Vec<(u16, String, usize, f32)>,
    y: f32,
}

impl Paper {
    /// An empty A4 document. `title` is that of the file; `foot` stands at the foot of all pages.
    ///
    /// # Errors
    /// When the embedded fonts cannot be read.
    pub fn new(orientation: Orientation, title: &str, foot: &str) -> Result<Self> {
        const SHORT: f32 = 595.276;
        const LONG: f32 = 841.89;
        let size = match orientation {
            Orientation::Portrait => (SHORT, LONG),
            Orientation::Landscape => (LONG, SHORT),
        };
        Ok(Paper {
            title: title.to_owned(),
            foot: foot.to_owned(),
            size,
            faces: Faces::load()?,
            pages: vec![Vec::new()],
            nodes: Vec::new(),
            roots: Vec::new(),
            outline: Vec::new(),
            y: MARGIN,
        })
    }

    /// Width between the margins, in points.
    fn width(&self) -> f32 {
        self.size.0 - 2.0 * MARGIN
    }

    /// The title, once, on top.
    pub fn title(&mut self, text: &str) {
        self.heading(1, text, 15.0, 0.0);
    }

    /// The heading of a part. `follow` points after it stay on its page.
    pub fn section(&mut self, text: &str, follow: f32) {
        self.y += 10.0;
        self.keep(11.0 * LEADING + 2.0 + follow);
        self.heading(2, text, 11.0, 2.0);
    }

    fn heading(&mut self, level: u16, text: &str, size: f32, after: f32) {
        let node = self.root(Role::Heading(level, text.to_owned()));
        self.outline.push((level, text.to_owned(), self.pages.len() - 1, self.y));
        let lines = self.faces.of(Weight::Bold).lines(text, size, self.width());
        self.flow(Some(node), MARGIN, &lines, size, Weight::Bold);
        self.y += after;
    }

    /// A paragraph over the whole width.
    pub fn paragraph(&mut self, text: &str, weight: Weight) {
        let node = self.root(Role::P);
        let lines = self.faces.of(weight).lines(text, BODY, self.width());
        self.flow(Some(node), MARGIN, &lines, BODY, weight);
        self.y += 3.0;
    }

    /// Frames side by side, all on one page, equally wide. Where the page allows, up to `stretch`
    /// points are added at their feet: a stamp wants room.
    pub fn frames(&mut self, frames: &[Frame], stretch: f32) {
        let (width, least) = (self.frame_width(frames), self.frames_height(frames));
        self.keep(least);
        let height = least + (self.bottom() - self.y - least).clamp(0.0, stretch);
        let (top, mut x) = (self.y, MARGIN);
        for frame in frames {
            self.outline_box((x, top), (width, height));
            self.y = top + FRAME_PAD;
            self.frame(frame, x + FRAME_PAD, width - 2.0 * FRAME_PAD);
            x += width + FRAME_GAP;
        }
        self.y = top + height + 6.0;
    }

    /// Points that frames take at least, side by side.
    pub fn frames_height(&self, frames: &[Frame]) -> f32 {
        let inside = self.frame_width(frames) - 2.0 * FRAME_PAD;
        frames.iter().map(|f| self.frame_height(f, inside)).fold(0.0, f32::max) + 2.0 * FRAME_PAD
    }

    fn frame_width(&self, frames: &[Frame]) -> f32 {
        let count = frames.len().max(1) as f32;
        (self.width() - FRAME_GAP * (count - 1.0)) / count
    }

    /// Height of what [`Paper::frame`] draws.
    fn frame_height(&self, frame: &Frame, width: f32) -> f32 {
        let lines = |text: &str, weight| self.faces.of(weight).lines(text, BODY, width).len() as f32;
        let sentences: f32 =
            frame.sentences.iter().map(|s| lines(s, Weight::Regular) * BODY * LEADING + 2.0).sum();
        let fields: f32 = frame
            .fields
            .iter()
            .map(|f| lines(&field_text(f), Weight::Regular) * BODY * LEADING + 5.0 + f.room)
            .sum();
        lines(&frame.heading, Weight::Bold) * BODY * LEADING + 2.0 + sentences + fields
    }

    fn frame(&mut self, frame: &Frame, x: f32, width: f32) {
        let node = self.root(Role::Heading(3, frame.heading.clone()));
        let lines = self.faces.of(Weight::Bold).lines(&frame.heading, BODY, width);
        self.flow(Some(node), x, &lines, BODY, Weight::Bold);
        self.y += 2.0;
        for sentence in &frame.sentences {
            let node = self.root(Role::P);
            let lines = self.faces.of(Weight::Regular).lines(sentence, BODY, width);
            self.flow(Some(node), x, &lines, BODY, Weight::Regular);
            self.y += 2.0;
        }
        for field in &frame.fields {
            let node = self.root(Role::P);
            self.y += 5.0;
            let lines = self.faces.of(Weight::Regular).lines(&field_text(field), BODY, width);
            let label = lines.last().map_or(0.0, |l| l.width);
            self.flow(Some(node), x, &lines, BODY, Weight::Regular);
            if field.value.is_none() && field.room == 0.0 {
                self.rule((x + label + 4.0, self.y - 1.0), (x + width, self.y - 1.0));
            }
            self.y += field.room;
        }
    }

    /// The document's bytes, dated of that day.
    ///
    /// # Errors
    /// When the document cannot be written, or would break PDF/A or PDF/UA.
    pub fn finish(mut self, date: NaiveDate) -> Result<Vec<u8>> {
        let count = self.pages.len();
        let y = self.size.1 - MARGIN;
        for page in 0..count {
            let number = format!("page {}/{count}", page + 1);
            let face = self.faces.of(Weight::Regular);
            let right = face.lines(&number, SMALL, self.width());
            let left = face.lines(&self.foot, SMALL, self.width() - 60.0);
            let edge = self.size.0 - MARGIN;
            let Some(marks) = self.pages.get_mut(page) else { continue };
            marks.push(Mark::Rule { from: (MARGIN, y - 10.0), to: (edge, y - 10.0) });
            let texts = left.into_iter().take(1).map(|l| (MARGIN, l));
            for (x, line) in texts.chain(right.into_iter().map(|l| (edge - l.width, l))) {
                marks.push(Mark::Text {
                    node: None,
                    x,
                    baseline: y,
                    size: SMALL,
                    weight: Weight::Regular,
                    line,
                });
            }
        }
        pdf::write(&self, date)
    }

    #[cfg(test)]
    pub(crate) fn pages(&self) -> usize {
        self.pages.len()
    }

    /// Lowest point of what may be drawn.
    fn bottom(&self) -> f32 {
        self.size.1 - MARGIN - FOOT
    }

    fn new_page(&mut self) {
        self.pages.push(Vec::new());
        self.y = MARGIN;
    }

    /// Goes to a new page unless so many points are left, or the page is new.
    fn keep(&mut self, height: f32) {
        if self.y + height > self.bottom() && self.y > MARGIN {
            self.new_page();
        }
    }

    fn mark(&mut self, mark: Mark) {
        if let Some(page) = self.pages.last_mut() {
            page.push(mark);
        }
    }

    fn rule(&mut self, from: (f32, f32), to: (f32, f32)) {
        self.mark(Mark::Rule { from, to });
    }

    fn outline_box(&mut self, (x, y): (f32, f32), (width, height): (f32, f32)) {
        let (right, low) = (x + width, y + height);
        for (from, to) in
            [((x, y), (right, y)), ((right, y), (right, low)), ((right, low), (x, low)), ((x, low), (x, y))]
        {
            self.rule(from, to);
        }
    }

    /// Lines one under the other, over pages where they must.
    fn flow(&mut self, node: Option<usize>, x: f32, lines: &[Line], size: f32, weight: Weight) {
        for line in lines {
            self.keep(size * LEADING);
            let baseline = self.y + size * BASELINE;
            self.mark(Mark::Text { node, x, baseline, size, weight, line: line.clone() });
            self.y += size * LEADING;
        }
    }

    /// A new node under another.
    fn node(&mut self, parent: usize, role: Role) -> usize {
        let node = self.nodes.len();
        self.nodes.push(Tagged { role, children: Vec::new() });
        if let Some(parent) = self.nodes.get_mut(parent) {
            parent.children.push(node);
        }
        node
    }

    /// A new node of the document.
    fn root(&mut self, role: Role) -> usize {
        self.nodes.push(Tagged { role, children: Vec::new() });
        self.roots.push(self.nodes.len() - 1);
        self.nodes.len() - 1
    }
}

fn field_text(field: &Field) -> String {
    format!("{} : {}", field.label, field.value.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::plain_text;
