//! Order of the elements, as data: one row a child, with the first version that has it.
//! Source: the official schemas of SEDA 2.1, 2.2 and 2.3, which differ only by additions in what
//! we write (Signature and SigningInformation are never written).

use crate::seda::model::Version::{self, V2_1, V2_2, V2_3};

/// Children of an element in order.
pub type Order = &'static [(&'static str, Version)];

/// The order within `parent`, or `None` when its children come in the order of the writer.
pub fn order(parent: &str) -> Option<Order> {
    TABLES.iter().find(|(name, _)| *name == parent).map(|(_, order)| *order)
}

static TABLES: &[(&str, Order)] = &[
    (
        "CodeListVersions",
        &[
            ("ReplyCodeListVersion", V2_1),
            ("MessageDigestAlgorithmCodeListVersion", V2_1),
            ("MimeTypeCodeListVersion", V2_1),
            ("EncodingCodeListVersion", V2_1),
            ("FileFormatCodeListVersion", V2_1),
            ("CompressionAlgorithmCodeListVersion", V2_1),
            ("DataObjectVersionCodeListVersion", V2_1),
            ("StorageRuleCodeListVersion", V2_1),
            ("AppraisalRuleCodeListVersion", V2_1),
            ("AccessRuleCodeListVersion", V2_1),
            ("DisseminationRuleCodeListVersion", V2_1),
            ("ReuseRuleCodeListVersion", V2_1),
            ("ClassificationRuleCodeListVersion", V2_1),
            ("HoldRuleCodeListVersion", V2_2),
            ("AcquisitionInformationCodeListVersion", V2_1),
            ("AuthorizationReasonCodeListVersion", V2_1),
            ("RelationshipCodeListVersion", V2_1),
        ],
    ),
    (
        "BinaryDataObject",
        &[
            ("DataObjectVersion", V2_1),
            ("Uri", V2_1),
            ("MessageDigest", V2_1),
            ("Size", V2_1),
            ("FormatIdentification", V2_1),
            ("FileInfo", V2_1),
        ],
    ),
    ("FormatIdentification", &[("FormatLitteral", V2_1), ("MimeType", V2_1), ("FormatId", V2_1)]),
    ("FileInfo", &[("Filename", V2_1), ("LastModified", V2_1)]),
    ("Management", MANAGEMENT),
    (
        "ManagementMetadata",
        &[
            ("ArchivalProfile", V2_1),
            ("ServiceLevel", V2_1),
            ("AcquisitionInformation", V2_1),
            ("LegalStatus", V2_1),
            ("OriginatingAgencyIdentifier", V2_1),
            ("SubmissionAgencyIdentifier", V2_1),
            ("StorageRule", V2_1),
            ("AppraisalRule", V2_1),
            ("AccessRule", V2_1),
            ("DisseminationRule", V2_1),
            ("ReuseRule", V2_1),
            ("ClassificationRule", V2_1),
            ("NeedAuthorization", V2_1),
            ("HoldRule", V2_2),
        ],
    ),
    (
        "Content",
        &[
            ("DescriptionLevel", V2_1),
            ("Title", V2_1),
            ("FilePlanPosition", V2_1),
            ("OriginatingSystemId", V2_1),
            ("ArchivalAgencyArchiveUnitIdentifier", V2_1),
            ("OriginatingAgencyArchiveUnitIdentifier", V2_1),
            ("TransferringAgencyArchiveUnitIdentifier", V2_1),
            ("Description", V2_1),
            ("CustodialHistory", V2_1),
            ("DocumentType", V2_1),
            ("Language", V2_1),
            ("DescriptionLanguage", V2_1),
            ("Status", V2_1),
            ("Version", V2_1),
            ("Tag", V2_1),
            ("Keyword", V2_1),
            ("Coverage", V2_1),
            ("OriginatingAgency", V2_1),
            ("SubmissionAgency", V2_1),
            ("Source", V2_1),
            ("RelatedObjectReference", V2_1),
            ("CreatedDate", V2_1),
            ("ReceivedDate", V2_1),
            ("StartDate", V2_1),
            ("EndDate", V2_1),
            ("DateLitteral", V2_2),
            ("Event", V2_1),
            ("PersistentIdentifier", V2_3),
        ],
    ),
    ("Keyword", &[("KeywordContent", V2_1), ("KeywordReference", V2_1), ("KeywordType", V2_1)]),
    ("Coverage", &[("Spatial", V2_1), ("Temporal", V2_1), ("Juridictional", V2_1)]),
    (
        "RelatedObjectReference",
        &[
            ("IsVersionOf", V2_1),
            ("Replaces", V2_1),
            ("Requires", V2_1),
            ("IsPartOf", V2_1),
            ("References", V2_1),
        ],
    ),
    (
        "Event",
        &[
            ("EventIdentifier", V2_1),
            ("EventTypeCode", V2_1),
            ("EventType", V2_1),
            ("EventDateTime", V2_1),
            ("EventDetail", V2_1),
            ("Outcome", V2_1),
            ("OutcomeDetailMessage", V2_1),
            ("LinkingAgentIdentifier", V2_2),
        ],
    ),
    ("PersistentIdentifier", &[("PersistentIdentifierType", V2_3), ("PersistentIdentifierContent", V2_3)]),
];

const MANAGEMENT: Order = &[
    ("StorageRule", V2_1),
    ("AppraisalRule", V2_1),
    ("AccessRule", V2_1),
    ("DisseminationRule", V2_1),
    ("ReuseRule", V2_1),
    ("ClassificationRule", V2_1),
    ("NeedAuthorization", V2_1),
    ("HoldRule", V2_2),
];
