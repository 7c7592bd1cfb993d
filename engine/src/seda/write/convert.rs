//! From the model to elements.

use super::node::{Node, refused};
use crate::error::Result;
use crate::seda::model::*;

fn management(name: &'static str, rules: &[Rules]) -> Result<Node> {
    let mut node = Node::new(name);
    for (i, r) in rules.iter().enumerate() {
        if rules.iter().take(i).any(|other| other.category == r.category) {
            return Err(refused(format!("catégorie de règles {:?} écrite deux fois", r.category)));
        }
        node.children.push(category(r)?);
    }
    Ok(node)
}

fn category(r: &Rules) -> Result<Node> {
    use Category as C;
    use FinalAction as F;
    let name = match r.category {
        C::Storage => "StorageRule",
        C::Appraisal => "AppraisalRule",
        C::Access => "AccessRule",
        C::Dissemination => "DisseminationRule",
        C::Reuse => "ReuseRule",
        C::Classification => "ClassificationRule",
        C::Hold => "HoldRule",
    };
    let fits = match (r.category, r.final_action) {
        (C::Storage, Some(F::RestrictAccess | F::Transfer | F::Copy)) => true,
        (C::Appraisal, Some(F::Keep | F::Destroy)) => true,
        (C::Storage | C::Appraisal, _) => false,
        (_, action) => action.is_none(),
    };
    if !fits {
        return Err(refused(format!(
            "« {name} » : sort final {:?} absent ou d'une autre catégorie",
            r.final_action
        )));
    }
    if (r.category == C::Classification) != r.classification.is_some() {
        return Err(refused(format!(
            "« {name} » : niveau et propriétaire vont avec la classification, et elle seule"
        )));
    }
    let mut node = Node::new(name);
    for rule in &r.rules {
        if rule.hold.is_some() && r.category != C::Hold {
            return Err(refused(format!("« {name} » : un gel n'a sa place que dans « HoldRule »")));
        }
        node = node.texts("Rule", [&rule.code]).texts("StartDate", rule.start);
        if let Some(h) = &rule.hold {
            if rule.start.zip(h.end).is_some_and(|(start, end)| end < start) {
                return Err(refused("« HoldEndDate » précède « StartDate »".into()));
            }
            node = node
                .texts("HoldEndDate", h.end)
                .texts("HoldOwner", &h.owner)
                .texts("HoldReassessingDate", h.reassess)
                .texts("HoldReason", &h.reason)
                .texts("PreventRearrangement", h.prevent_rearrangement);
        }
    }
    let class = r.classification.as_ref();
    node = node.texts("ClassificationAudience", class.and_then(|c| c.audience.as_ref()));
    node = match &r.inheritance {
        Inheritance::Kept => node,
        Inheritance::Prevented => node.texts("PreventInheritance", [true]),
        Inheritance::Without(codes) => node.texts("RefNonRuleId", codes),
    };
    if let Some(c) = class {
        node = node
            .texts("ClassificationLevel", [&c.level])
            .texts("ClassificationOwner", [&c.owner])
            .texts("ClassificationReassessingDate", c.reassess)
            .texts("NeedReassessingAuthorization", c.needs_authorization);
    }
    Ok(node.texts("FinalAction", r.final_action.map(|a| format!("{a:?}"))))
}

pub fn management_metadata(m: &ManagementMetadata) -> Result<Node> {
    Ok(management("ManagementMetadata", &m.rules)?
        .texts("ArchivalProfile", &m.archival_profile)
        .texts("ServiceLevel", &m.service_level)
        .texts("AcquisitionInformation", &m.acquisition)
        .texts(
            "LegalStatus",
            m.legal_status.map(|s| match s {
                LegalStatus::Public => "Public Archive",
                LegalStatus::Private => "Private Archive",
                LegalStatus::Both => "Public and Private Archive",
            }),
        )
        .texts("OriginatingAgencyIdentifier", &m.originating_agency)
        .texts("SubmissionAgencyIdentifier", &m.submission_agency))
}

/// Management, when there is any.
pub fn unit_management(u: &ArchiveUnit) -> Result<Option<Node>> {
    let node = management("Management", &u.rules)?.texts("NeedAuthorization", u.need_authorization);
    Ok((!node.children.is_empty()).then_some(node))
}

fn agency(name: &'static str, id: &Option<String>) -> Option<Node> {
    id.as_ref().map(|id| Node::new(name).texts("Identifier", [id]))
}

fn event(e: &Event) -> Node {
    Node::new("Event")
        .texts("EventIdentifier", &e.identifier)
        .texts("EventTypeCode", &e.code)
        .texts("EventType", &e.kind)
        .texts("EventDateTime", [format!("{}T00:00:00.000Z", e.date)])
        .texts("EventDetail", &e.detail)
        .texts("Outcome", &e.outcome)
        .texts("OutcomeDetailMessage", &e.outcome_message)
        .nodes(e.agents.iter().map(|(kind, value, role)| {
            Node::new("LinkingAgentIdentifier")
                .texts("LinkingAgentIdentifierType", [kind])
                .texts("LinkingAgentIdentifierValue", [value])
                .texts("LinkingAgentRole", [role])
        }))
}

fn relation(r: &Relation) -> Node {
    let name = match r.kind {
        RelationKind::IsVersionOf => "IsVersionOf",
        RelationKind::Replaces => "Replaces",
        RelationKind::Requires => "Requires",
        RelationKind::IsPartOf => "IsPartOf",
        RelationKind::References => "References",
    };
    Node::new(name).child(match &r.target {
        Target::Unit(id) => Node::text("ArchiveUnitRefId", id),
        Target::Group(id) => Node::new("DataObjectReference").texts("DataObjectGroupReferenceId", [id]),
        Target::Archived(id) => Node::text("RepositoryArchiveUnitPID", id),
        Target::External(id) => Node::text("ExternalReference", id),
    })
}

pub fn content(c: &Content) -> Result<Node> {
    if c.title.trim().is_empty() {
        return Err(refused("une unité n'a pas de titre : les services d'archives la refuseraient".into()));
    }
    if c.start.zip(c.end).is_some_and(|(start, end)| end < start) {
        return Err(refused("la date de fin d'une unité précède sa date de début".into()));
    }
    let mut history = Node::new("CustodialHistory");
    for (when, text) in &c.custodial_history {
        let item = Node::text("CustodialHistoryItem", text);
        history.children.push(match when {
            Some(day) => item.with("when", day.to_string()),
            None => item,
        });
    }
    let mut coverage = Node::new("Coverage");
    for (name, values) in ["Spatial", "Temporal", "Juridictional"].into_iter().zip(&c.coverage) {
        coverage = coverage.texts(name, values);
    }
    let related = Node::new("RelatedObjectReference").nodes(c.relations.iter().map(relation));
    Ok(Node::new("Content")
        .texts("DescriptionLevel", c.level.map(|l| format!("{l:?}")))
        .texts("Title", [&c.title])
        .texts("FilePlanPosition", &c.file_plan_position)
        .texts("OriginatingSystemId", &c.originating_system_ids)
        .texts("ArchivalAgencyArchiveUnitIdentifier", &c.archival_ids)
        .texts("OriginatingAgencyArchiveUnitIdentifier", &c.originating_ids)
        .texts("TransferringAgencyArchiveUnitIdentifier", &c.transferring_ids)
        .texts("Description", &c.description)
        .texts("DocumentType", &c.document_type)
        .texts("Language", &c.languages)
        .texts("DescriptionLanguage", &c.description_language)
        .texts("Status", &c.status)
        .texts("Version", &c.version)
        .texts("Tag", &c.tags)
        .nodes(c.keywords.iter().map(|k| {
            Node::new("Keyword")
                .texts("KeywordContent", [&k.content])
                .texts("KeywordReference", &k.reference)
                .texts("KeywordType", k.kind.map(|k| format!("{k:?}").to_lowercase()))
        }))
        .nodes([history, coverage, related].into_iter().filter(|n| !n.children.is_empty()))
        .nodes(agency("OriginatingAgency", &c.originating_agency))
        .nodes(agency("SubmissionAgency", &c.submission_agency))
        .texts("Source", &c.source)
        .texts("CreatedDate", c.created)
        .texts("ReceivedDate", c.received)
        .texts("StartDate", c.start)
        .texts("EndDate", c.end)
        .texts("DateLitteral", &c.date_literal)
        .nodes(c.events.iter().map(event))
        .nodes(c.persistent_ids.iter().map(|(kind, id)| {
            Node::new("PersistentIdentifier")
                .texts("PersistentIdentifierType", [kind])
                .texts("PersistentIdentifierContent", [id])
        })))
}

pub fn object(o: &BinaryObject) -> Result<Node> {
    if o.sha512.len() != 128 || !o.sha512.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(refused(format!("objet « {} » : empreinte SHA-512 en minuscules attendue", o.id)));
    }
    if o.size == 0 {
        return Err(refused(format!("objet « {} » : un fichier vide ne se verse pas", o.id)));
    }
    let format = Node::new("FormatIdentification")
        .texts("FormatLitteral", &o.format_name)
        .texts("MimeType", &o.mime)
        .texts("FormatId", &o.puid);
    Ok(Node::new("BinaryDataObject")
        .with("id", &o.id)
        .texts("DataObjectVersion", [&o.usage])
        .texts("Uri", [&o.uri])
        .child(Node::text("MessageDigest", &o.sha512).with("algorithm", "SHA-512"))
        .texts("Size", [o.size])
        .nodes((!format.children.is_empty()).then_some(format))
        .child(
            Node::new("FileInfo")
                .texts("Filename", [&o.filename])
                .texts("LastModified", o.last_modified.map(|d| format!("{d}T00:00:00.000Z"))),
        ))
}
