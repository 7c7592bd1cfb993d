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
    assert_eq!(names[2..], ["uai=35 / s05", "departement=22", "uai=22 / s05"]);
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

/// Flat dimensions and one measure.
fn flat(dimensions: usize) -> (String, String) {
    let names: Vec<String> = (0..dimensions).map(|d| format!("d{d}")).collect();
    let dimension =
        |n: &String| format!("{{\"name\":\"{n}\",\"type\":\"string\",\"cartulaire:role\":\"dimension\"}}");
    let fields: Vec<String> = names.iter().map(dimension).collect();
    let fields = format!(
        "[{},{{\"name\":\"n\",\"type\":\"integer\",\"cartulaire:role\":\"measure\",\"cartulaire:additive\":true}},{{\"name\":\"n_statut\",\"type\":\"string\",\"cartulaire:role\":\"status\"}}]",
        fields.join(",")
    );
    (package(&fields), names.join(";") + ";n;n_statut")
}

#[test]
fn tables_of_too_many_dimensions_or_crossings_are_refused() {
    let row = |codes: usize, dimensions: usize| {
        let code = |d| if codes >> d & 1 == 1 { "a" } else { "_T" };
        (0..dimensions).map(code).collect::<Vec<_>>().join(";") + ";9;F\n"
    };
    let of = |dimensions: usize| {
        let (descriptor, header) = flat(dimensions);
        let rows: String = (0..1 << dimensions.min(10)).map(|codes| row(codes, dimensions)).collect();
        parse(descriptor.as_bytes(), format!("\u{feff}{header}\n{rows}").as_bytes())
    };
    assert_eq!(of(8).unwrap().keys.len(), 256);
    for many in [9, 15] {
        assert_eq!(place(of(many)).0, "datapackage.json", "{many}");
    }
    // Eight hierarchies of three levels have more crossings than are compared.
    let levels: Vec<String> = (0..8)
        .flat_map(|d| {
            (0..3).map(move |l| {
                let above = if l > 0 { format!("\"d{d}l{}\"", l - 1) } else { "null".into() };
                format!("{{\"name\":\"d{d}l{l}\",\"type\":\"string\",\"cartulaire:role\":\"dimension\",\"cartulaire:hierarchy\":{above}}}")
            })
        })
        .collect();
    let (descriptor, _) = flat(1);
    let deep = descriptor.replace(
        "{\"name\":\"d0\",\"type\":\"string\",\"cartulaire:role\":\"dimension\"}",
        &levels.join(","),
    );
    let names: Vec<String> = (0..8).flat_map(|d| (0..3).map(move |l| format!("d{d}l{l}"))).collect();
    let rows: String = (0..4096_usize)
        .map(|n| {
            let depth = |d: usize| if d < 6 { n >> (2 * d) & 3 } else { 0 };
            let code = |d: usize, l: usize| if l < depth(d) { "a" } else { "_T" };
            let codes: Vec<&str> =
                (0..8).flat_map(|d| (0..3).map(move |l| (d, l))).map(|(d, l)| code(d, l)).collect();
            codes.join(";") + ";9;F\n"
        })
        .collect();
    let data = format!("\u{feff}{};n;n_statut\n{rows}", names.join(";"));
    assert_eq!(place(parse(deep.as_bytes(), data.as_bytes())), ("data.csv".into(), 1, 1));
}

#[test]
fn figures_that_could_not_be_added_are_refused() {
    let (descriptor, header) = flat(1);
    let of =
        |figure: &str| parse(descriptor.as_bytes(), format!("\u{feff}{header}\n_T;{figure};F\n").as_bytes());
    assert!(of("1000000000000").is_ok());
    for large in ["1000000000001", "9223372036854775807", "9223372036854775808"] {
        assert_eq!(place(of(large)), ("data.csv".into(), 2, 4), "{large}");
    }
}

#[test]
fn zeros_are_concealed_only_where_every_combination_is_listed() {
    let floors = |rows: &str| {
        let fields = FIELDS.replace(
            "\"cartulaire:additive\":true",
            "\"cartulaire:additive\":true,\"cartulaire:zeros\":\"concealed\"",
        );
        let table =
            parse(package(&fields).as_bytes(), format!("\u{feff}{HEADER}\n{rows}").as_bytes()).unwrap();
        table.measures[0].published.cells.iter().filter_map(|k| k.floor()).collect::<Vec<_>>()
    };
    let rows = "_T;_T;_T;30;F;1.0;F\n_T;_T;F;15;F;1.0;F\n_T;_T;M;15;F;1.0;F\n35;_T;_T;30;F;1.0;F\n\
        35;_T;F;;C;1.0;F\n35;_T;M;;C;1.0;F\n22;_T;_T;0;F;1.0;F\n";
    // The other département is not crossed with sexes: its zeros are left out.
    assert_eq!(floors(rows), [1, 1]);
    assert_eq!(floors(&format!("{rows}22;_T;F;0;F;1.0;F\n22;_T;M;0;F;1.0;F\n")), [0, 0]);
}

#[test]
fn a_share_in_the_total_of_a_coarser_level_is_found() {
    let rows = |share: &str| {
        format!(
            "_T;_T;_T;20;F;100.00;F\n35;_T;_T;8;F;100.00;F\n35;u1;_T;2;F;25.00;F\n35;u2;_T;6;F;{share};F\n\
             22;_T;_T;12;F;100.00;F\n22;u3;_T;12;F;100.00;F\n"
        )
    };
    assert!(parsed(&rows("75.00")).unwrap().check_computed().is_ok());
    assert!(parsed(&rows("74.00")).unwrap().check_computed().is_err());
    // Of the coarser level, in the total of all.
    let coarse = "_T;_T;_T;20;F;100.00;F\n35;_T;_T;8;F;40.00;F\n22;_T;_T;12;F;60.00;F\n";
    assert!(parsed(coarse).unwrap().check_computed().is_ok());
}

#[test]
fn a_column_of_something_else_justifies_no_share() {
    let decoy = "{\"name\":\"m\",\"type\":\"integer\",\"cartulaire:role\":\"measure\",\"cartulaire:additive\":true,\"cartulaire:persons\":false},\
        {\"name\":\"m_statut\",\"type\":\"string\",\"cartulaire:role\":\"status\"},{\"name\":\"taux\"";
    let fields = FIELDS.replace("{\"name\":\"taux\"", decoy);
    let of = |fields: &str| {
        let header = HEADER.replace("taux;", "m;m_statut;taux;");
        let rows = "_T;_T;_T;20;F;100;F;100.00;F\n35;_T;_T;8;F;33;F;33.00;F\n22;_T;_T;12;F;67;F;67.00;F\n";
        parse(package(fields).as_bytes(), format!("\u{feff}{header}\n{rows}").as_bytes()).unwrap()
    };
    assert!(of(&fields).check_computed().is_err());
    // Where nobody is counted, a share hides nothing.
    let nobody = fields.replace(
        "\"cartulaire:additive\":true}",
        "\"cartulaire:additive\":true,\"cartulaire:persons\":false}",
    );
    assert_ne!(nobody, fields);
    assert!(of(&nobody).check_computed().is_ok());
}

#[test]
fn whole_numbers_that_do_not_add_up_print_persons_too() {
    let (descriptor, header) = flat(1);
    let descriptor = descriptor.replace("\"cartulaire:additive\":true", "\"cartulaire:additive\":false");
    let rows = "_T;40;F\na;3;F\nb;38;F\n";
    let table = parse(descriptor.as_bytes(), format!("\u{feff}{header}\n{rows}").as_bytes()).unwrap();
    assert!(!table.measures[0].additive);
    let rule = Uniform { threshold: 5, width: 2, percent: 0 };
    assert_eq!(table.printed_few(rule).iter().map(|(_, v)| *v).collect::<Vec<_>>(), [3]);
}

#[test]
fn a_code_that_meets_the_sum_of_others_beside_their_total_is_none() {
    let of = |rows: &str| {
        let (descriptor, header) = flat(2);
        let table = parse(descriptor.as_bytes(), format!("\u{feff}{header}\n{rows}").as_bytes()).unwrap();
        table.unmarked_total
    };
    // 12 = 5 + 7 by chance: the total is 24.
    assert_eq!(of("_T;_T;24;F\na;_T;12;F\nb;_T;5;F\nc;_T;7;F\n"), None);
    // Year by year, without a total.
    let years = "Tous;x;12;F\nb;x;5;F\nc;x;7;F\nTous;y;30;F\nb;y;;C\nc;y;20;F\n_T;x;24;F\n";
    assert_eq!(of(&years.replace("_T;x;24;F\n", "")), Some(("d0".into(), "Tous".into())));
    assert_eq!(of("Tous;x;12;F\nb;x;5;F\nc;x;7;F\nTous;y;30;F\nb;y;9;F\nc;y;20;F\n"), None);
}
