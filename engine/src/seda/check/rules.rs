//! Management rules of the units and of the whole transfer.

use super::referentials::Referentials;
use super::units::Moment;
use super::xml::Place;
use super::{Findings, codes};

const CATEGORIES: [&str; 7] = [
    "StorageRule",
    "AppraisalRule",
    "AccessRule",
    "DisseminationRule",
    "ReuseRule",
    "ClassificationRule",
    "HoldRule",
];

/// The category that is being read.
#[derive(Debug, Default)]
pub struct Rules {
    category: Option<&'static str>,
    rule: Option<String>,
    start: Option<String>,
    rules: u32,
    prevents: bool,
    refuses: bool,
    action: Option<String>,
}

fn category(place: &Place, up: usize) -> Option<&'static str> {
    let name = place.name(up);
    let inside = matches!(place.name(up + 1), "Management" | "ManagementMetadata");
    CATEGORIES.into_iter().find(|c| inside && *c == name)
}

impl Rules {
    pub fn open(&mut self, place: &Place) {
        if let Some(category) = category(place, 0) {
            *self = Rules { category: Some(category), ..Rules::default() };
        }
    }

    pub fn close(
        &mut self,
        place: &Place,
        text: &str,
        lists: &Referentials,
        version: Option<&str>,
        structure: &mut Findings,
        findings: &mut Findings,
    ) {
        let Some(open) = self.category else { return };
        if category(place, 0).is_some() {
            self.finish(open, place, version, structure, findings);
            *self = Rules::default();
            return;
        }
        if category(place, 1).is_none() {
            return;
        }
        let text = text.trim();
        match place.name(0) {
            "Rule" => {
                self.rules += 1;
                self.rule = Some(text.to_owned());
                self.start = None;
                lookup(open, text, place, lists, findings);
            }
            "StartDate" => {
                self.start = Some(text.to_owned());
                self.due(place, text, lists, findings);
            }
            "HoldEndDate" => self.hold_end(place, text, lists, findings),
            "HoldReassessingDate" if Moment::parse(text).is_some_and(|m| m.year >= 9000) => {
                findings.error(codes::UNIT_DATE, place.xpath(), "l'année est au-delà de 8999");
            }
            "PreventInheritance" => self.prevents = true,
            "RefNonRuleId" => {
                self.refuses = true;
                refused(open, text, place, lists, findings);
            }
            "FinalAction" => {
                let accepted: &[&str] = match open {
                    "StorageRule" => &["RestrictAccess", "Transfer", "Copy"],
                    "AppraisalRule" => &["Keep", "Destroy"],
                    _ => &[],
                };
                if !accepted.contains(&text) {
                    let message = match accepted {
                        [] => {
                            "cette catégorie de règles n'a pas de sort final : retirez FinalAction".to_owned()
                        }
                        _ => format!("sort final inconnu : {}", accepted.join(", ")),
                    };
                    structure.error(codes::NOT_XSD, place.xpath(), message);
                }
                self.action = Some(text.to_owned());
            }
            _ => {}
        }
    }

    fn due(&mut self, place: &Place, text: &str, lists: &Referentials, findings: &mut Findings) {
        let Some(start) = Moment::parse(text) else { return };
        if start.year >= 9000 {
            let message = "la date de début de la règle est au-delà de l'an 8999 : donnez la vraie date";
            return findings.error(codes::UNIT_DATE, place.xpath(), message);
        }
        let rules = lists.rules.as_ref();
        let years = self.rule.as_deref().and_then(|r| rules?.get(r)).and_then(|r| r.years);
        if years.is_some_and(|y| start.year + y >= 9000) {
            let message = "l'échéance de la règle (début + durée) tombe au-delà de l'an 8999 : vérifiez la date et la règle";
            findings.error(codes::RULE_DATE, place.xpath(), message);
        }
    }

    fn hold_end(&mut self, place: &Place, text: &str, lists: &Referentials, findings: &mut Findings) {
        let Some(end) = Moment::parse(text) else { return };
        if end.year >= 9000 {
            let message = "la fin du gel est au-delà de l'an 8999 : laissez-la vide si elle n'est pas connue";
            return findings.error(codes::UNIT_DATE, place.xpath(), message);
        }
        if self.start.as_deref().and_then(Moment::parse).is_some_and(|start| end.is_before(&start)) {
            let message =
                "la fin du gel (HoldEndDate) est avant son début (StartDate) : corrigez l'une des deux";
            return findings.error(codes::RULE_CONSISTENCY, place.xpath(), message);
        }
        let rules = lists.rules.as_ref();
        if self.rule.as_deref().and_then(|r| rules?.get(r)).is_some_and(|r| r.years.is_some()) {
            let message = "cette règle de gel a une durée : la fin du gel en découle, retirez HoldEndDate";
            findings.error(codes::RULE_CONSISTENCY, place.xpath(), message);
        }
    }

    fn finish(
        &self,
        open: &str,
        place: &Place,
        version: Option<&str>,
        structure: &mut Findings,
        findings: &mut Findings,
    ) {
        if open == "HoldRule" && version == Some("2.1") {
            let message =
                "le gel (HoldRule) n'existe qu'à partir du SEDA 2.2 : changez de version ou retirez-le";
            structure.error(codes::NOT_XSD, place.xpath(), message);
        }
        if matches!(open, "StorageRule" | "AppraisalRule") && self.action.is_none() {
            let message = "le sort final (FinalAction) manque : il est obligatoire et vient en dernier";
            structure.error(codes::NOT_XSD, place.xpath(), message);
        }
        if self.prevents && self.refuses {
            let message = "PreventInheritance et RefNonRuleId s'excluent : gardez l'un des deux";
            structure.error(codes::NOT_XSD, place.xpath(), message);
        }
        if open == "AppraisalRule" && self.rules == 0 && self.action.as_deref() == Some("Destroy") {
            let message = "sans règle datée, l'unité ne sera jamais éliminable : ajoutez Rule et StartDate";
            findings.warning(codes::W_NEVER_DUE, place.xpath(), message);
        }
    }
}

fn lookup(open: &str, code: &str, place: &Place, lists: &Referentials, findings: &mut Findings) {
    let Some(rules) = &lists.rules else { return };
    match rules.get(code) {
        None => {
            let message = "cette règle est inconnue du service d'archives : vérifiez son code ou faites-la ajouter au référentiel";
            findings.error(codes::RULE_UNKNOWN, place.xpath(), message);
        }
        Some(rule) if rule.category != open => {
            let message = format!(
                "cette règle est de la catégorie {}, pas de {open} : changez de règle ou de catégorie",
                rule.category
            );
            findings.error(codes::RULE_CONSISTENCY, place.xpath(), message);
        }
        Some(_) => {}
    }
}

fn refused(open: &str, code: &str, place: &Place, lists: &Referentials, findings: &mut Findings) {
    let Some(rules) = &lists.rules else { return };
    if rules.get(code).is_none_or(|r| r.category != open) {
        let message = format!("RefNonRuleId doit nommer une règle connue de la catégorie {open}");
        findings.error(codes::RULE_REF, place.xpath(), message);
    }
}
