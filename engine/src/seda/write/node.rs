//! A small element in memory: never more than one unit or one object at a time.

use super::order::order;
use crate::error::{Error, Result};
use crate::seda::model::Version;
use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use std::io::Write;

/// An element.
#[derive(Debug)]
pub struct Node {
    pub name: &'static str,
    pub attributes: Vec<(&'static str, String)>,
    pub text: Option<String>,
    pub children: Vec<Node>,
}

impl Node {
    pub fn new(name: &'static str) -> Self {
        Node { name, attributes: Vec::new(), text: None, children: Vec::new() }
    }

    pub fn text(name: &'static str, text: impl Into<String>) -> Self {
        Node { text: Some(text.into()), ..Node::new(name) }
    }

    pub fn with(mut self, attribute: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((attribute, value.into()));
        self
    }

    pub fn child(mut self, node: Node) -> Self {
        self.children.push(node);
        self
    }

    /// One child a value.
    pub fn texts<T: ToString>(mut self, name: &'static str, values: impl IntoIterator<Item = T>) -> Self {
        self.children.extend(values.into_iter().map(|v| Node::text(name, v.to_string())));
        self
    }

    pub fn nodes(mut self, nodes: impl IntoIterator<Item = Node>) -> Self {
        self.children.extend(nodes);
        self
    }

    /// Writes the element with its children in the order of the version.
    pub fn write(mut self, out: &mut Writer<impl Write>, version: Version) -> Result<()> {
        if let Some(order) = order(self.name) {
            let rank = |name: &str| order.iter().position(|(n, _)| *n == name);
            for child in &self.children {
                let since = rank(child.name).and_then(|i| order.get(i)).map(|(_, since)| *since);
                if since.is_none_or(|since| since > version) {
                    return Err(refused(format!(
                        "« {} » dans « {} » n'existe pas en SEDA {} : choisissez une version plus récente",
                        child.name,
                        self.name,
                        version.number()
                    )));
                }
            }
            self.children.sort_by_key(|c| rank(c.name));
        }
        let mut start = BytesStart::new(self.name);
        for (name, value) in &self.attributes {
            start.push_attribute((*name, legal(value).as_str()));
        }
        let fault = |e: std::io::Error| Error::Write(format!("manifeste : {e}"));
        if self.text.is_none() && self.children.is_empty() {
            return out.write_event(Event::Empty(start)).map_err(fault);
        }
        out.write_event(Event::Start(start)).map_err(fault)?;
        if let Some(text) = &self.text {
            out.write_event(Event::Text(BytesText::new(&legal(text)))).map_err(fault)?;
        }
        for child in self.children {
            child.write(out, version)?;
        }
        out.write_event(Event::End(BytesEnd::new(self.name))).map_err(fault)
    }
}

/// A model that an archive would refuse.
pub fn refused(message: String) -> Error {
    Error::Refused { code: "SEDA_MODEL", message }
}

/// XML 1.0 has no place for most control characters, escaped or not. A carriage return would be
/// read back as a line feed.
pub fn legal(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .filter(|c| matches!(c, '\t' | '\n') || (*c >= ' ' && !matches!(c, '\u{FFFE}' | '\u{FFFF}')))
        .collect()
}
