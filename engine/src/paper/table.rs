//! Tables: wrapped cells, a heading repeated on each page, rows cut only when taller than a page.

use super::font::Line;
use super::{BODY, LEADING, MARGIN, Mark, Paper, Role, Weight};

/// Blank beside the texts of a cell, in points.
const PAD_X: f32 = 3.5;
/// Blank above and under.
const PAD_Y: f32 = 2.5;
/// Blank between a label and its value.
const LABEL_GAP: f32 = 5.5;
/// Size of the texts of ruled tables.
const SIZE: f32 = 7.6;

/// Where the texts of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Years, codes.
    Center,
    /// Numbers.
    Right,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Heading.
    pub heading: &'static str,
    /// Width as a share: the table takes the whole width of the page.
    pub share: f32,
    /// Alignment.
    pub align: Align,
}

/// A ruled table. The first cell of a row is its header, for those who listen to the document.
pub struct Table {
    /// Columns.
    pub columns: Vec<Column>,
    /// Rows of as many cells.
    pub rows: Vec<Vec<String>>,
    /// Last row, in bold.
    pub total: Option<Vec<String>>,
}

/// A row ready to be drawn.
struct Wrapped {
    cells: Vec<(Option<usize>, Vec<Line>)>,
    weight: Weight,
    shaded: bool,
}

/// Columns as drawn.
struct Shape {
    /// Left edges and the right edge of the last one.
    edges: Vec<f32>,
    aligns: Vec<Align>,
}

impl Paper {
    /// A table over the whole width.
    pub fn table(&mut self, table: &Table) {
        let whole: f32 = table.columns.iter().map(|c| c.share).sum();
        let scale = self.width() / whole.max(f32::MIN_POSITIVE);
        let shape = Shape::new(table.columns.iter().map(|c| (c.share * scale, c.align)));
        let root = self.root(Role::Table);
        let head = self.node(root, Role::TableHead);
        let headings: Vec<String> = table.columns.iter().map(|c| c.heading.to_owned()).collect();
        let titles = self.wrap(&shape, head, &headings, |_| Role::ColumnHeader, Weight::Bold);
        let titles = Wrapped { shaded: true, ..titles };
        // A heading alone at the foot of a page helps nobody.
        self.keep(titles.height() + 3.0 * SIZE * LEADING);
        self.draw(&shape, &titles, None);
        let mut again = titles;
        again.cells.iter_mut().for_each(|(node, _)| *node = None);
        let body = self.node(root, Role::TableBody);
        let rows = table.rows.iter().map(|r| (r, Weight::Regular));
        for (row, weight) in rows.chain(table.total.iter().map(|t| (t, Weight::Bold))) {
            let role = |column| if column == 0 { Role::RowHeader } else { Role::Cell };
            let row = self.wrap(&shape, body, row, role, weight);
            self.draw(&shape, &row, Some(&again));
        }
        self.y += 4.0;
    }

    /// Lists of labels and values, side by side, without rules. Each is a table of its own. Labels
    /// end where values start: programs that find columns by their gaps read them line by line.
    pub fn fields(&mut self, label_width: f32, lists: &[&[(&str, String)]]) {
        const GAP: f32 = 18.0;
        let count = lists.len().max(1) as f32;
        let width = (self.width() - GAP * (count - 1.0)) / count;
        self.y += 2.0;
        let (top, mut low, mut x) = (self.y, self.y, MARGIN);
        for list in lists {
            self.y = top;
            self.field_list((x, label_width, width - label_width), list);
            low = low.max(self.y);
            x += width + GAP;
        }
        self.y = low;
    }

    fn field_list(&mut self, (x, label_width, value_width): (f32, f32, f32), list: &[(&str, String)]) {
        let root = self.root(Role::Table);
        let body = self.node(root, Role::TableBody);
        for (label, value) in list {
            let row = self.node(body, Role::Row);
            let label = self.faces.of(Weight::Bold).lines(filled(label), BODY, label_width - LABEL_GAP);
            let value = self.faces.of(Weight::Regular).lines(filled(value), BODY, value_width);
            self.keep(label.len().max(value.len()) as f32 * BODY * LEADING);
            let (top, header) = (self.y, self.node(row, Role::RowHeader));
            for line in &label {
                let start = x + label_width - LABEL_GAP - line.width;
                self.flow(Some(header), start, std::slice::from_ref(line), BODY, Weight::Bold);
            }
            let (low, cell) = (self.y, self.node(row, Role::Cell));
            self.y = top;
            self.flow(Some(cell), x + label_width, &value, BODY, Weight::Regular);
            self.y = low.max(self.y) + 1.5;
        }
    }

    fn wrap(
        &mut self,
        shape: &Shape,
        parent: usize,
        texts: &[String],
        role: impl Fn(usize) -> Role,
        weight: Weight,
    ) -> Wrapped {
        let row = self.node(parent, Role::Row);
        let cells = texts
            .iter()
            .enumerate()
            .map(|(column, text)| {
                let lines = self.faces.of(weight).lines(filled(text), SIZE, shape.inside(column));
                (Some(self.node(row, role(column))), lines)
            })
            .collect();
        Wrapped { cells, weight, shaded: false }
    }

    /// Draws a row where it fits; on a new page, `again` comes first.
    fn draw(&mut self, shape: &Shape, row: &Wrapped, again: Option<&Wrapped>) {
        let leading = SIZE * LEADING;
        let (mut from, total) = (0, row.lines());
        loop {
            let room = ((self.bottom() - self.y - 2.0 * PAD_Y) / leading).max(0.0) as usize;
            let fresh = MARGIN + again.map_or(0.0, Wrapped::height);
            let fresh_room = ((self.bottom() - fresh - 2.0 * PAD_Y) / leading).max(1.0) as usize;
            let left = total - from;
            let at_top = self.y <= fresh;
            if left > room && !at_top && (left <= fresh_room || room < 3) {
                self.new_page();
                if let Some(again) = again {
                    self.draw(shape, again, None);
                }
                continue;
            }
            // A page always takes one line, or this would never end.
            let take = left.min(room.max(1));
            self.draw_part(shape, row, from, take);
            from += take;
            if from >= total {
                return;
            }
        }
    }

    fn draw_part(&mut self, shape: &Shape, row: &Wrapped, from: usize, take: usize) {
        let (top, leading) = (self.y, SIZE * LEADING);
        let height = take as f32 * leading + 2.0 * PAD_Y;
        let (left, right) = (shape.left(0), shape.right());
        if row.shaded {
            self.mark(Mark::Shade { at: (left, top), size: (right - left, height) });
        }
        self.rule((left, top), (right, top));
        self.rule((left, top + height), (right, top + height));
        for &x in &shape.edges {
            self.rule((x, top), (x, top + height));
        }
        for (column, (node, lines)) in row.cells.iter().enumerate() {
            for (i, line) in (0_u16..).zip(lines.iter().skip(from).take(take)) {
                let (inside, start) = (shape.inside(column), shape.left(column) + PAD_X);
                let x = match shape.aligns.get(column) {
                    Some(Align::Right) => start + inside - line.width,
                    Some(Align::Center) => start + (inside - line.width) / 2.0,
                    _ => start,
                };
                let baseline = top + PAD_Y + f32::from(i) * leading + SIZE * super::BASELINE;
                let (node, weight, line) = (*node, row.weight, line.clone());
                self.mark(Mark::Text { node, x, baseline, size: SIZE, weight, line });
            }
        }
        self.y = top + height;
    }
}

/// A cell without a mark would vanish from the tree, and its row would lose a column.
fn filled(text: &str) -> &str {
    if text.is_empty() { " " } else { text }
}

impl Wrapped {
    fn lines(&self) -> usize {
        self.cells.iter().map(|(_, lines)| lines.len()).max().unwrap_or(0)
    }

    fn height(&self) -> f32 {
        self.lines() as f32 * SIZE * LEADING + 2.0 * PAD_Y
    }
}

impl Shape {
    fn new(columns: impl Iterator<Item = (f32, Align)>) -> Self {
        let (mut edges, mut aligns) = (vec![MARGIN], Vec::new());
        let mut x = MARGIN;
        for (width, align) in columns {
            x += width;
            edges.push(x);
            aligns.push(align);
        }
        Shape { edges, aligns }
    }

    fn left(&self, column: usize) -> f32 {
        self.edges.get(column).copied().unwrap_or(MARGIN)
    }

    fn right(&self) -> f32 {
        self.edges.last().copied().unwrap_or(MARGIN)
    }

    /// Width of the texts of a column.
    fn inside(&self, column: usize) -> f32 {
        self.left(column + 1) - self.left(column) - 2.0 * PAD_X
    }
}
