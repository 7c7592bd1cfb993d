//! What the contracts say together: columns that identify persons, table by table. A column that refers
//! to one of them identifies the same person.

use crate::contract::{Contract, PersonKey, Role, Who};
use crate::error::{ConfigFault, Error, Result};
use std::collections::BTreeMap;

/// A column that identifies persons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifies {
    /// Its name.
    pub column: String,
    /// Kinds of person that it may name.
    pub who: Vec<Who>,
    /// Where equal values mean the same person.
    pub space: String,
    /// Part of the `$` composite.
    pub part: Option<usize>,
    /// Columns that must be equal too.
    pub within: Vec<String>,
    /// Whether a record is about him.
    pub role: Role,
}

/// Columns that identify persons, by table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spaces(BTreeMap<String, Vec<Identifies>>);

impl Spaces {
    /// Of contracts that hold together.
    ///
    /// # Errors
    /// References between two spaces, with line and column.
    pub fn new(contracts: &[Contract]) -> Result<Self> {
        let mut faults = Vec::new();
        let mut all = BTreeMap::new();
        for contract in contracts {
            let mut found = Vec::new();
            for (i, column) in contract.columns.iter().enumerate() {
                let reference = column.references.as_ref();
                let target = reference.and_then(|r| target(contracts, &r.table, &r.column, contracts.len()));
                if let (Some(own), Some((_, target))) = (&column.person, &target)
                    && (own.space != target.space || own.who != target.who)
                {
                    faults.push(ConfigFault {
                        file: format!("{}.toml", contract.name),
                        line: own.at.0,
                        column: own.at.1,
                        message: format!(
                            "la colonne à laquelle « {} » se réfère identifie dans l'espace « {} » : écrivez le même, ou rien",
                            column.name, target.space
                        ),
                    });
                }
                let names = |of: &Contract, key: &PersonKey| -> Vec<String> {
                    key.within.iter().filter_map(|w| of.columns.get(*w)).map(|c| c.name.to_string()).collect()
                };
                let (who, space, part, within, role) = match (&column.person, target) {
                    (Some(own), _) => {
                        (own.who.clone(), own.space.clone(), own.part, names(contract, own), own.role)
                    }
                    (None, Some((of, key))) => {
                        let role = if contract.key.contains(&i) { Role::Subject } else { Role::Mention };
                        let part = reference.and_then(|r| r.part);
                        (key.who.clone(), key.space.clone(), part, names(of, key), role)
                    }
                    (None, None) => continue,
                };
                found.push(Identifies { column: column.name.to_string(), who, space, part, within, role });
            }
            if !found.is_empty() {
                all.insert(contract.name.clone(), found);
            }
        }
        if faults.is_empty() { Ok(Spaces(all)) } else { Err(Error::Config(faults)) }
    }

    /// Those of a table.
    pub fn of(&self, table: &str) -> &[Identifies] {
        self.0.get(table).map_or(&[], Vec::as_slice)
    }
}

/// What a referred column identifies, through its own reference when it has one; `depth` ends a circle.
fn target<'c>(
    contracts: &'c [Contract],
    table: &str,
    column: &str,
    depth: usize,
) -> Option<(&'c Contract, &'c PersonKey)> {
    let contract = contracts.iter().find(|c| c.name == table)?;
    let column = contract.columns.get(contract.column(column)?)?;
    match (&column.person, &column.references) {
        (Some(key), _) => Some((contract, key)),
        (None, Some(r)) => target(contracts, &r.table, &r.column, depth.checked_sub(1)?),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Personal;

    /// Shared by families, or changing: a search by these would show other people.
    const WITHOUT_SPACE: [&str; 40] = [
        "ADRESSE_ID",
        "DATE_NAISS",
        "DATE_NAISSANCE",
        "ENTPersRelEleveTelMobile",
        "ENTPersRelEleveTelPro",
        "ENTPersonAdresse",
        "ENTPersonAutresPrenoms",
        "ENTPersonDateNaissance",
        "ENTPersonMail",
        "ENTPersonMobileSMS",
        "ENTPersonNom",
        "ENTPersonNomPatro",
        "ENTPersonPrenom",
        "ENTPersonTelPerso",
        "GARPersonAutresPrenoms",
        "GARPersonDateNaissance",
        "GARPersonMail",
        "GARPersonNom",
        "GARPersonNomPatro",
        "GARPersonPrenom",
        "LIGNE1_ADRESSE",
        "LIGNE2_ADRESSE",
        "LIGNE3_ADRESSE",
        "LIGNE4_ADRESSE",
        "MEL",
        "NOM_DE_FAMILLE",
        "NOM_PATRONYMIQUE",
        "NOM_USAGE",
        "PRENOM",
        "PRENOM2",
        "PRENOM3",
        "TEL_PERSONNEL",
        "TEL_PORTABLE",
        "TEL_PROFESSIONNEL",
        "givenName",
        "homePhone",
        "mail",
        "mobile",
        "sn",
        "telephoneNumber",
    ];

    #[test]
    fn every_direct_column_identifies_or_is_known_not_to() {
        let contracts = Contract::builtin().unwrap();
        let spaces = Spaces::new(&contracts).unwrap();
        for contract in &contracts {
            for column in contract.columns.iter().filter(|c| c.personal == Personal::Direct) {
                let said = spaces.of(&contract.name).iter().any(|i| i.column == *column.name);
                let listed = WITHOUT_SPACE.contains(&&*column.name);
                assert_ne!(said, listed, "{}.{}", contract.name, column.name);
            }
        }
    }

    #[test]
    fn a_reference_identifies_as_its_target_does() {
        let spaces = Spaces::new(&Contract::builtin().unwrap()).unwrap();
        let told = |table: &str, column: &str| {
            let found = spaces.of(table).iter().find(|i| i.column == column).unwrap();
            (found.who.clone(), found.space.clone(), found.part, found.role)
        };
        let guardian = (vec![Who::Responsable], "aaf".to_owned(), Some(0), Role::Mention);
        assert_eq!(told("ent_eleve", "ENTElevePersRelEleve"), guardian);
        let taught = (vec![Who::Agent], "aaf".to_owned(), None, Role::Subject);
        assert_eq!(told("scope_services", "id_enseignant"), taught);
        assert_eq!(told("scope_seances", "id_enseignant").3, Role::Mention);
        assert_eq!(told("siecle_responsables", "PERSONNE_ID").3, Role::Subject);
    }

    fn faults(columns: &str) -> Vec<(usize, usize, String)> {
        let text = format!(
            "[table]\nname = \"t\"\ntitle = \"t\"\ndescription = \"t\"\nsource = \"t\"\nrecord_class = \"t\"\nkey = [\"a\"]\nschool_year_from = \"delivery\"\n[input]\nformat = \"csv\"\n{columns}"
        );
        let contract = Contract::parse("t.toml", &text).and_then(|c| {
            let mut all = Contract::builtin()?;
            all.push(c);
            Spaces::new(&all)
        });
        match contract {
            Err(Error::Config(list)) => list.into_iter().map(|f| (f.line, f.column, f.message)).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn what_a_key_may_not_say_is_refused_where_it_stands() {
        let direct = "[[column]]\nname = \"a\"\ntype = \"text\"\npersonal = \"direct\"\nperson = { who = \"eleve\", space = \"x\" }\n";
        assert_eq!(faults(direct), []);
        let cases = [
            (direct.replace("\"direct\"", "\"none\""), "personnelle « direct »"),
            (direct.replace("\"x\" }", "\"X Y\" }"), "espace :"),
            (direct.replace("\"x\" }", "\"x\", part = 0 }"), "« part » est le rang"),
            (direct.replace("\"x\" }", "\"x\", within = [\"b\"] }"), "« b » absente"),
            (direct.replace("\"x\" }", "\"x\", within = [\"a\"] }"), "d'autres colonnes"),
            (direct.replace("\"eleve\"", "\"voisin\""), "voisin"),
            (
                direct.to_owned()
                    + "references = { table = \"ent_eleve\", column = \"ENTPersonJointure\" }\n",
                "l'espace « aaf »",
            ),
        ];
        for (columns, message) in cases {
            let found = faults(&columns);
            assert_eq!(found.len(), 1, "{columns}: {found:?}");
            assert!(found[0].0 >= 15 && found[0].1 > 1 && found[0].2.contains(message), "{found:?}");
        }
        let twice = direct.to_owned() + &direct.replace("\"a\"", "\"b\"");
        assert!(faults(&twice)[0].2.contains("role ="), "{:?}", faults(&twice));
    }
}
