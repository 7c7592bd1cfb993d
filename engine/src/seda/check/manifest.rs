//! Reads a manifest once: what is local to an element is judged there, what is not goes to the model.

use super::model::{Digest, Group, Model, Object, Rank, Reference, Target, Unit, next_rank};
use super::referentials::Referentials;
use super::rules::Rules;
use super::units::{Content, Moment};
use super::xml::{self, NAMESPACE, Place, Stop, Visit};
use super::{Findings, codes};
use std::io::Read;

/// Characters of an identifier or a code that is kept.
const KEPT_CHARS_MAX: usize = 1024;

/// Reads a manifest. `structure` gets what the schema would say, `semantic` what it would not.
pub fn read(
    input: impl Read,
    lists: &Referentials,
    structure: &mut Findings,
    semantic: &mut Findings,
) -> Result<Model, Stop> {
    let mut builder = Builder {
        model: Model::default(),
        lists,
        structure,
        semantic,
        header: Vec::new(),
        open_units: Vec::new(),
        group: None,
        content: None,
        described: Vec::new(),
        rules: Rules::default(),
        algorithm: None,
        originating: None,
        profile_told: false,
        management: String::new(),
    };
    xml::walk(input, &mut builder)?;
    builder.finish();
    Ok(builder.model)
}

struct Builder<'a> {
    model: Model,
    lists: &'a Referentials,
    structure: &'a mut Findings,
    semantic: &'a mut Findings,
    /// Elements of the header that were met.
    header: Vec<&'static str>,
    open_units: Vec<Rank>,
    group: Option<Rank>,
    content: Option<Content>,
    /// For each open unit, whether it has a `Content`.
    described: Vec<bool>,
    rules: Rules,
    algorithm: Option<String>,
    originating: Option<String>,
    /// The archive profile has its own fault already.
    profile_told: bool,
    management: String,
}

const REQUIRED: [&str; 5] = [
    "Date",
    "MessageIdentifier",
    "CodeListVersions",
    "ArchivalAgency/Identifier",
    "TransferringAgency/Identifier",
];

fn kept(text: &str) -> Box<str> {
    match text.char_indices().nth(KEPT_CHARS_MAX) {
        Some((end, _)) => text.get(..end).unwrap_or_default().into(),
        None => text.into(),
    }
}

fn is_ncname(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '·'))
}

/// Form of the identifiers that the archive gives.
fn is_guid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

impl Builder<'_> {
    fn invalid(&mut self, place: &Place, message: impl Into<String>) {
        self.structure.error(codes::NOT_XSD, place.xpath(), message);
    }

    fn identify(&mut self, place: &Place, id: &str, target: Target) {
        if !is_ncname(id) {
            let message = "identifiant vide ou mal formé : une lettre ou « _ », puis lettres, chiffres, « - », « _ » ou « . »";
            return self.invalid(place, message);
        }
        if self.model.ids.insert(kept(id), target).is_some() {
            self.invalid(
                place,
                "cet identifiant est déjà porté par un autre élément : donnez-en un à chacun",
            );
        }
    }

    fn last_object(&mut self) -> Option<&mut Object> {
        self.model.objects.last_mut()
    }

    fn open_object(&mut self, place: &Place, id: &str, physical: bool) {
        let rank = next_rank(&self.model.objects);
        let position = place.frame(0).map_or(0, |f| f.position);
        self.model.objects.push(Object {
            physical,
            group: self.group,
            group_ref: None,
            position,
            usage: None,
            uri: None,
            physical_id: false,
            inline: false,
            digest: None,
            size: None,
            format: None,
        });
        if let Some(group) = self.group.and_then(|g| self.model.groups.get_mut(g as usize)) {
            group.objects.push(rank);
        }
        self.identify(place, id, Target::Object(rank));
    }

    fn open_unit(&mut self, place: &Place, id: &str) {
        let rank = next_rank(&self.model.units);
        let position = place.frame(0).map_or(0, |f| f.position);
        let parent = self.open_units.last().copied();
        self.model.units.push(Unit { parent, position, stands_for: None });
        self.open_units.push(rank);
        self.described.push(false);
        self.identify(place, id, Target::Unit(rank));
    }

    fn close_object_field(&mut self, place: &Place, text: &str) {
        let text = text.trim();
        match place.name(0) {
            "DataObjectVersion" => {
                if let Some(o) = self.last_object() {
                    o.usage = Some(kept(text));
                }
            }
            "Uri" => {
                if let Some(o) = self.last_object() {
                    o.uri = Some(kept(text));
                }
            }
            "PhysicalId" => {
                if let Some(o) = self.last_object() {
                    o.physical_id = !text.is_empty();
                }
            }
            "MessageDigest" => {
                let algorithm = self.algorithm.take();
                if algorithm.is_none() {
                    self.invalid(place, "l'attribut « algorithm » manque : écrivez algorithm=\"SHA-512\"");
                }
                if let Some(o) = self.last_object() {
                    let algorithm = algorithm.unwrap_or_default().into();
                    o.digest = Some(Digest { algorithm, value: kept(text) });
                }
            }
            "Size" => {
                let size = text.parse().ok();
                if size.is_none() {
                    self.invalid(place, "la taille n'est pas un nombre d'octets");
                }
                if let Some(o) = self.last_object() {
                    o.size = size;
                }
            }
            "Attachment" => {
                let message = "le contenu est dans le manifeste (Attachment) : mettez-le dans un fichier du dossier « content » et donnez son Uri";
                self.semantic.error(codes::OBJECT_EMPTY, place.xpath(), message);
                if let Some(o) = self.last_object() {
                    o.inline = true;
                }
            }
            "DataObjectGroupId" => {
                let rank = next_rank(&self.model.groups);
                let object = next_rank(&self.model.objects).saturating_sub(1);
                let group = Group { position: 0, objects: vec![object], attached: false };
                self.model.groups.push(group);
                self.identify(place, text, Target::Group(rank));
                if let Some(o) = self.last_object() {
                    o.group = Some(rank);
                }
            }
            "DataObjectGroupReferenceId" => {
                if let Some(o) = self.last_object() {
                    o.group_ref = Some(kept(text));
                }
            }
            "DataObjectGroupSystemId" => self.attachment(place, text),
            _ => {}
        }
    }

    fn attachment(&mut self, place: &Place, text: &str) {
        self.model.attachments += 1;
        if let Some(group) = self.group.and_then(|g| self.model.groups.get_mut(g as usize)) {
            group.attached = true;
        }
        if !is_guid(text) {
            let message = "un rattachement se fait par l'identifiant que l'archive a donné (36 lettres minuscules et chiffres)";
            self.semantic.error(codes::GUID, place.xpath(), message);
        }
    }

    fn close_header(&mut self, place: &Place, text: &str) {
        let name = place.name(0);
        if let Some(found) = REQUIRED.iter().find(|n| **n == name) {
            self.header.push(found);
        }
        match name {
            "Date" if Moment::parse(text.trim()).is_none_or(|m| m.time.is_none()) => {
                self.invalid(place, "date et heure attendues : AAAA-MM-JJThh:mm:ssZ");
            }
            "MessageIdentifier" if text.trim().is_empty() => {
                self.invalid(place, "l'identifiant du message est vide : donnez-en un, unique");
            }
            "MessageIdentifier"
                if !text.trim().chars().all(|c| {
                    c.is_alphanumeric() || matches!(c, '.' | '-' | '/' | '+' | '=' | '@' | '_' | ' ')
                }) =>
            {
                let message = "l'identifiant du message ne devrait avoir que des lettres, des chiffres, des espaces et . - / + = @ _";
                self.semantic.warning(codes::W_MESSAGE_ID, place.xpath(), message);
            }
            "ArchivalAgreement" => self.agreement(place, text.trim()),
            _ => {}
        }
    }

    fn agreement(&mut self, place: &Place, text: &str) {
        self.model.agreement = Some(text.to_owned());
        let Some(contracts) = &self.lists.contracts else { return };
        if text.is_empty() {
            return;
        }
        match contracts.get(text) {
            None => {
                let message = "ce contrat d'entrée est inconnu du service d'archives : vérifiez son identifiant ou faites-le créer";
                self.semantic.error(codes::CONTRACT_UNKNOWN, place.xpath(), message);
            }
            Some(c) if !c.active => {
                let message =
                    "ce contrat d'entrée n'est pas actif : faites-le activer par le service d'archives";
                self.semantic.error(codes::CONTRACT_INACTIVE, place.xpath(), message);
            }
            Some(_) => {}
        }
    }

    fn agency(&mut self, place: &Place, text: &str) {
        let known = self.lists.agencies.as_ref().is_none_or(|a| a.contains(text));
        if !known && !text.is_empty() {
            let message = "ce service est inconnu du service d'archives : vérifiez l'identifiant ou faites-le ajouter aux services agents";
            self.semantic.error(codes::AGENT_UNKNOWN, place.xpath(), message);
        }
    }

    fn close_management_metadata(&mut self, place: &Place, text: &str) {
        let text = text.trim();
        match place.name(0) {
            "OriginatingAgencyIdentifier" => {
                self.originating = Some(text.to_owned());
                if text.is_empty() {
                    let message = "le service producteur est vide : donnez son identifiant dans l'archive";
                    self.semantic.error(codes::AGENT_EMPTY, place.xpath(), message);
                }
                self.agency(place, text);
            }
            "SubmissionAgencyIdentifier" => self.agency(place, text),
            "ArchivalProfile" => {
                self.model.profile = Some(text.to_owned());
                match self.lists.profiles.as_ref().map(|p| p.get(text)) {
                    Some(None) => {
                        self.profile_told = true;
                        let message = "ce profil d'archivage est inconnu du service d'archives : vérifiez son identifiant";
                        self.semantic.error(codes::PROFILE_UNKNOWN, place.xpath(), message);
                    }
                    Some(Some(false)) => {
                        self.profile_told = true;
                        let message = "ce profil d'archivage n'est pas actif : faites-le activer par le service d'archives";
                        self.semantic.error(codes::PROFILE_INACTIVE, place.xpath(), message);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn close_unit_element(&mut self, place: &Place, text: &str) {
        let Some(unit) = self.open_units.last().copied() else { return };
        match (place.name(0), place.name(1)) {
            ("ArchiveUnitRefId", "ArchiveUnit") => {
                if let Some(unit) = self.model.units.get_mut(unit as usize) {
                    unit.stands_for = Some(kept(text.trim()));
                }
            }
            (name @ ("DataObjectReferenceId" | "DataObjectGroupReferenceId"), "DataObjectReference")
                if place.name(2) == "ArchiveUnit" =>
            {
                let position = place.frame(1).map_or(0, |f| f.position);
                let to_group = name == "DataObjectGroupReferenceId";
                let target = kept(text.trim());
                self.model.references.push(Reference { unit, position, target, to_group });
            }
            ("DataObjectReferenceId" | "DataObjectGroupReferenceId" | "ArchiveUnitRefId", _) => {
                self.model.others.push((kept(text.trim()), place.xpath()));
            }
            ("SystemId", "UpdateOperation") => self.attachment(place, text.trim()),
            ("LogBook", "Management") => {
                let message = "le journal de l'archive (Management/LogBook) est réservé aux transferts entre archives : mettez vos événements dans Content/Event";
                self.semantic.warning(codes::W_LOGBOOK, place.xpath(), message);
            }
            ("Content", "ArchiveUnit") => {
                if let Some(content) = self.content.take() {
                    content.finish(place, self.semantic);
                }
            }
            ("ArchiveUnit", _) => {
                self.open_units.pop();
                let described = self.described.pop().unwrap_or_default();
                let stands = self.model.units.get(unit as usize).is_some_and(|u| u.stands_for.is_some());
                if described == stands {
                    let message = "une unité a une description (Content), ou bien renvoie à une autre (ArchiveUnitRefId)";
                    self.invalid(place, message);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self) {
        if self.model.version.is_none() {
            return;
        }
        let root = "/ArchiveTransfer";
        for name in REQUIRED {
            if !self.header.contains(&name) {
                self.structure.error(
                    codes::NOT_XSD,
                    root,
                    format!("l'élément {name} manque : il est obligatoire"),
                );
            }
        }
        if self.model.agreement.as_deref().unwrap_or_default().is_empty() {
            let message =
                "le contrat d'entrée (ArchivalAgreement) manque : donnez son identifiant dans l'archive";
            self.semantic.error(codes::CONTRACT_ABSENT, root, message);
        }
        if self.model.package.is_empty() {
            let message = "le manifeste ne décrit rien (DataObjectPackage manque)";
            return self.semantic.error(codes::MALFORMED, root, message);
        }
        let package = self.model.package.clone();
        for name in ["DescriptiveMetadata", "ManagementMetadata"] {
            if !self.header.contains(&name) {
                let message = format!("l'élément {name} manque : il est obligatoire");
                self.structure.error(codes::NOT_XSD, package.clone(), message);
            }
        }
        if self.originating.is_none() {
            let message = "le service producteur (OriginatingAgencyIdentifier) manque : donnez son identifiant dans l'archive";
            self.semantic.error(codes::AGENT_EMPTY, self.management.clone(), message);
        }
        self.profile_of_contract(root);
    }

    fn profile_of_contract(&mut self, root: &str) {
        let contracts = self.lists.contracts.as_ref();
        let agreement = self.model.agreement.as_deref().unwrap_or_default();
        let Some(contract) = contracts.and_then(|c| c.get(agreement)) else { return };
        let same = match &self.model.profile {
            Some(profile) => contract.profiles.contains(profile),
            None => contract.profiles.is_empty(),
        };
        if !same && !self.profile_told {
            let message = match contract.profiles.first() {
                Some(expected) => format!("le contrat d'entrée demande le profil d'archivage « {expected} » : mettez-le dans ArchivalProfile"),
                None => "le contrat d'entrée n'a pas de profil d'archivage : retirez ArchivalProfile ou changez de contrat".to_owned(),
            };
            self.semantic.error(codes::PROFILE_DIFF, root, message);
        }
    }
}

impl Visit for Builder<'_> {
    fn root(&mut self, name: &str, namespace: &str) {
        let version = namespace.strip_prefix(NAMESPACE).unwrap_or_default();
        self.model.version = ["2.1", "2.2", "2.3"].into_iter().find(|v| *v == version);
        if self.model.version.is_none() {
            let message = if namespace.starts_with(NAMESPACE) {
                "cette version du SEDA n'est pas lue par l'archive : 2.1, 2.2 ou 2.3"
            } else {
                "l'espace de noms n'est pas celui du SEDA (fr:gouv:culture:archivesdefrance:seda:v2.1, v2.2 ou v2.3)"
            };
            self.structure.error(codes::VERSION, "/", message);
        } else if name != "ArchiveTransfer" {
            self.model.version = None;
            let message = "la racine n'est pas ArchiveTransfer : ce message n'est pas un versement";
            self.structure.error(codes::NOT_XSD, "/", message);
        }
    }

    fn open(&mut self, place: &Place, attributes: &[(String, String)]) {
        if self.model.version.is_none() {
            return;
        }
        let attribute = |name: &str| attributes.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str());
        let id = attribute("id");
        if let Some(content) = &mut self.content {
            content.open(place, attributes, self.semantic);
        }
        self.rules.open(place);
        match (place.name(0), place.name(1)) {
            ("", _) => {}
            ("DataObjectPackage", "ArchiveTransfer") => self.model.package = place.xpath(),
            ("DescriptiveMetadata", "DataObjectPackage") => self.header.push("DescriptiveMetadata"),
            ("ManagementMetadata", "DataObjectPackage") => {
                self.header.push("ManagementMetadata");
                self.management = place.xpath();
            }
            ("DataObjectGroup", "DataObjectPackage") => {
                let rank = next_rank(&self.model.groups);
                let position = place.frame(0).map_or(0, |f| f.position);
                let id = id.unwrap_or_default();
                self.model.groups.push(Group { position, objects: Vec::new(), attached: false });
                self.group = Some(rank);
                self.identify(place, id, Target::Group(rank));
            }
            (name @ ("BinaryDataObject" | "PhysicalDataObject"), "DataObjectPackage" | "DataObjectGroup") => {
                self.open_object(place, id.unwrap_or_default(), name == "PhysicalDataObject");
            }
            ("MessageDigest", _) => self.algorithm = attribute("algorithm").map(str::to_owned),
            ("Relationship", _) => {
                if let Some(target) = attribute("target") {
                    self.model.others.push((kept(target), place.xpath()));
                }
            }
            ("ArchiveUnit", "ArchiveUnit" | "DescriptiveMetadata") => {
                self.open_unit(place, id.unwrap_or_default())
            }
            ("Content", "ArchiveUnit") => {
                self.content = Some(Content::new(place.depth()));
                if let Some(described) = self.described.last_mut() {
                    *described = true;
                }
            }
            _ => {
                if let Some(id) = id.filter(|_| self.content.is_none()) {
                    self.identify(place, id, Target::Other);
                }
            }
        }
    }

    fn close(&mut self, place: &Place, text: &str) {
        if self.model.version.is_none() {
            return;
        }
        if let Some(content) = &mut self.content {
            content.close(place, text, self.semantic);
        }
        self.rules.close(place, text, self.lists, self.model.version, self.structure, self.semantic);
        match (place.name(0), place.name(1)) {
            (_, "ArchiveTransfer") => self.close_header(place, text),
            ("Identifier", "ArchivalAgency") if place.name(2) == "ArchiveTransfer" => {
                self.header.push("ArchivalAgency/Identifier");
            }
            ("Identifier", "TransferringAgency") if place.name(2) == "ArchiveTransfer" => {
                self.header.push("TransferringAgency/Identifier");
            }
            (_, "ManagementMetadata") => self.close_management_metadata(place, text),
            ("DataObjectGroup", "DataObjectPackage") => self.group = None,
            ("FormatId", "FormatIdentification") => {
                if let Some(o) = self.last_object() {
                    o.format = Some(kept(text.trim()));
                }
            }
            ("LastModified" | "DateCreatedByApplication", "FileInfo") => {
                if Moment::parse(text.trim()).is_some_and(|m| m.year >= 9000) {
                    let message = "l'année est au-delà de 8999 : l'archive n'en garde pas la date";
                    self.semantic.error(codes::GROUP_SCHEMA, place.xpath(), message);
                }
            }
            (_, "BinaryDataObject" | "PhysicalDataObject") => self.close_object_field(place, text),
            _ => self.close_unit_element(place, text),
        }
    }
}
