//! The faults that are put in on purpose, by table. The column is the one the finding names: it is
//! empty where the whole frame of the record is wrong.

/// How a right record is spoiled.
#[derive(Clone, Copy)]
pub enum Act {
    /// The column takes this value.
    Set(&'static str),
    /// The column takes this value, and another column the value that makes it wrong.
    SetWith(&'static str, &'static str, &'static str),
    /// The check letter of the UAI becomes the next one.
    WrongLetter,
    /// A second value where one is admitted.
    SecondValue(&'static str),
    /// Another category in the operational attribute.
    Category(&'static str),
    /// The identifier of the request is not the key.
    OtherIdentifier,
    /// One field too many.
    ExtraField,
    /// A byte of windows-1252 in a UTF-8 file.
    ForeignByte,
    /// The record is right; a copy of an earlier one follows it.
    CopyOfEarlier,
}

pub struct Recipe {
    pub code: &'static str,
    pub column: &'static str,
    pub act: Act,
}

const fn r(code: &'static str, column: &'static str, act: Act) -> Recipe {
    Recipe { code, column, act }
}

/// School year from which even the pupils who entered three years before find closed what the recipes
/// take for closed.
const CLOSED_SINCE: i32 = 2022;

/// The recipes that hold in the school year that starts then.
pub fn at(recipes: &'static [Recipe], start: i32) -> Vec<&'static Recipe> {
    recipes.iter().filter(|r| r.code != "BCN_CLOSED" || start >= CLOSED_SINCE).collect()
}

use Act::{
    Category, CopyOfEarlier, ExtraField, ForeignByte, OtherIdentifier, SecondValue, Set, SetWith, WrongLetter,
};

/// Pupils.
pub const ELEVE: &[Recipe] = &[
    r("REQUIRED", "ENTPersonDateNaissance", Set("")),
    r("TYPE_DATE", "ENTPersonDateNaissance", Set("31/02/2013")),
    r("TYPE_BOOLEAN", "ENTEleveBoursier", Set("OUI")),
    r("BCN_UNKNOWN", "ENTEleveMEF", Set("99999999990")),
    r(
        "BCN_NOT_YET_OPEN",
        "ENTEleveMEF",
        SetWith("24725012330", "ENTEleveDateEntreeStructRattach", "01/09/2022"),
    ),
    r("BCN_CLOSED", "ENTEleveMEF", Set("10310026110")),
    r("KEY_DUPLICATE", "ENTPersonJointure", CopyOfEarlier),
    r("MULTIPLE_VALUES", "sn", SecondValue("Autre-Exemple")),
    r("AAF_CATEGORY", "", Category("PersEducNat")),
    r("AAF_IDENTIFIER", "ENTPersonJointure", OtherIdentifier),
    r("PATTERN", "ENTEleveINE", Set("000-12")),
    r("ENUM", "personalTitle", Set("Monsieur")),
    r("PATTERN", "ENTElevePersRelEleve", Set("30000012$1$1")),
    r("REQUIRED", "ENTEleveMEF", Set("")),
    r("TYPE_DATE", "ENTEleveDateEntreeStructRattach", Set("2025-09-01")),
    r("ENUM", "ENTEleveStatutEleve", Set("STAGIAIRE")),
    r("BCN_CLOSED", "ENTEleveMEF", Set("20010014110")),
    r("PATTERN", "ENTEleveCodeEnseignements", Set("0207")),
];

/// Schools.
pub const ETABLISSEMENT: &[Recipe] = &[
    r("UAI_LETTER", "ENTStructureUAI", WrongLetter),
    r("PATTERN", "ENTStructureSIREN", Set("190 960 001")),
    r("UAI_FORMAT", "ENTStructureUAI", Set("960001")),
    r("ENUM", "ENTEtablissementContrat", Set("PUBLIC")),
];

/// Staff.
pub const PERSONNEL: &[Recipe] = &[
    r("REQUIRED", "sn", Set("")),
    r("PATTERN", "ENTPersonFonctions", Set("1001$ENS")),
    r("TYPE_BOOLEAN", "ENTPersonCategorieEnseignant", Set("1")),
    r("TYPE_DATE", "ENTPersonDateNaissance", Set("00/00/0000")),
    r("AAF_CATEGORY", "", Category("PersRelEleve")),
    r("MULTIPLE_VALUES", "mail", SecondValue("autre@exemple.invalid")),
    r("KEY_DUPLICATE", "ENTPersonJointure", CopyOfEarlier),
    r("AAF_IDENTIFIER", "ENTPersonJointure", OtherIdentifier),
];

/// Guardians.
pub const RESPONSABLE: &[Recipe] = &[
    r("REQUIRED", "givenName", Set("")),
    r("TYPE_BOOLEAN", "ENTPersonAdresseDiffusion", Set("Oui")),
    r("PATTERN", "ENTPersonCodePostal", Set("96_000")),
    r("ENUM", "personalTitle", Set("Madame")),
    r("MULTIPLE_VALUES", "mobile", SecondValue("01 99 00 00 00")),
    r("KEY_DUPLICATE", "ENTPersonJointure", CopyOfEarlier),
    r("AAF_CATEGORY", "", Category("Eleve")),
    r("AAF_IDENTIFIER", "ENTPersonJointure", OtherIdentifier),
    r("PATTERN", "ENTAuxPersRelEleveEleve", Set("élève")),
];

/// Subjects.
pub const MATIERE: &[Recipe] =
    &[r("REQUIRED", "ENTLibelleMatiere", Set("")), r("PATTERN", "ENTMatJointure", Set("0207"))];

/// MEF.
pub const MEF: &[Recipe] = &[
    r("BCN_CLOSED", "ENTMefJointure", Set("20010014110")),
    r("BCN_UNKNOWN", "ENTMefJointure", Set("99999999990")),
];

/// Divisions and groups.
pub const STRUCTURES: &[Recipe] = &[
    r("BCN_NOT_YET_OPEN", "mef_codes", SetWith("24725012330", "date_debut", "2022-09-01")),
    r("TYPE_ANNEE_SCOLAIRE", "annee_scolaire", Set("2025")),
    r("RANGE", "effectif", Set("-4")),
    r("BCN_UNKNOWN", "mef_codes", Set("99999999990")),
    r("ENUM", "type_structure", Set("C")),
    r("BCN_CLOSED", "mef_codes", Set("10310026110")),
];

/// Teaching services.
pub const SERVICES: &[Recipe] = &[
    r("BCN_UNKNOWN", "code_matiere", Set("999999")),
    r("TYPE_DECIMAL", "horaire_hebdo", Set("4,50")),
    r("RANGE", "horaire_hebdo", Set("45.00")),
    r("ENUM", "modalite_cours", Set("COURS")),
    r("REQUIRED", "id_enseignant", Set("")),
    r("KEY_DUPLICATE", "uai", CopyOfEarlier),
    r("TYPE_ANNEE_SCOLAIRE", "annee_scolaire", Set("2025-2027")),
    r("CSV_FIELD_COUNT", "", ExtraField),
];

/// Sessions of the timetable.
pub const SEANCES: &[Recipe] = &[
    r("TYPE_TIME", "heure_debut", Set("8h30")),
    r("PARTITION_UNKNOWN", "date", Set("2012-09-03")),
    r("ENC_INVALID", "salle", ForeignByte),
    r("BCN_UNKNOWN", "code_matiere", Set("999999")),
    r("TYPE_DATE", "date", Set("2026-02-30")),
    r("PATTERN", "code_matiere", Set("0207")),
    r("ENUM", "statut", Set("déplacée")),
    r("REQUIRED", "code_structure", Set("")),
    r("TYPE_TIME", "heure_fin", Set("24:30")),
    r("KEY_DUPLICATE", "uai", CopyOfEarlier),
];

/// Members of divisions and groups.
pub const APPARTENANCES: &[Recipe] = &[
    r("PARTITION_UNKNOWN", "date_debut", Set("2012-09-03")),
    r("UAI_FORMAT", "uai", Set("096001A")),
    r("REQUIRED", "id_eleve", Set("")),
    r("TYPE_DATE", "date_fin", Set("31/08/2026")),
    r("KEY_DUPLICATE", "uai", CopyOfEarlier),
    r("UAI_LETTER", "uai", WrongLetter),
    r("CSV_FIELD_COUNT", "", ExtraField),
    r("ENC_INVALID", "code_structure", ForeignByte),
];

/// Teachers of a school.
pub const ENSEIGNANTS: &[Recipe] = &[
    r("ENUM", "type", Set("EPP")),
    r("UAI_LETTER", "uai", WrongLetter),
    r("REQUIRED", "id_enseignant", Set("")),
];

/// Audience by profile.
pub const PROFILS: &[Recipe] = &[
    r("TYPE_DURATION", "duree_eleve", Set("4 min 10")),
    r("PARTITION_UNKNOWN", "debutsemaine", Set("2012-09-03")),
    r("TYPE_INTEGER", "visites_parent", Set("12,5")),
    r("UAI_LETTER", "uai", WrongLetter),
    r("RANGE", "visites_enseignant", Set("-1")),
    r("REQUIRED", "visites_globales", Set("")),
    r("TYPE_DATE", "debutsemaine", Set("01/09/2025")),
    r("CSV_FIELD_COUNT", "", ExtraField),
    r("ENC_INVALID", "commune", ForeignByte),
    r("KEY_DUPLICATE", "uai", CopyOfEarlier),
];

/// Audience by device.
pub const APPAREILS: &[Recipe] = &[
    r("TYPE_INTEGER", "visites_chrome", Set("1 204")),
    r("ENC_INVALID", "commune", ForeignByte),
    r("TYPE_DURATION", "duree_smartphone", Set("00:61:00")),
    r("KEY_DUPLICATE", "uai", CopyOfEarlier),
    r("REQUIRED", "academie", Set("")),
    r("UAI_FORMAT", "uai", Set("0960001")),
];

/// Charges.
pub const DROITS: &[Recipe] = &[
    r("TYPE_DECIMAL", "droit_brut", Set("123,45")),
    r("TYPE_INTEGER", "nb_jours_ouverts", Set("12,5")),
    r("RANGE", "trimestre", Set("4")),
    r("ENUM", "nature_droit", Set("CANTINE")),
    r("TYPE_DATE", "date_constatation", Set("2025-12-15")),
    r("REQUIRED", "numero_bordereau", Set("")),
    r("CSV_FIELD_COUNT", "", ExtraField),
    r("KEY_DUPLICATE", "uai", CopyOfEarlier),
    r("UAI_FORMAT", "uai", Set("096000")),
    r("ENC_INVALID", "categorie_tarif", ForeignByte),
    r("PATTERN", "code_regime", Set("DP")),
    r("TYPE_ANNEE_SCOLAIRE", "annee_scolaire", Set("25-26")),
    r("UAI_LETTER", "uai", WrongLetter),
    r("RANGE", "bourse_echelon", Set("9")),
    r("ENUM", "statut", Set("payé")),
    r("RANGE", "droit_brut", Set("-10.00")),
    r("TYPE_DECIMAL", "droit_net", Set("1 250.00")),
];
