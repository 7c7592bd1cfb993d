//! `apercu.html`: one static page for people who decide. No script, nothing fetched; it shows what the
//! published files hold and nothing else.

use super::dataset::Dataset;
use super::measure::Figure;
use super::shown::{Shown, column};
use super::table::{Cell, Cube, TOTAL};
use crate::disclosure::criteria::Criteria;
use crate::french::{count, percent, thousands};
use std::cmp::Reverse;

/// Rows of the table, bars of a chart, and characters of a bar's label.
const ROWS: usize = 400;
const BARS: usize = 25;
const LABEL: usize = 24;

/// Where bars start and the length of the longest, in a drawing 800 wide.
const LEFT: u64 = 220;
const LONGEST: u64 = 460;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#161616}\
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}table{border-collapse:collapse;font-size:.9rem}\
th,td{border:1px solid #ccc;padding:.2rem .5rem;text-align:left}td.n,th.n{text-align:right}\
td.c{background:repeating-linear-gradient(45deg,#eee,#eee 4px,#fff 4px,#fff 8px);text-align:center}\
.cards{display:flex;flex-wrap:wrap;gap:1rem}.card{border:1px solid #ccc;padding:.5rem 1rem;min-width:10rem}\
.card b{display:block;font-size:1.4rem}svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif}";

/// The page. `criteria` for a dataset that counts persons.
pub fn page(dataset: &Dataset, version: &str, cube: &Cube, criteria: Option<&Criteria>) -> String {
    let title = escape(&dataset.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"fr\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p>{}</p>\n<p>Version {}. Licence Ouverte 2.0.</p>\n",
        escape(&dataset.description),
        escape(version)
    );
    let changed = changed(dataset);
    out.push_str("<div class=\"cards\">\n");
    let (all, masked) = counts(dataset, cube);
    let told = changed.clone().unwrap_or_else(|| {
        let share = percent(masked as i64, all as i64);
        format!("dont {} ({share})", count(masked as u64, "masqué", "masqués"))
    });
    let noun = if all < 2 { "chiffre" } else { "chiffres" };
    out.push_str(&card(&thousands(all as u64), &format!("{noun}, {told}")));
    // Where figures are changed nobody is in a masked cell, and what they lack is noise.
    if let Some((all, hidden)) = criteria.filter(|_| changed.is_none()).and_then(|c| c.people) {
        out.push_str(&card(&percent(hidden, all), "des personnes dans une cellule fine masquée"));
    }
    out.push_str("</div>\n");
    if let Some(found) = criteria {
        out.push_str(&three(found));
    }
    let figures = dataset.figures();
    let columns: Vec<Vec<Shown>> = figures.iter().map(|f| column(cube, *f)).collect();
    // Bars have the lengths of whole figures: persons where they are published, else the first amount.
    if let Some((figure, shown)) = figures.iter().zip(&columns).find(|(f, _)| f.unit.whole()) {
        for (i, dimension) in dataset.dimensions.iter().enumerate() {
            out.push_str(&chart(&dimension.title, figure.title, cube, shown, i));
        }
    }
    out.push_str(&rows(dataset, cube, &figures, &columns));
    out.push_str("</body>\n</html>\n");
    out
}

/// Whole figures of the files, and those of them that are masked: a cell holds one per column, and an amount
/// may be masked where persons are not.
pub(super) fn counts(dataset: &Dataset, cube: &Cube) -> (usize, usize) {
    let whole = dataset.figures().into_iter().filter(|f| f.unit.whole());
    let shown: Vec<Shown> = whole.flat_map(|f| column(cube, f)).collect();
    (shown.len(), shown.iter().filter(|s| **s == Shown::Masked).count())
}

/// How figures are changed, when they are and nothing is masked.
fn changed(dataset: &Dataset) -> Option<String> {
    let protection = dataset.protection.as_ref()?;
    let rounded = protection.base().map(|base| format!("arrondis à {}", thousands(base)));
    rounded.or_else(|| protection.noise().map(|noise| format!("bruit d'au plus {noise}")))
}

fn card(figure: &str, label: &str) -> String {
    format!("<div class=\"card\"><b>{figure}</b> {}</div>\n", escape(label))
}

fn three(found: &Criteria) -> String {
    let few: usize = found.crossings.iter().map(|c| c.few).sum();
    let small: usize = found.links.iter().map(|l| l.few).sum();
    // Groups that fall whole into one code: of a protected dimension, or not.
    let groups = |protected: bool| found.inferences.iter().filter(move |i| i.protected == protected);
    let whole = |protected: bool| groups(protected).map(|i| i.whole as u64).sum::<u64>();
    let shown = count(few as u64, "chiffre publié", "chiffres publiés");
    let crossings = count(found.crossings.len() as u64, "croisement", "croisements");
    let links = count(found.links.len() as u64, "publication antérieure", "publications antérieures");
    let differences = count(small as u64, "différence", "différences");
    let (secret, others) = (count(whole(true), "groupe entier", "groupes entiers"), thousands(whole(false)));
    format!(
        "<h2>Les trois critères</h2>\n<table>\n<tr><th>Individualisation</th><td>{shown} sous le seuil, dans {crossings}</td></tr>\n\
         <tr><th>Corrélation</th><td>{links} de la même population ; {differences} de quelques personnes entre deux chiffres publiés</td></tr>\n\
         <tr><th>Inférence</th><td>{secret} dans une modalité protégée, {others} dans une autre</td></tr>\n</table>\n\
         <p>Le détail est dans METHODOLOGIE-anonymisation.md.</p>\n"
    )
}

/// Bars of the margin by one column: the last periods in their order, or the greatest figures first and masked
/// ones last.
fn chart(title: &str, figure: &str, cube: &Cube, shown: &[Shown], column: usize) -> String {
    let chain = cube.chains.iter().find(|c| c.contains(&column));
    // Coarser columns of the same hierarchy are filled where this one is.
    let allowed = |i: usize| i == column || chain.is_some_and(|c| c.contains(&i));
    let own = |c: &Cell| {
        let at = |i: usize| c.codes.get(i).is_some_and(|code| code != TOTAL);
        at(column)
            && (0..c.codes.len()).all(|i| allowed(i) || !at(i))
            && chain.is_none_or(|chain| chain.iter().skip_while(|i| **i != column).skip(1).all(|i| !at(*i)))
    };
    let value = |shown: &Shown| if let Shown::Whole(v) = shown { Some(*v) } else { None };
    let shown = cube.cells.iter().zip(shown).filter(|(c, _)| own(c));
    let mut bars: Vec<(&str, Option<u64>)> =
        shown.map(|(c, s)| (c.codes.get(column).map_or("", String::as_str), value(s))).collect();
    let all = bars.len();
    bars.sort_unstable();
    let kept = if bars.iter().all(|(code, _)| is_period(code)) {
        bars.drain(..all.saturating_sub(BARS));
        "périodes les plus récentes"
    } else {
        bars.sort_by_key(|(_, value)| Reverse(*value));
        bars.truncate(BARS);
        "premières modalités"
    };
    let most = bars.iter().filter_map(|(_, value)| *value).max().unwrap_or(0).max(1);
    let (title, figure) = (escape(title), escape(figure));
    let cut = (all > BARS).then(|| format!(" : les {BARS} {kept} sur {}", thousands(all as u64)));
    let cut = cut.unwrap_or_default();
    let mut out = format!(
        "<h2>{title}</h2>\n<p>{figure}{cut}</p>\n<svg viewBox=\"0 0 800 {}\" role=\"img\" aria-label=\"{title} : {figure}\">\n",
        bars.len() * 22 + 4
    );
    for (i, (code, value)) in (0_u64..).zip(&bars) {
        let (top, middle, foot) = (i * 22 + 2, i * 22 + 11, i * 22 + 16);
        let (label, end) = (label(code), LEFT - 6);
        out.push_str(&format!("<text x=\"{end}\" y=\"{foot}\" text-anchor=\"end\">{label}</text>"));
        let Some(value) = value else {
            // The same line for all, over the whole width: nobody reads a size from it.
            let (from, to) = (LEFT + 50, LEFT + LONGEST);
            out.push_str(&format!(
                "<text x=\"{LEFT}\" y=\"{foot}\">masqué</text><line x1=\"{from}\" y1=\"{middle}\" x2=\"{to}\" y2=\"{middle}\" stroke=\"#666\" stroke-dasharray=\"1 5\"/>\n"
            ));
            continue;
        };
        let width = (value.saturating_mul(LONGEST) / most).max(u64::from(*value > 0));
        let (beside, figure) = (LEFT + width + 6, thousands(*value));
        out.push_str(&format!(
            "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{width}\" height=\"18\" fill=\"#000091\"/><text x=\"{beside}\" y=\"{foot}\">{figure}</text>\n"
        ));
    }
    out.push_str("</svg>\n");
    out
}

/// A day, a month or a school year: codes whose order is that of time.
fn is_period(code: &str) -> bool {
    let shape: String = code.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    let numbers: Vec<u32> = code.split('-').filter_map(|n| n.parse().ok()).collect();
    match (shape.as_str(), numbers.as_slice()) {
        ("9999-99-99", [_, month, day]) => (1..=12).contains(month) && (1..=31).contains(day),
        ("9999-99", [_, month]) => (1..=12).contains(month),
        ("9999-9999", [from, to]) => *to == from + 1,
        _ => false,
    }
}

/// A code beside its bar: its start when it is long, and the whole for who points at it.
fn label(code: &str) -> String {
    if code.chars().count() <= LABEL {
        return escape(code);
    }
    let start: String = code.chars().take(LABEL - 1).collect();
    format!("<title>{}</title>{}…", escape(code), escape(&start))
}

/// The table: margins first, so that what is cut is the detail.
fn rows(dataset: &Dataset, cube: &Cube, figures: &[Figure<'_>], columns: &[Vec<Shown>]) -> String {
    let mut out = "<h2>Tableau</h2>\n".to_owned();
    if cube.cells.len() > ROWS {
        out.push_str(&format!(
            "<p>{ROWS} lignes affichées sur {}, les totaux d'abord ; toutes sont dans data.csv.</p>\n",
            thousands(cube.cells.len() as u64)
        ));
    }
    out.push_str("<table>\n<tr>");
    let codes = dataset.dimensions.iter().map(|d| ("", d.title.as_str()));
    for (class, title) in codes.chain(figures.iter().map(|f| (" class=\"n\"", f.title))) {
        out.push_str(&format!("<th{class}>{}</th>", escape(title)));
    }
    out.push_str("</tr>\n");
    let mut order: Vec<(usize, &Cell)> = cube.cells.iter().enumerate().collect();
    order.sort_by_cached_key(|(_, cell)| {
        // By its letters alone, a total would stand between capitals and small letters.
        let codes: Vec<(bool, &str)> = cell.codes.iter().map(|c| (c == TOTAL, c.as_str())).collect();
        (codes.iter().filter(|(total, _)| !total).count(), codes)
    });
    for (row, cell) in order.into_iter().take(ROWS) {
        out.push_str("<tr>");
        let code = |code: &String| if code == TOTAL { "Total".to_owned() } else { escape(code) };
        out.extend(cell.codes.iter().map(|c| format!("<td>{}</td>", code(c))));
        for shown in columns.iter().filter_map(|c| c.get(row)) {
            out.push_str(&match shown {
                Shown::Whole(v) => format!("<td class=\"n\">{}</td>", thousands(*v)),
                Shown::Hundredths(_) => format!("<td class=\"n\">{}</td>", shown.text().replace('.', ",")),
                Shown::Masked => "<td class=\"c\">masqué</td>".to_owned(),
                Shown::Missing => "<td class=\"n\">–</td>".to_owned(),
            });
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::protection::Policies;
    use super::super::table::Figures;
    use super::*;
    use crate::contract::Contract;

    const CONTRACT: &str = r#"column = [{ name = "annee_scolaire", type = "annee_scolaire", personal = "none" }, { name = "code", type = "text", personal = "direct", person = { who = "eleve", space = "essai" } }, { name = "lieu", type = "text", personal = "none" }, { name = "heures", type = "integer", personal = "none" }]
input = { format = "csv" }
table = { name = "essai", title = "Essai", description = "Essai", source = "essai", record_class = "essai", key = ["annee_scolaire", "code"], school_year_from = "annee_scolaire" }"#;
    const COUNT: &str = "kind = \"count\"\ncontributor = \"code\"";

    /// Counted along `lieu`; more of `[measure]` and of `[protection]` as given.
    fn dataset(measure: &str, protection: &str) -> Dataset {
        let text = format!(
            "[dataset]\nname = \"essai\"\ntitle = \"Essai\"\ndescription = \"Essai\"\ntable = \"essai\"\nyears = \"latest\"\n\
             [[dimension]]\nname = \"lieu\"\ncolumn = \"lieu\"\ntitle = \"Lieu\"\n\
             [measure]\nname = \"n\"\ntitle = \"Nombre\"\n{measure}\n[protection]\nthreshold = 5\n{protection}\n"
        );
        let contract = Contract::parse("essai.toml", CONTRACT).unwrap();
        Dataset::load("jeu.toml", &text, &[contract], &Policies::default()).unwrap()
    }

    fn cube(codes: &[String], masked: &str) -> Cube {
        let inner = codes.iter().zip(10..).map(|(c, n)| (vec![c.clone()], Figures::value(n)));
        let mut cube = Cube::with_totals(vec![vec![0]], &inner.collect());
        cube.cells.iter_mut().for_each(|c| c.masked = c.codes == [masked]);
        cube
    }

    /// Codes beside the bars, in order.
    fn labels(page: &str) -> Vec<&str> {
        page.split("text-anchor=\"end\">").skip(1).filter_map(|t| t.split("</text>").next()).collect()
    }

    #[test]
    fn periods_keep_their_order_and_a_masked_bar_has_no_size() {
        let days: Vec<String> = (1..=30).map(|d| format!("2025-09-{d:02}")).collect();
        let found = page(&dataset(COUNT, ""), "1", &cube(&days, "2025-09-29"), None);
        assert_eq!(labels(&found), days[5..]);
        assert_eq!((found.matches("<rect").count(), found.matches("<line").count()), (24, 1));
        assert!(found.contains("<b>31</b> chiffres, dont 1 masqué (3,2 %)"));
        assert!(found.contains("<p>Nombre : les 25 périodes les plus récentes sur 30</p>"));
        assert!(["2024-2025", "2025-09"].into_iter().all(is_period));
        assert!(!["2024-2026", "2025-13", "_Z"].into_iter().any(is_period));
    }

    #[test]
    fn other_codes_go_by_figure_cut_and_escaped_and_the_total_is_the_first_row() {
        let codes = ["a<b", "Z", &"é".repeat(25)].map(str::to_owned);
        let found = page(&dataset(COUNT, ""), "1", &cube(&codes, "Z"), None);
        let long = format!("<title>{}</title>{}…", "é".repeat(25), "é".repeat(23));
        assert_eq!(labels(&found), [long.as_str(), "a&lt;b", "Z"]);
        assert!(found.contains("</th></tr>\n<tr><td>Total</td>"));
    }

    #[test]
    fn amounts_are_counted_beside_persons_and_changed_figures_are_not_masked() {
        let sum = "kind = \"sum\"\ncolumn = \"heures\"\ncontributor = \"code\"\npersons = { name = \"p\", title = \"P\" }";
        let mut cells = cube(&["a", "b"].map(str::to_owned), "a");
        cells.cells.iter_mut().for_each(|c| c.amount_masked = c.codes != [TOTAL]);
        let of = |measure: &str| counts(&dataset(measure, ""), &cells);
        assert_eq!((of(sum), of(COUNT)), ((6, 3), (3, 1)));
        let cells = cube(&["a", "b"].map(str::to_owned), "");
        let found = Criteria { people: Some((21, 0)), ..Criteria::default() };
        for (method, want) in [
            ("method = \"rounding\"\nbase = 10", "chiffres, arrondis à 10"),
            ("method = \"cell_key\"\nnoise = 4", "chiffres, bruit d'au plus 4"),
        ] {
            let told = page(&dataset(COUNT, method), "1", &cells, Some(&found));
            assert!(told.contains(want) && !told.contains("masqu"), "{want}");
        }
    }
}
