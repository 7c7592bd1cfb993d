use super::*;
use crate::disclosure::system::Relation;

const FIELDS: &str = r#"[
 {"name":"departement","type":"string","cartulaire:role":"dimension","cartulaire:hierarchy":null},
 {"name":"uai","type":"string","cartulaire:role":"dimension","cartulaire:hierarchy":"departement"},
 {"name":"sexe","type":"string","cartulaire:role":"dimension"},
 {"name":"n","type":"integer","cartulaire:role":"measure","cartulaire:additive":true},
 {"name":"n_statut","type":"string","cartulaire:role":"status"},
 {"name":"taux","type":"number","cartulaire:role":"measure"},
 {"name":"taux_statut","type":"string","cartulaire:role":"status"}]"#;

const HEADER: &str = "departement;uai;sexe;n;n_statut;taux;taux_statut";

fn package(fields: &str) -> String {
    format!("{{\"name\":\"x\",\"resources\":[{{\"path\":\"data.csv\",\"schema\":{{\"fields\":{fields}}}}}]}}")
}

fn parsed(rows: &str) -> Result<PublishedTable> {
    parse(package(FIELDS).as_bytes(), format!("\u{feff}{HEADER}\n{rows}").as_bytes())
}

fn place(found: Result<PublishedTable>) -> (String, usize, usize) {
    match found {
        Err(Error::Config(faults)) => (faults[0].file.clone(), faults[0].line, faults[0].column),
        other => panic!("{other:?}"),
    }
}

const TOTALS: &str = "_T;_T;_T;9;F;0.5;F\n35;_T;_T;9;F;0.5;F\n";

#[test]
fn margins_without_a_level_between_are_sums_of_the_next_one() {
    let table = parsed("_T;_T;_T;9;F;0.5;F\n35;u1;_T;4;F;0.5;F\n35;u2;_T;;C;;C\n").unwrap();
    let relation = Relation { parent: 0, children: vec![1, 2] };
    assert_eq!(table.measures[0].published.relations, [relation]);
    assert_eq!(table.measures[1].published.relations, []);
    let names: Vec<String> = table.keys.iter().map(|k| crate::disclosure::release::label(k)).collect();
    assert_eq!(names, ["total", "uai=u1", "uai=u2"]);
}

#[test]
fn a_code_under_two_others_is_named_with_them() {
    let rows = format!("{TOTALS}35;s05;_T;9;F;0.5;F\n22;_T;_T;8;F;0.5;F\n22;s05;_T;8;F;1.0;F\n");
    let table = parsed(&rows.replace("_T;_T;_T;9", "_T;_T;_T;17")).unwrap();
    let names: Vec<String> = table.keys.iter().map(|k| crate::disclosure::release::label(k)).collect();
    assert_eq!(names[2..], ["departement=35, uai=s05", "departement=22", "departement=22, uai=s05"]);
}

#[test]
fn zeros_that_are_listed_let_masked_cells_be_nil() {
    let floor = |rows: &str| parsed(rows).unwrap().measures[0].published.cells.iter().find_map(|k| k.floor());
    assert_eq!(floor("_T;_T;_T;9;F;1.0;F\n35;_T;_T;;C;1.0;F\n"), Some(1));
    assert_eq!(floor("_T;_T;_T;9;F;1.0;F\n35;_T;_T;;C;1.0;F\n22;_T;_T;0;F;1.0;F\n"), Some(0));
}

#[test]
fn what_does_not_follow_the_conventions_is_refused_in_its_place() {
    for (rows, line, column) in [
        ("35;_T;_T;x;F;0.5;F\n", 2, 10),
        ("35;_T;_T;-1;F;0.5;F\n", 2, 10),
        ("35;_T;_T;;F;0.5;F\n", 2, 10),
        ("35;_T;_T;7;C;0.5;F\n", 2, 10),
        ("35;_T;_T;7;S;0.5;F\n", 2, 12),
        ("35;_T;_T;7;F;0,5;F\n", 2, 14),
        ("_T;u1;_T;7;F;0.5;F\n", 2, 4),
        (";_T;_T;7;F;0.5;F\n", 2, 1),
        ("35;_T;_T;7;F;0.5\n", 2, 1),
        ("35;_T;_T;7;F;0.5;F;\n", 2, 1),
        ("35;_T;_T;7;F;0.5;F\r\n", 2, 19),
        ("35;_T;_T;7;F;0.5;F", 2, 19),
        ("35;_T;\"_T;7;F;0.5;F\n", 2, 7),
        ("35;_T;_\"T;7;F;0.5;F\n", 2, 8),
        ("_T;_T;_T;7;F;0.5;F\n_T;_T;_T;7;F;0.5;F\n", 3, 1),
        // The school is listed for girls, the total of its sexes is not.
        ("_T;_T;_T;7;F;0.5;F\n35;_T;_T;7;F;0.5;F\n35;u1;_T;7;F;0.5;F\n35;u2;F;7;F;0.5;F\n", 5, 1),
    ] {
        assert_eq!(place(parsed(rows)), ("data.csv".into(), line, column), "{rows}");
    }
}

#[test]
fn quotes_are_read() {
    let table = parsed("\"_T\";_T;_T;9;F;0.5;F\n\"3;\"\"5\";_T;_T;9;F;0.5;F\n").unwrap();
    assert_eq!(table.keys[1], [("departement".to_owned(), "3;\"5".to_owned())]);
}

#[test]
fn a_header_a_mark_or_a_descriptor_that_differs_is_refused() {
    let data = format!("\u{feff}{HEADER}\n{TOTALS}");
    let of = |fields: &str, data: &str| place(parse(package(fields).as_bytes(), data.as_bytes()));
    assert_eq!(of(FIELDS, &data.replace("sexe;", "sex;")), ("data.csv".into(), 1, 1));
    assert_eq!(of(FIELDS, data.trim_start_matches('\u{feff}')), ("data.csv".into(), 1, 1));
    for (from, to) in [
        ("\"role\":\"status\"", "\"role\":\"statut\""),
        ("\"cartulaire:hierarchy\":\"departement\"", "\"cartulaire:hierarchy\":\"academie\""),
        ("taux_statut", "statut"),
        ("\"name\":\"sexe\"", "\"name\":\"uai\""),
        ("\"type\":\"integer\"", "\"type\":\"number\""),
        ("\"cartulaire:role\":\"status\"}]", "\"cartulaire:role\":\"stat\"}]"),
    ] {
        let fields = FIELDS.replace(from, to);
        if fields != FIELDS {
            let (file, line, _) = of(&fields, &data);
            assert!(file == "datapackage.json" && line > 0, "{to}");
        }
    }
    let other =
        package(FIELDS).replace("\"path\":\"data.csv\"", "\"path\":\"data.csv\",\"hash\":\"sha256:00\"");
    assert!(parse(other.as_bytes(), data.as_bytes()).unwrap().altered);
}
