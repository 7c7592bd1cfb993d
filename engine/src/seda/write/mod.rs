//! `manifest.xml`, written as it comes: one unit or one object in memory, plus the identifiers
//! seen, so that a reference to nothing or an identifier written twice never leaves.

mod convert;
mod node;
mod order;
#[cfg(test)]
mod tests;

use super::model::{Message, ObjectGroup, Unit, Version};
use crate::error::{Error, Result};
use node::{Node, legal, refused};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, Event};
use std::collections::{HashMap, HashSet};
use std::io::Write;

struct Manifest<W: Write> {
    out: Writer<W>,
    version: Version,
    ids: HashSet<String>,
    /// Groups, and whether a unit refers to them.
    groups: HashMap<String, bool>,
    units: HashSet<String>,
    /// Units referred to before they are seen.
    wanted: HashSet<String>,
}

impl<W: Write> Manifest<W> {
    fn event(&mut self, event: Event<'_>) -> Result<()> {
        self.out.write_event(event).map_err(|e| Error::Write(format!("manifeste : {e}")))
    }

    fn open(&mut self, name: &str, id: Option<&str>) -> Result<()> {
        let mut start = BytesStart::new(name);
        if let Some(id) = id {
            self.identify(id)?;
            start.push_attribute(("id", id));
        }
        self.event(Event::Start(start))
    }

    fn close(&mut self, name: &str) -> Result<()> {
        self.event(Event::End(BytesEnd::new(name)))
    }

    fn node(&mut self, node: Node) -> Result<()> {
        node.write(&mut self.out, self.version)
    }

    fn text(&mut self, name: &'static str, text: &str) -> Result<()> {
        self.node(Node::text(name, text))
    }

    /// An XML identifier: unique in the message, letters, digits, `_`, `-` and `.`.
    fn identify(&mut self, id: &str) -> Result<()> {
        let first = id.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !first || !id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
            return Err(refused(format!(
                "identifiant « {} » : une lettre, puis lettres, chiffres, « _ », « - », « . »",
                legal(id)
            )));
        }
        if !self.ids.insert(id.to_owned()) {
            return Err(refused(format!("identifiant « {id} » écrit deux fois")));
        }
        Ok(())
    }

    fn use_group(&mut self, id: &str) -> Result<()> {
        match self.groups.get_mut(id) {
            Some(used) => *used = true,
            None => return Err(refused(format!("groupe d'objets « {id} » absent du paquet"))),
        }
        Ok(())
    }

    fn unit(&mut self, unit: &Unit) -> Result<()> {
        match unit {
            Unit::Alias(id, target) => {
                self.open("ArchiveUnit", Some(id))?;
                self.wanted.insert(target.clone());
                self.text("ArchiveUnitRefId", target)
            }
            Unit::Own(u) => {
                self.open("ArchiveUnit", Some(&u.id))?;
                self.units.insert(u.id.clone());
                if let Some(profile) = &u.profile {
                    self.text("ArchiveUnitProfile", profile)?;
                }
                if let Some(management) = convert::unit_management(u)? {
                    self.node(management)?;
                }
                for relation in &u.content.relations {
                    match &relation.target {
                        super::model::Target::Unit(id) => {
                            self.wanted.insert(id.clone());
                        }
                        super::model::Target::Group(id) if !self.groups.contains_key(id) => {
                            return Err(refused(format!("groupe d'objets « {id} » absent du paquet")));
                        }
                        _ => {}
                    }
                }
                self.node(convert::content(&u.content)?)?;
                for group in &u.groups {
                    self.use_group(group)?;
                    self.node(Node::new("DataObjectReference").texts("DataObjectGroupReferenceId", [group]))?;
                }
                Ok(())
            }
        }
    }
}

/// Writes an ArchiveTransfer. Units come in preorder with their depth, 0 for a root; a depth is at
/// most one more than the one before.
///
/// # Errors
/// When a stream or the output fail; [`Error::Refused`] `SEDA_MODEL` when the model would be
/// refused (identifier twice, reference to nothing, object that no unit shows, no title, rule of
/// another category, element that the version does not have).
pub fn write(
    out: impl Write,
    version: Version,
    message: &Message,
    groups: impl IntoIterator<Item = Result<ObjectGroup>>,
    units: impl IntoIterator<Item = Result<(usize, Unit)>>,
) -> Result<()> {
    let mut m = Manifest {
        out: Writer::new_with_indent(out, b' ', 1),
        version,
        ids: HashSet::new(),
        groups: HashMap::new(),
        units: HashSet::new(),
        wanted: HashSet::new(),
    };
    m.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let mut root = BytesStart::new("ArchiveTransfer");
    root.push_attribute(("xmlns", version.namespace()));
    m.event(Event::Start(root))?;
    for comment in &message.comments {
        m.text("Comment", comment)?;
    }
    m.text("Date", &format!("{}T00:00:00.000Z", message.date))?;
    m.text("MessageIdentifier", &message.identifier)?;
    if let Some(agreement) = &message.archival_agreement {
        m.text("ArchivalAgreement", agreement)?;
    }
    let mut lists = Node::new("CodeListVersions");
    for (name, value) in &message.code_lists {
        let known = order::order("CodeListVersions").and_then(|o| o.iter().find(|(n, _)| n == name));
        let Some((name, _)) = known else {
            return Err(refused(format!("liste de codes « {name} » inconnue du SEDA")));
        };
        lists.children.push(Node::text(name, value));
    }
    m.node(lists)?;
    m.open("DataObjectPackage", None)?;
    for group in groups {
        let group = group?;
        let mut usages = HashSet::new();
        if !group.objects.iter().all(|o| usages.insert(o.usage.split('_').next().unwrap_or_default())) {
            return Err(refused(format!("groupe « {} » : une seule version par usage", group.id)));
        }
        if !usages.contains("BinaryMaster") {
            return Err(refused(format!("groupe « {} » : « BinaryMaster_1 » manque", group.id)));
        }
        m.open("DataObjectGroup", Some(&group.id))?;
        for object in &group.objects {
            m.identify(&object.id)?;
            m.node(convert::object(object)?)?;
        }
        m.close("DataObjectGroup")?;
        m.groups.insert(group.id, false);
    }
    m.open("DescriptiveMetadata", None)?;
    let mut open = 0;
    // An alias holds nothing.
    let mut closed_to_children = false;
    for item in units {
        let (depth, unit) = item?;
        if depth > open || (closed_to_children && depth == open && open > 0) {
            return Err(refused("une unité n'a pas de parente qui puisse la contenir".into()));
        }
        while open > depth {
            m.close("ArchiveUnit")?;
            open -= 1;
        }
        m.unit(&unit)?;
        closed_to_children = matches!(unit, Unit::Alias(..));
        open += 1;
    }
    for _ in 0..open {
        m.close("ArchiveUnit")?;
    }
    m.close("DescriptiveMetadata")?;
    if let Some(target) = m.wanted.difference(&m.units).min() {
        return Err(refused(format!("unité « {} » absente du paquet", legal(target))));
    }
    if let Some(orphan) = m.groups.iter().filter(|(_, used)| !**used).map(|(id, _)| id).min() {
        return Err(refused(format!("aucune unité ne montre le groupe d'objets « {orphan} »")));
    }
    m.node(convert::management_metadata(&message.management)?)?;
    m.close("DataObjectPackage")?;
    for id in &message.related_transfers {
        m.text("RelatedTransferReference", id)?;
    }
    if let Some(id) = &message.request_reply {
        m.text("TransferRequestReplyIdentifier", id)?;
    }
    m.node(Node::new("ArchivalAgency").texts("Identifier", [&message.archival_agency]))?;
    m.node(Node::new("TransferringAgency").texts("Identifier", [&message.transferring_agency]))?;
    m.close("ArchiveTransfer")?;
    let mut out = m.out.into_inner();
    out.write_all(b"\n").and_then(|()| out.flush()).map_err(|e| Error::Write(format!("manifeste : {e}")))
}
