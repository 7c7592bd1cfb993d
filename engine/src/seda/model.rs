//! What an ArchiveTransfer says, the same for SEDA 2.1, 2.2 and 2.3. Plain data: the order of the
//! elements and what each version can express are the tables of [`super::write`].

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// Version of the standard; 2.2 is the one most archives read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Version {
    /// 2018.
    #[serde(rename = "2.1")]
    V2_1,
    /// 2022.
    #[default]
    #[serde(rename = "2.2")]
    V2_2,
    /// 2024.
    #[serde(rename = "2.3")]
    V2_3,
}

impl Version {
    /// Every version.
    pub const ALL: [Version; 3] = [Version::V2_1, Version::V2_2, Version::V2_3];

    /// `2.1`, `2.2`, `2.3`.
    pub fn number(self) -> &'static str {
        match self {
            Version::V2_1 => "2.1",
            Version::V2_2 => "2.2",
            Version::V2_3 => "2.3",
        }
    }

    /// XML namespace.
    pub fn namespace(self) -> &'static str {
        match self {
            Version::V2_1 => "fr:gouv:culture:archivesdefrance:seda:v2.1",
            Version::V2_2 => "fr:gouv:culture:archivesdefrance:seda:v2.2",
            Version::V2_3 => "fr:gouv:culture:archivesdefrance:seda:v2.3",
        }
    }
}

/// The message without its objects and units, which come as streams.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// For readers.
    pub comments: Vec<String>,
    /// Day of the message, written at midnight UTC.
    pub date: NaiveDate,
    /// Unique; also the name of the package.
    pub identifier: String,
    /// Ingest contract known to the archive.
    pub archival_agreement: Option<String>,
    /// (element, value): `MimeTypeCodeListVersion`, … in any order.
    pub code_lists: Vec<(String, String)>,
    /// Identifiers of earlier messages of the same set.
    pub related_transfers: Vec<String>,
    /// Identifier of the reply to a request of transfer.
    pub request_reply: Option<String>,
    /// The archives service.
    pub archival_agency: String,
    /// Who sends.
    pub transferring_agency: String,
    /// Defaults of the root units.
    pub management: ManagementMetadata,
}

/// ManagementMetadata.
#[derive(Debug, Clone, Default)]
pub struct ManagementMetadata {
    /// Archive profile known to the archive.
    pub archival_profile: Option<String>,
    /// Level of service.
    pub service_level: Option<String>,
    /// Way of entry (« Versement »).
    pub acquisition: Option<String>,
    /// Public or private archives.
    pub legal_status: Option<LegalStatus>,
    /// Who produced.
    pub originating_agency: Option<String>,
    /// Who deposits for the producer.
    pub submission_agency: Option<String>,
    /// Rules of the root units.
    pub rules: Vec<Rules>,
}

/// Status in law.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LegalStatus {
    /// « Public Archive ».
    Public,
    /// « Private Archive ».
    Private,
    /// « Public and Private Archive ».
    Both,
}

/// Categories of rules that any unit may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Category {
    /// Current use: Transfer, Copy, RestrictAccess.
    Storage,
    /// Administrative use: Keep, Destroy.
    Appraisal,
    /// Communicability.
    Access,
    /// Dissemination.
    Dissemination,
    /// Reuse.
    Reuse,
    /// Secrecy.
    Classification,
    /// Hold, 2.2 on.
    Hold,
}

/// What becomes of a unit; the first three go with Storage, the others with Appraisal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinalAction {
    /// Storage.
    RestrictAccess,
    /// Storage.
    Transfer,
    /// Storage.
    Copy,
    /// Appraisal.
    Keep,
    /// Appraisal.
    Destroy,
}

/// Inheritance cut at a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Inheritance {
    /// As it comes.
    #[default]
    Kept,
    /// PreventInheritance.
    Prevented,
    /// RefNonRuleId: these codes only.
    Without(Vec<String>),
}

/// The rules of one category at one unit.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Category.
    pub category: Category,
    /// Rules, each with its start.
    pub rules: Vec<Rule>,
    /// Inheritance.
    pub inheritance: Inheritance,
    /// Required by Storage and Appraisal, refused elsewhere.
    pub final_action: Option<FinalAction>,
    /// Required by Classification, refused elsewhere.
    pub classification: Option<Classification>,
}

/// One rule.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// Code in the archive's referential.
    pub code: String,
    /// Start of the duration.
    pub start: Option<NaiveDate>,
    /// Only with [`Category::Hold`].
    pub hold: Option<Hold>,
}

/// Terms of a hold.
#[derive(Debug, Clone, Default)]
pub struct Hold {
    /// Known end.
    pub end: Option<NaiveDate>,
    /// Who asked.
    pub owner: Option<String>,
    /// When to look again.
    pub reassess: Option<NaiveDate>,
    /// Why.
    pub reason: Option<String>,
    /// No reclassification while held.
    pub prevent_rearrangement: Option<bool>,
}

/// Terms of a classification.
#[derive(Debug, Clone, Default)]
pub struct Classification {
    /// Audience.
    pub audience: Option<String>,
    /// Level.
    pub level: String,
    /// Owner.
    pub owner: String,
    /// When to look again.
    pub reassess: Option<NaiveDate>,
    /// Whether a person must authorise.
    pub needs_authorization: Option<bool>,
}

/// Level of description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the words of ISAD(G)")]
pub enum Level {
    Fonds,
    Subfonds,
    Class,
    Collection,
    Series,
    Subseries,
    RecordGrp,
    SubGrp,
    File,
    Item,
    OtherLevel,
}

/// A keyword.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyword {
    /// Text.
    pub content: String,
    /// Identifier in a thesaurus.
    #[serde(default)]
    pub reference: Option<String>,
    /// `subject`, `geogname`, `corpname`, … as the schema lists them.
    pub kind: Option<KeywordKind>,
}

/// Kinds of keywords that tables of education need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words of EAD")]
pub enum KeywordKind {
    Corpname,
    Famname,
    Geogname,
    Name,
    Occupation,
    Persname,
    Subject,
    Genreform,
    Function,
}

/// Something that happened to the data.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// Identifier.
    pub identifier: Option<String>,
    /// Code.
    pub code: Option<String>,
    /// « Réception », « Contrôle », « Anonymisation », …
    pub kind: Option<String>,
    /// Day.
    pub date: NaiveDate,
    /// In words.
    pub detail: Option<String>,
    /// `OK`, `WARNING`, `KO`.
    pub outcome: Option<String>,
    /// What came of it, in words.
    pub outcome_message: Option<String>,
    /// (type, value, role), 2.2 on.
    pub agents: Vec<(String, String, String)>,
}

/// A relation to another unit or object.
#[derive(Debug, Clone)]
pub struct Relation {
    /// What relation.
    pub kind: RelationKind,
    /// To what.
    pub target: Target,
}

/// Kinds of relations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of Dublin Core")]
pub enum RelationKind {
    IsVersionOf,
    Replaces,
    Requires,
    IsPartOf,
    References,
}

/// End of a relation.
#[derive(Debug, Clone)]
pub enum Target {
    /// A unit of this message.
    Unit(String),
    /// A group of objects of this message.
    Group(String),
    /// A unit that the archive holds, by its identifier there.
    Archived(String),
    /// Anything else, such as another package of the same set.
    External(String),
}

/// Content of a unit.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// Level.
    pub level: Option<Level>,
    /// Required by archives, never empty.
    pub title: String,
    /// Place in the plan de classement.
    pub file_plan_position: Vec<String>,
    /// Identifiers in the system of origin.
    pub originating_system_ids: Vec<String>,
    /// Identifiers at the archive.
    pub archival_ids: Vec<String>,
    /// Identifiers at the producer.
    pub originating_ids: Vec<String>,
    /// Identifiers at the sender.
    pub transferring_ids: Vec<String>,
    /// Scope and content.
    pub description: Vec<String>,
    /// History, with its days.
    pub custodial_history: Vec<(Option<NaiveDate>, String)>,
    /// Type of document.
    pub document_type: Option<String>,
    /// `fra`, …
    pub languages: Vec<String>,
    /// Language of this description.
    pub description_language: Option<String>,
    /// Status.
    pub status: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Free tags.
    pub tags: Vec<String>,
    /// Keywords.
    pub keywords: Vec<Keyword>,
    /// Places, periods, jurisdictions.
    pub coverage: [Vec<String>; 3],
    /// Who produced, when not the message's.
    pub originating_agency: Option<String>,
    /// Who deposits, when not the message's.
    pub submission_agency: Option<String>,
    /// Where it comes from.
    pub source: Option<String>,
    /// Relations.
    pub relations: Vec<Relation>,
    /// Creation.
    pub created: Option<NaiveDate>,
    /// Reception.
    pub received: Option<NaiveDate>,
    /// First day of the records.
    pub start: Option<NaiveDate>,
    /// Last day of the records.
    pub end: Option<NaiveDate>,
    /// Dates in words, 2.2 on.
    pub date_literal: Option<String>,
    /// Life of the data.
    pub events: Vec<Event>,
    /// (type, content), 2.3 on.
    pub persistent_ids: Vec<(String, String)>,
}

/// A unit, or a second place of a unit.
#[derive(Debug, Clone)]
pub enum Unit {
    /// A unit.
    Own(Box<ArchiveUnit>),
    /// A place that only points to a unit: (its id, id of the unit).
    Alias(String, String),
}

/// A unit of archives.
#[derive(Debug, Clone, Default)]
pub struct ArchiveUnit {
    /// XML identifier, unique in the message.
    pub id: String,
    /// Unit profile known to the archive.
    pub profile: Option<String>,
    /// Rules, one entry a category at most.
    pub rules: Vec<Rules>,
    /// Whether elimination asks for an authorisation.
    pub need_authorization: Option<bool>,
    /// Description.
    pub content: Content,
    /// Groups of objects.
    pub groups: Vec<String>,
}

/// A group of objects, wrapped.
#[derive(Debug, Clone)]
pub struct ObjectGroup {
    /// XML identifier.
    pub id: String,
    /// Objects.
    pub objects: Vec<BinaryObject>,
}

/// A file.
#[derive(Debug, Clone, Default)]
pub struct BinaryObject {
    /// XML identifier.
    pub id: String,
    /// `BinaryMaster_1`, …
    pub usage: String,
    /// Path in the package.
    pub uri: String,
    /// Lower-case SHA-512, in hexadecimal.
    pub sha512: String,
    /// Bytes.
    pub size: u64,
    /// Name of the format.
    pub format_name: Option<String>,
    /// MIME type.
    pub mime: Option<String>,
    /// PRONOM identifier.
    pub puid: Option<String>,
    /// Name for people.
    pub filename: String,
    /// Day of the file.
    pub last_modified: Option<NaiveDate>,
}
