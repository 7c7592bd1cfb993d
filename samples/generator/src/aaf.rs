//! What AAF files have in common: columns by category, header, names, parts.

use crate::faults::{self, Recipe};
use crate::frame::{Frame, Table};
use crate::output::{Output, Result};
use crate::world::Year;

/// Requests of one file; the next ones go to another part.
const PART_MAX: u64 = 50_000;

pub const ELEVE: &str = "ENTPersonJointure ENTEleveINE ENTEleveStructRattachId ENTPersonDateNaissance \
    ENTPersonNomPatro sn givenName ENTPersonAutresPrenoms personalTitle ENTElevePersRelEleve ENTEleveBoursier \
    ENTEleveRegime ENTEleveTransport ENTEleveStatutEleve ENTEleveMEF ENTEleveLibelleMEF ENTEleveNivFormation \
    ENTEleveFiliere ENTEleveEnseignements ENTEleveCodeEnseignements ENTPersonStructRattach ENTEleveClasses \
    ENTEleveGroupes ENTPersonAdresse ENTPersonCodePostal ENTPersonVille ENTPersonPays \
    ENTEleveDateEntreeStructRattach ENTEleveDateSortieStructRattach mail homePhone";
pub const ETABLISSEMENT: &str = "ENTStructureJointure ENTStructureUAI ENTStructureSIREN ENTStructureNomCourant \
    ENTStructureTypeStruct ENTStructureCodeTypeStruct ENTEtablissementMinistereTutelle ENTEtablissementContrat \
    postOfficeBox street postalCode l telephoneNumber ENTStructureMailSI ENTEtablissementStructRattachFctl \
    ENTEtablissementBassin ENTServAcAcademie ENTServAcCodeAcademie ENTStructureClasses ENTStructureGroupes";
pub const MATIERE: &str = "ENTMatJointure ENTLibelleMatiere ENTMatiereRattach";
pub const MEF: &str = "ENTMefJointure ENTLibelleMef ENTMEFRattach ENTMEFSTAT11";
pub const PERSONNEL: &str = "ENTPersonJointure ENTPersonDateNaissance ENTPersonNomPatro sn givenName \
    ENTPersonAutresPrenoms personalTitle mail ENTPersonStructRattach ENTAuxEnsCategoDiscipline \
    ENTAuxEnsDisciplinesPoste ENTAuxEnsMEF ENTAuxEnsMatiereEnseignEtab ENTAuxEnsClasses ENTAuxEnsGroupes \
    ENTAuxEnsClassesMatieres ENTAuxEnsGroupesMatieres ENTAuxEnsClassesPrincipal ENTPersonFonctions \
    ENTPersonCategorieEnseignant PersEducNatPresenceDevantEleves";
pub const RESPONSABLE: &str = "ENTPersonJointure ENTPersonDateNaissance ENTPersonNomPatro sn givenName \
    personalTitle homePhone telephoneNumber mobile ENTPersonMobileSMS mail ENTPersonAdresse ENTPersonCodePostal \
    ENTPersonVille ENTPersonPays ENTPersonAdresseDiffusion ENTAuxPersRelEleveEleve";

/// Attributes of the recent annexes, which exports omit rather than send empty.
const SPARSE: &[&str] = &[
    "ENTEleveGroupes",
    "ENTEleveDateSortieStructRattach",
    "ENTPersonAdresse",
    "ENTPersonCodePostal",
    "ENTPersonVille",
    "ENTPersonPays",
    "ENTPersonMobileSMS",
    "homePhone",
    "telephoneNumber",
];

pub fn table(
    year: &Year,
    attribute: &'static str,
    category: &'static str,
    columns: &str,
    recipes: &'static [Recipe],
) -> Table {
    let (y, m, d) = year.day;
    let preamble = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE ficAlimMENESR SYSTEM \"ficAlimMENESR.dtd\">\n<ficAlimMENESR>\n\
         <!--versionAF=\"AAF-VE2407\"-->\n<!--versionSDET=\"Annexe 4bis version 6.4\"-->\n\
         <!--codeAcademieExport=\"99\"-->\n<!--degre=\"2D\"-->\n<!--dateGenerationExport=\"{d:02}/{m:02}/{y}\"-->\n"
    );
    Table {
        frame: Frame::Aaf { attribute, category },
        columns: columns.split_whitespace().map(str::to_owned).collect(),
        preamble,
        sparse: SPARSE,
        postamble: "</ficAlimMENESR>\n",
        recipes: faults::at(recipes, year.start),
        turn: year.turn(recipes),
    }
}

pub fn name(year: &Year, category: &str, part: u64) -> String {
    format!("ENT2DEX-ENT99_Complet_{}_{category}_{part:04}.xml", year.delivery())
}

/// Opens the next part when the present one is full.
pub fn turn_part(out: &mut Output<'_>, year: &Year, category: &str, written: u64) -> Result<()> {
    if written > 0 && written.is_multiple_of(PART_MAX) {
        out.end()?;
        out.start(name(year, category, written / PART_MAX))?;
    }
    Ok(())
}
