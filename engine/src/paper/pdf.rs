//! Draws a laid-out document: marks become content, nodes become the structure tree.

use super::{Mark, Paper, Role};
use crate::error::{Error, Result};
use chrono::{Datelike, NaiveDate};
use krilla::Document;
use krilla::SerializeSettings;
use krilla::color::luma;
use krilla::configure::{Accessibility, Archival, ConfigurationBuilder};
use krilla::destination::XyzDestination;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::{DateTime, Metadata};
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::paint::{Fill, Stroke};
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, ContentTag, Identifier, Node, SpanTag, TableHeaderScope, Tag, TagGroup, TagKind,
    TagTree,
};
use std::num::NonZeroU16;

/// Language of all papers.
const LANGUAGE: &str = "fr-FR";
/// Grey of the headings of tables, 0 black to 255 white.
const SHADE: u8 = 232;
/// Grey of the rules.
const RULE: u8 = 110;

pub(super) fn write(paper: &Paper, date: NaiveDate) -> Result<Vec<u8>> {
    let failed = |what: String| Error::Write(format!("PDF : {what}"));
    let configuration = ConfigurationBuilder::new()
        .with_archival_validator(Archival::A2_A)
        .with_accessibility_validator(Accessibility::UA1)
        .finish()
        .map_err(|e| failed(format!("{e:?}")))?;
    let mut document =
        Document::new_with(SerializeSettings { configuration, ..SerializeSettings::default() });
    let (width, height) = paper.size;
    let settings = PageSettings::from_wh(width, height).ok_or_else(|| failed("format de page".into()))?;
    let mut contents: Vec<Vec<Identifier>> = vec![Vec::new(); paper.nodes.len()];
    for marks in &paper.pages {
        let mut page = document.start_page_with(settings.clone());
        let mut surface = page.surface();
        shades(&mut surface, marks);
        rules(&mut surface, marks);
        texts(&mut surface, marks, paper, &mut contents);
        surface.finish();
        page.finish();
    }
    document.set_tag_tree(tree(paper, &contents));
    document.set_outline(outline(paper));
    document.set_metadata(metadata(&paper.title, date));
    document.finish().map_err(|e| failed(format!("{e} : {e:?}")))
}

fn metadata(title: &str, date: NaiveDate) -> Metadata {
    let small = |n: u32| u8::try_from(n).unwrap_or(1);
    let day = DateTime::new(u16::try_from(date.year()).unwrap_or(0))
        .month(small(date.month()))
        .day(small(date.day()))
        .hour(0)
        .minute(0)
        .second(0)
        .utc_offset_hour(0)
        .utc_offset_minute(0);
    Metadata::new()
        .title(title.to_owned())
        .language(LANGUAGE.to_owned())
        .creator("Cartulaire".to_owned())
        .creation_date(day)
}

fn grey(level: u8) -> Fill {
    Fill { paint: luma::Color::new(level).into(), ..Fill::default() }
}

fn artifact(surface: &mut Surface<'_>, kind: ArtifactType) {
    surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(kind)));
}

fn shades(surface: &mut Surface<'_>, marks: &[Mark]) {
    let mut path = PathBuilder::new();
    for mark in marks {
        if let Mark::Shade { at, size } = mark
            && let Some(rect) = Rect::from_xywh(at.0, at.1, size.0, size.1)
        {
            path.push_rect(rect);
        }
    }
    if let Some(path) = path.finish() {
        artifact(surface, ArtifactType::Layout);
        surface.set_stroke(None);
        surface.set_fill(Some(grey(SHADE)));
        surface.draw_path(&path);
        surface.end_tagged();
    }
}

fn rules(surface: &mut Surface<'_>, marks: &[Mark]) {
    let mut path = PathBuilder::new();
    for mark in marks {
        if let Mark::Rule { from, to } = mark {
            path.move_to(from.0, from.1);
            path.line_to(to.0, to.1);
        }
    }
    if let Some(path) = path.finish() {
        artifact(surface, ArtifactType::Layout);
        surface.set_fill(None);
        let stroke = Stroke { paint: luma::Color::new(RULE).into(), width: 0.5, ..Stroke::default() };
        surface.set_stroke(Some(stroke));
        surface.draw_path(&path);
        surface.end_tagged();
    }
}

/// Texts, those of one node that follow each other as one piece of content.
fn texts(surface: &mut Surface<'_>, marks: &[Mark], paper: &Paper, contents: &mut [Vec<Identifier>]) {
    surface.set_stroke(None);
    surface.set_fill(Some(grey(0)));
    let mut current: Option<Option<usize>> = None;
    for mark in marks {
        let Mark::Text { node, x, baseline, size, weight, line } = mark else { continue };
        if current != Some(*node) {
            if current.is_some() {
                surface.end_tagged();
            }
            match node.and_then(|n| contents.get_mut(n)) {
                Some(content) => content.push(surface.start_tagged(ContentTag::Span(SpanTag::empty()))),
                None => artifact(surface, ArtifactType::PaginationOther),
            }
            current = Some(*node);
        }
        let font = paper.faces.of(*weight).font.clone();
        surface.draw_glyphs(Point::from_xy(*x, *baseline), &line.glyphs, font, &line.text, *size, false);
    }
    if current.is_some() {
        surface.end_tagged();
    }
}

fn tree(paper: &Paper, contents: &[Vec<Identifier>]) -> TagTree {
    let mut tree: TagTree =
        paper.roots.iter().map(|n| group(paper, contents, *n).into()).collect::<Vec<Node>>().into();
    tree.lang = Some(LANGUAGE.to_owned());
    tree
}

/// A node with all that is under it: the tree is four levels deep.
fn group(paper: &Paper, contents: &[Vec<Identifier>], node: usize) -> TagGroup {
    let Some(tagged) = paper.nodes.get(node) else { return TagGroup::new(Tag::P) };
    let mut group = TagGroup::new(kind(&tagged.role));
    for child in &tagged.children {
        group.push(self::group(paper, contents, *child));
    }
    for identifier in contents.get(node).into_iter().flatten() {
        group.push(*identifier);
    }
    group
}

fn kind(role: &Role) -> TagKind {
    match role {
        Role::Heading(level, text) => {
            Tag::Hn(NonZeroU16::new(*level).unwrap_or(NonZeroU16::MIN), Some(text.clone())).into()
        }
        Role::P => Tag::P.into(),
        Role::Table => Tag::Table.into(),
        Role::TableHead => Tag::THead.into(),
        Role::TableBody => Tag::TBody.into(),
        Role::Row => Tag::TR.into(),
        Role::ColumnHeader => Tag::TH(TableHeaderScope::Column).into(),
        Role::RowHeader => Tag::TH(TableHeaderScope::Row).into(),
        Role::Cell => Tag::TD.into(),
    }
}

/// Bookmarks: the title, and the parts under it.
fn outline(paper: &Paper) -> Outline {
    let mut outline = Outline::new();
    let mut entries = paper.outline.iter().map(|(level, text, page, y)| {
        (*level, OutlineNode::new(text.clone(), XyzDestination::new(*page, Point::from_xy(0.0, *y))))
    });
    if let Some((_, mut title)) = entries.next() {
        entries.for_each(|(_, part)| title.push_child(part));
        outline.push_child(title);
    }
    outline
}
