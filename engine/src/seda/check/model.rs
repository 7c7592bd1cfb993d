//! What is kept of a manifest: its identifiers, its tree and its objects; no description.

use std::collections::HashMap;

/// A rank in one of the lists of [`Model`].
pub type Rank = u32;

/// What an identifier names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Unit(Rank),
    Object(Rank),
    Group(Rank),
    Other,
}

#[derive(Debug, Default)]
pub struct Model {
    /// `2.1` to `2.3`; `None` when the root is not a transfer that is read.
    pub version: Option<&'static str>,
    pub agreement: Option<String>,
    pub profile: Option<String>,
    pub groups: Vec<Group>,
    pub objects: Vec<Object>,
    pub units: Vec<Unit>,
    pub references: Vec<Reference>,
    pub ids: HashMap<Box<str>, Target>,
    /// Other references, with their places.
    pub others: Vec<(Box<str>, String)>,
    /// Units and groups that join what the archive holds already.
    pub attachments: u64,
    /// Path of `DataObjectPackage`.
    pub package: String,
}

/// A group of objects, wrapped or declared by its first object.
#[derive(Debug)]
pub struct Group {
    /// Rank of the wrapping element, from 1; 0 for a group declared by an object.
    pub position: u32,
    pub objects: Vec<Rank>,
    /// The group completes one that the archive holds.
    pub attached: bool,
}

#[derive(Debug)]
pub struct Object {
    pub physical: bool,
    /// Wrapping group.
    pub group: Option<Rank>,
    /// Group named by `DataObjectGroupReferenceId`.
    pub group_ref: Option<Box<str>>,
    /// Rank among the elements of its name, from 1.
    pub position: u32,
    pub usage: Option<Box<str>>,
    pub uri: Option<Box<str>>,
    pub physical_id: bool,
    /// Its content is in the manifest.
    pub inline: bool,
    pub digest: Option<Digest>,
    pub size: Option<u64>,
    pub format: Option<Box<str>>,
}

#[derive(Debug)]
pub struct Digest {
    pub algorithm: Box<str>,
    pub value: Box<str>,
}

/// A unit, or the element that stands for one told elsewhere.
#[derive(Debug)]
pub struct Unit {
    pub parent: Option<Rank>,
    pub position: u32,
    /// `ArchiveUnitRefId`.
    pub stands_for: Option<Box<str>>,
}

/// A `DataObjectReference` of a unit.
#[derive(Debug)]
pub struct Reference {
    pub unit: Rank,
    pub position: u32,
    pub target: Box<str>,
    pub to_group: bool,
}

pub fn at<T>(list: &[T], rank: Rank) -> Option<&T> {
    list.get(rank as usize)
}

pub fn next_rank<T>(list: &[T]) -> Rank {
    Rank::try_from(list.len()).unwrap_or(Rank::MAX)
}

impl Model {
    pub fn unit_path(&self, rank: Rank) -> String {
        let (mut steps, mut current) = (Vec::new(), Some(rank));
        while let Some(unit) = current.and_then(|r| at(&self.units, r)) {
            steps.push(unit.position);
            current = unit.parent;
        }
        let mut out = format!("{}/DescriptiveMetadata[1]", self.package);
        for position in steps.iter().rev() {
            out.push_str(&format!("/ArchiveUnit[{position}]"));
        }
        out
    }

    pub fn reference_path(&self, r: &Reference) -> String {
        format!("{}/DataObjectReference[{}]", self.unit_path(r.unit), r.position)
    }

    pub fn object_path(&self, object: &Object) -> String {
        let name = if object.physical { "PhysicalDataObject" } else { "BinaryDataObject" };
        let group = object.group.and_then(|g| at(&self.groups, g)).filter(|g| g.position > 0);
        match group {
            Some(g) => {
                format!("{}/DataObjectGroup[{}]/{name}[{}]", self.package, g.position, object.position)
            }
            None => format!("{}/{name}[{}]", self.package, object.position),
        }
    }

    pub fn group_path(&self, group: &Group) -> String {
        match group.objects.first().and_then(|o| at(&self.objects, *o)) {
            Some(object) if group.position == 0 => self.object_path(object),
            _ => format!("{}/DataObjectGroup[{}]", self.package, group.position),
        }
    }
}
