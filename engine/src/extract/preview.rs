//! `apercu.html`: one static page for people who decide. No script, nothing fetched; it shows what the
//! published files hold and nothing else.

use super::dataset::Dataset;
use super::shown::{Shown, column};
use super::table::{Cell, Cube, TOTAL};
use crate::disclosure::criteria::Criteria;
use crate::french::{count, percent, thousands};

/// Rows of the table, and bars of a chart.
const ROWS: usize = 400;
const BARS: usize = 25;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#161616}\
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}table{border-collapse:collapse;font-size:.9rem}\
th,td{border:1px solid #ccc;padding:.2rem .5rem;text-align:left}td.n,th.n{text-align:right}\
td.c{background:repeating-linear-gradient(45deg,#eee,#eee 4px,#fff 4px,#fff 8px);text-align:center}\
.cards{display:flex;flex-wrap:wrap;gap:1rem}.card{border:1px solid #ccc;padding:.5rem 1rem;min-width:10rem}\
.card b{display:block;font-size:1.4rem}svg text{font:12px system-ui,sans-serif}";

/// The page. `criteria` for a dataset that counts persons.
pub fn page(dataset: &Dataset, version: &str, cube: &Cube, criteria: Option<&Criteria>) -> String {
    let title = escape(&dataset.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"fr\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p>{}</p>\n<p>Version {}. Licence Ouverte 2.0.</p>\n",
        escape(&dataset.description),
        escape(version)
    );
    let masked = cube.cells.iter().filter(|c| c.masked || c.amount_masked).count();
    out.push_str("<div class=\"cards\">\n");
    out.push_str(&card(&thousands(cube.cells.len() as u64), "cellules"));
    out.push_str(&card(
        &thousands(masked as u64),
        &format!("masquées ({})", percent(masked as i64, cube.cells.len() as i64)),
    ));
    if let Some((all, hidden)) = criteria.and_then(|c| c.people) {
        out.push_str(&card(&percent(hidden, all), "des personnes dans une cellule fine masquée"));
    }
    out.push_str("</div>\n");
    if let Some(found) = criteria {
        out.push_str(&three(found));
    }
    for (i, dimension) in dataset.dimensions.iter().enumerate() {
        out.push_str(&chart(&dimension.title, cube, i));
    }
    out.push_str(&rows(dataset, cube));
    out.push_str("</body>\n</html>\n");
    out
}

fn card(figure: &str, label: &str) -> String {
    format!("<div class=\"card\"><b>{figure}</b>{}</div>\n", escape(label))
}

fn three(found: &Criteria) -> String {
    let few: usize = found.crossings.iter().map(|c| c.few).sum();
    let links = found.links.len() as u64;
    let small: usize = found.links.iter().map(|l| l.few).sum();
    let (secret, other): (Vec<_>, Vec<_>) = found.inferences.iter().partition(|i| i.protected);
    let whole =
        |list: &[&crate::disclosure::criteria::Inference]| list.iter().map(|i| i.whole).sum::<usize>();
    let line = |name: &str, measured: String| format!("<tr><th>{name}</th><td>{measured}</td></tr>\n");
    format!(
        "<h2>Les trois critères</h2>\n<table>\n{}{}{}</table>\n<p>Le détail est dans METHODOLOGIE-anonymisation.md.</p>\n",
        line(
            "Individualisation",
            format!(
                "{} sous le seuil, dans {}",
                count(few as u64, "chiffre publié", "chiffres publiés"),
                count(found.crossings.len() as u64, "croisement", "croisements")
            )
        ),
        line(
            "Corrélation",
            format!(
                "{} de la même population ; {} de quelques personnes entre deux chiffres publiés",
                count(links, "publication antérieure", "publications antérieures"),
                count(small as u64, "différence", "différences")
            )
        ),
        line(
            "Inférence",
            format!(
                "{} dans une modalité protégée, {} dans une autre",
                count(whole(&secret) as u64, "groupe entier", "groupes entiers"),
                thousands(whole(&other) as u64)
            )
        ),
    )
}

/// Bars of the margin by one column: those of the greatest figures, masked ones last.
fn chart(title: &str, cube: &Cube, column: usize) -> String {
    let chain = cube.chains.iter().find(|c| c.contains(&column));
    // Coarser columns of the same hierarchy are filled where this one is.
    let allowed = |i: usize| i == column || chain.is_some_and(|c| c.contains(&i));
    let own = |c: &&Cell| {
        let at = |i: usize| c.codes.get(i).is_some_and(|code| code != TOTAL);
        at(column)
            && (0..c.codes.len()).all(|i| allowed(i) || !at(i))
            && chain.is_none_or(|chain| chain.iter().skip_while(|i| **i != column).skip(1).all(|i| !at(*i)))
    };
    let mut bars: Vec<&Cell> = cube.cells.iter().filter(own).collect();
    bars.sort_by_key(|c| {
        (c.masked, std::cmp::Reverse(if c.masked { 0 } else { c.figures.value }), c.codes.get(column))
    });
    let (all, shown) = (bars.len(), bars.len().min(BARS));
    bars.truncate(BARS);
    let most = bars.iter().filter(|c| !c.masked).map(|c| c.figures.value).max().unwrap_or(0).max(1);
    let title = escape(title);
    let mut out = format!("<h2>{title}</h2>\n");
    if all > shown {
        out.push_str(&format!("<p>Les {shown} premières modalités sur {}.</p>\n", thousands(all as u64)));
    }
    out.push_str(&format!(
        "<svg viewBox=\"0 0 800 {}\" role=\"img\" aria-label=\"{title}\">\n<defs><pattern id=\"h{column}\" width=\"6\" height=\"6\" \
         patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect width=\"3\" height=\"6\" fill=\"#bbb\"/></pattern></defs>\n",
        shown * 22 + 4
    ));
    for (i, cell) in bars.iter().enumerate() {
        let (y, code) = (i * 22 + 2, escape(cell.codes.get(column).map_or("", String::as_str)));
        let (width, fill, figure) = if cell.masked {
            (40, format!("url(#h{column})"), "masqué".to_owned())
        } else {
            {
                let value = cell.figures.value;
                ((value.saturating_mul(480) / most).max(1), "#000091".to_owned(), thousands(value))
            }
        };
        out.push_str(&format!(
            "<text x=\"200\" y=\"{}\" text-anchor=\"end\">{code}</text><rect x=\"206\" y=\"{y}\" width=\"{width}\" height=\"18\" fill=\"{fill}\"/>\
             <text x=\"{}\" y=\"{}\">{figure}</text>\n",
            y + 14,
            212 + width,
            y + 14
        ));
    }
    out.push_str("</svg>\n");
    out
}

fn rows(dataset: &Dataset, cube: &Cube) -> String {
    let mut out = "<h2>Tableau</h2>\n".to_owned();
    if cube.cells.len() > ROWS {
        out.push_str(&format!(
            "<p>Les {ROWS} premières lignes sur {} ; toutes sont dans data.csv.</p>\n",
            thousands(cube.cells.len() as u64)
        ));
    }
    out.push_str("<table>\n<tr>");
    for dimension in &dataset.dimensions {
        out.push_str(&format!("<th>{}</th>", escape(&dimension.title)));
    }
    let figures = dataset.figures();
    for figure in &figures {
        out.push_str(&format!("<th class=\"n\">{}</th>", escape(figure.title)));
    }
    out.push_str("</tr>\n");
    let columns: Vec<Vec<Shown>> = figures.iter().map(|f| column(cube, *f)).collect();
    for (row, cell) in cube.cells.iter().enumerate().take(ROWS) {
        out.push_str("<tr>");
        for code in &cell.codes {
            let shown = if code == TOTAL { "Total".to_owned() } else { escape(code) };
            out.push_str(&format!("<td>{shown}</td>"));
        }
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
