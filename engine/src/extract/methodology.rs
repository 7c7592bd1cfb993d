//! `METHODOLOGIE-anonymisation.md`: the rules, what they cost, and the three criteria in figures.

use super::dataset::Dataset;
use super::publish::Edition;
use crate::disclosure::cell_key::Perturbation;
use crate::disclosure::criteria::{Criteria, Inference, Link};
use crate::disclosure::microdata::criteria::{Individualisation, Inference as Guess};
use crate::disclosure::microdata::{Measured, PARTS, Request};
use crate::disclosure::policy::{Insiders, Policy, Zeros};
use crate::french::{count, percent, thousands};

/// Names told of a list.
const TOLD: usize = 20;

/// Text that people wrote, as a Markdown page shows it: no mark of HTML, nor of the column of a table, stands in it.
/// Portals render these pages.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A backslash before it would be no escape after one of the text.
            '|' => out.push_str("&#124;"),
            c => out.push(c),
        }
    }
    out
}

/// The page, for a dataset that counts persons (`policy`) or not.
pub fn page(
    dataset: &Dataset,
    edition: &Edition<'_>,
    policy: Option<&Policy>,
    found: &Criteria,
    figures_masked: (usize, usize),
) -> String {
    let version = edition.version;
    let mut out = format!("# {} : méthode d'anonymisation\n\nVersion {version}.\n\n", plain(&dataset.title));
    let population = plain(&edition.who.population);
    let Some(policy) = policy else {
        out.push_str("Ce jeu ne compte pas de personnes : il n'est masqué aucune cellule.\n");
        return out;
    };
    if let Some(text) = changed(dataset, &population, policy, found) {
        out.push_str(&text);
        return out;
    }
    if !dataset.measure.counts_persons() {
        out.push_str(&made(&population, policy));
        out.push_str(&loss(&Criteria::default(), figures_masked));
        out.push_str(&format!(
            "## 1. Individualisation\n\nAucun chiffre publié n'est fait par 1 à {} personnes.\n\n",
            policy.threshold - 1
        ));
        out.push_str(&correlation(&population, policy, found));
        out.push_str(
            "## 3. Inférence\n\nLe jeu ne compte pas de personnes : il n'en range aucune dans une modalité.\n\n",
        );
        out.push_str(&residual(&Criteria::default()));
        return out;
    }
    out.push_str(&rules(&population, policy));
    out.push_str(&figures(dataset, policy));
    out.push_str(&loss(found, figures_masked));
    out.push_str(&individualisation(policy, found));
    out.push_str(&correlation(&population, policy, found));
    out.push_str(&inference(&found.inferences));
    out.push_str(&residual(found));
    out
}

/// From when a policy holds, where it says so.
fn since(policy: &Policy) -> String {
    if policy.since.is_empty() { String::new() } else { format!(", en vigueur depuis le {}", policy.since) }
}

/// The rules of a sum that persons make and whose number does not leave.
fn made(population: &str, policy: &Policy) -> String {
    format!(
        "## Règles\n\nPolitique « {} »{}, population « {population} ».\n\n\
         - Une cellule que font de 1 à {} personnes est masquée. La source dit combien de personnes font chaque ligne, et non \
         qui : les mêmes peuvent revenir d'une ligne à l'autre, et une cellule n'est réputée faite que par celles de sa plus grande ligne.\n\
         - D'autres cellules sont masquées pour que les premières ne se recalculent pas à partir des totaux. Rien ne les \
         distingue des premières : le statut est `C` dans les deux cas.\n\
         - D'aucune cellule masquée, un lecteur qui fait toutes les additions possibles ne connaît le chiffre à moins de {} % près.\n\n\
         La preuve est un certificat : pour chaque cellule masquée, deux tableaux d'entiers qui s'accordent avec tous les \
         chiffres publiés. Il est vérifié par des additions, sur les fichiers relus, avant que rien ne parte ; il n'est pas publié.\n\n",
        plain(&policy.name),
        since(policy),
        policy.threshold - 1,
        policy.p_percent.unwrap_or(0)
    )
}

fn rules(population: &str, policy: &Policy) -> String {
    let since = since(policy);
    let mut out = format!(
        "## Règles\n\nPolitique « {} »{since}, population « {} ».\n\n\
         - Une cellule qui compte de 1 à {} personnes est masquée.\n\
         - D'autres cellules sont masquées pour que les premières ne se recalculent pas à partir des totaux. Rien ne les \
         distingue des premières : le statut est `C` dans les deux cas.\n\
         - De chaque cellule masquée, un lecteur qui fait toutes les additions possibles ne peut exclure ni la valeur {} ou \
         plus, ni aucune de deux valeurs distantes d'au moins {}.\n",
        plain(&policy.name),
        population,
        policy.threshold - 1,
        policy.threshold,
        policy.width
    );
    out.push_str(match policy.zeros {
        Zeros::Published => "- Les combinaisons vides ne sont pas listées : leur zéro est connu.\n",
        Zeros::Concealed => {
            "- Les combinaisons vides sont listées, et des zéros sont masqués comme les autres cellules.\n"
        }
    });
    if !policy.attributes.is_empty() {
        out.push_str(&format!(
            "- Aucun groupe ne tombe visiblement tout entier dans une modalité de : {}.\n",
            policy.attributes.join(", ")
        ));
    }
    out.push_str(match policy.insiders {
        Insiders::None => "",
        Insiders::Singletons => "- Une personne seule dans sa cellule connaît ce chiffre : elle n'en déduit pas celui des autres.\n",
        Insiders::Pairs => "- Une personne, ou deux ensemble, seules dans leur cellule connaissent ce chiffre : elles n'en déduisent pas celui des autres.\n",
    });
    out.push_str(
        "\nLa preuve est un certificat : pour chaque cellule masquée, deux tableaux d'entiers qui s'accordent avec tous les \
         chiffres publiés. Il est vérifié par des additions, sur les fichiers relus, avant que rien ne parte ; il n'est pas publié.\n\n",
    );
    out
}

/// The rules of a dataset whose figures are changed and not masked.
fn changed(dataset: &Dataset, population: &str, policy: &Policy, found: &Criteria) -> Option<String> {
    let protection = dataset.protection.as_ref()?;
    let head =
        format!("## Règles\n\nPolitique « {} », population « {population} ».\n\n", plain(&policy.name));
    let threshold = policy.threshold;
    if let Some(base) = protection.base() {
        let told = found.rounding;
        let furthest = told.map_or_else(|| format!("{} au plus", base - 1), |g| g.furthest.to_string());
        let beyond = count(
            told.map_or(0, |g| g.beyond as u64),
            "total s'écarte de plus que les deux multiples qui l'entourent",
            "totaux s'écartent de plus que les deux multiples qui les entourent",
        );
        return Some(format!(
            "{head}Chaque chiffre est arrondi à un multiple de {base} ; les totaux sont les sommes des chiffres arrondis. Chaque \
             cellule fine va à l'un des deux multiples qui l'entourent, tiré au sort avec une clé secrète : d'autant plus souvent \
             à celui du dessus qu'elle en est proche, sauf quand un total s'éloignerait trop. Le chiffre le plus éloigné de la vérité l'est de \
             {furthest} ; {beyond}. Une ligne absente vaut de 0 à {}.\n\n## Les trois critères\n\n\
             - Individualisation : un chiffre peut être à {} près de la vérité, dans un sens ou dans l'autre ; aucun ne montre une \
             personne, ni un groupe dont on saurait qu'il en compte moins de {threshold}.\n\
             - Corrélation : ce jeu est le seul qui parte de ces personnes ; aucune colonne ne désigne une personne.\n\
             - Inférence : une ligne absente peut valoir jusqu'à {} ; aucun groupe n'est à coup sûr tout entier dans une modalité \
             dont les autres sont listées.\n\n## Ce qui est perdu\n\nRien n'est masqué. La somme de plusieurs chiffres s'écarte de la \
             vérité d'autant plus qu'ils sont nombreux.\n",
            base - 1,
            base - 1,
            base - 1
        ));
    }
    let noise = protection.noise()?;
    let spreads = Perturbation::new(noise).ok()?.spreads();
    let mut out = format!(
        "{head}Chaque chiffre porte un bruit d'au plus {noise}, nul en moyenne, tiré d'une clé secrète et des personnes comptées : les \
         mêmes personnes donnent le même chiffre, dans toutes les versions. Les totaux ne sont pas les sommes des lignes. Une ligne \
         absente vaut de 0 à {noise}.\n\n| Effectif vrai | Écart | Variance | Laissés tels quels |\n|--:|--:|--:|--:|\n"
    );
    for s in &spreads {
        let count = if s.count == spreads.len() as u64 {
            format!("{} et plus", s.count)
        } else {
            s.count.to_string()
        };
        out.push_str(&format!(
            "| {count} | {} à +{} | {:.2} | {:.0} % |\n",
            s.least,
            s.most,
            s.variance,
            s.unchanged * 100.0
        ));
    }
    out.push_str(&format!(
        "\n## Les trois critères\n\n- Individualisation : les chiffres publiés ont été attaqués ensemble, avec toutes les additions des \
         chiffres vrais ; d'aucune cellule de moins de {threshold} personnes on ne peut exclure qu'elle en compte {threshold} ou plus.\n\
         - Corrélation : les seuls autres jeux de cette population portent le même bruit ; une personne de plus ou de moins en tire un autre.\n\
         - Inférence : une ligne absente n'est pas vide à coup sûr.\n\n## Risque résiduel\n\nQui voit beaucoup de cellules de presque les mêmes \
         personnes fait la moyenne de leurs bruits : il en faut au moins {} pour connaître un grand effectif à l'unité près (95 %).\n",
        spreads.last().map_or(0, |s| s.looks)
    ));
    Some(out)
}

/// What sums, means and rates add to the rules.
fn figures(dataset: &Dataset, policy: &Policy) -> String {
    let mut out = String::new();
    if dataset.measure.amounts() {
        out.push_str(&format!(
            "Les montants sont arrondis à l'unité, personne par personne, et masqués partout où l'effectif l'est. L'est \
             aussi celui d'une cellule dont une personne apporte plus de {} %, ou dont la deuxième pourrait connaître l'apport de la \
             première à {} % près. D'autres le sont pour que ceux-là ne se \
             recalculent pas ; le même certificat prouve que d'aucun montant masqué on ne connaît la valeur à moins de {} % près.\n\n",
            policy.dominance.unwrap_or(100),
            policy.p_percent.unwrap_or(0),
            policy.p_percent.unwrap_or(0)
        ));
    }
    if dataset.figures().iter().any(|f| !f.unit.additive()) {
        out.push_str(
            "Moyennes et taux sont calculés à partir des seuls chiffres publiés : ils ne disent rien qu'un lecteur ne puisse calculer.\n\n",
        );
    }
    out
}

fn loss(found: &Criteria, (figures, masked): (usize, usize)) -> String {
    let mut out = format!(
        "## Ce qui est perdu\n\nSur {}, {} ({}).\n",
        count(figures as u64, "chiffre", "chiffres"),
        count(masked as u64, "est masqué", "sont masqués"),
        percent(masked as i64, figures as i64)
    );
    if let Some((all, hidden)) = found.people {
        out.push_str(&format!(
            "Au niveau le plus fin, sur {}, {} dans une cellule masquée ({}).\n",
            count(all.unsigned_abs(), "personne", "personnes"),
            count(hidden.unsigned_abs(), "est comptée", "sont comptées"),
            percent(hidden, all)
        ));
    }
    out.push('\n');
    out
}

fn individualisation(policy: &Policy, found: &Criteria) -> String {
    let mut out = format!(
        "## 1. Individualisation\n\nPour chaque croisement publié (jusqu'à {} dimensions) : les chiffres publiés qui montrent une seule \
         personne, et ceux de 1 à {}. Aucun chiffre sous le seuil ne doit partir : les deux colonnes doivent valoir 0.\n\n\
         | Croisement | Cellules | Masquées | Une personne | De 1 à {} |\n|---|--:|--:|--:|--:|\n",
        crate::disclosure::criteria::CROSSED,
        policy.threshold - 1,
        policy.threshold - 1
    );
    for c in &found.crossings {
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            c.levels.join(" × "),
            thousands(c.cells as u64),
            thousands(c.masked as u64),
            c.alone,
            c.few
        ));
    }
    out.push('\n');
    out
}

fn correlation(population: &str, policy: &Policy, found: &Criteria) -> String {
    let links: &[Link] = &found.links;
    let mut out = "## 2. Corrélation\n\nAucune colonne du jeu ne désigne une personne, ni par un nom ni par un identifiant : aucune ne \
         sert de clé vers un autre fichier. "
        .to_owned();
    if let Some((compared, among)) = found.raw_keys.filter(|(compared, _)| *compared > 0) {
        out.push_str(&format!(
            "Sur {} dans les livraisons comptées, {} parmi les codes publiés. ",
            count(compared, "identifiant de personne", "identifiants de personnes"),
            count(among, "se retrouve", "se retrouvent")
        ));
    }
    if links.is_empty() {
        out.push_str(&format!(
            "Aucune publication antérieure ne porte sur la population « {} ».\n\n",
            population
        ));
        return out;
    }
    out.push_str(&format!(
        "Ce jeu et les publications antérieures des mêmes personnes (« {} ») ont été attaqués ensemble, comme un seul système \
         d'additions, les dimensions reconnues par leur colonne et celles qui en disent une autre (la MEF dit le niveau) \
         reliées ; rien de trop précis n'y a été trouvé. Entre deux dates, cette attaque est bornée : elle montre un danger, elle ne prouve pas à elle seule qu'il n'y en a pas.\n\n\
         | Publication | Chiffres communs | Différences de 1 à {} |\n|---|--:|--:|\n",
        population,
        policy.threshold - 1
    ));
    for link in links.iter().rev().take(TOLD) {
        out.push_str(&format!("| {} | {} | {} |\n", link.release, thousands(link.common as u64), link.few));
    }
    if links.len() > TOLD {
        out.push_str(&format!("\n{} plus anciennes ont été examinées aussi.\n", links.len() - TOLD));
    }
    out.push('\n');
    out
}

fn inference(inferences: &[Inference]) -> String {
    let mut out = "## 3. Inférence\n\nQui connaît toutes les autres dimensions d'une personne, que sait-il de celle-ci ? « Groupes \
         entiers » : tous ont la même modalité, et cela se voit. « Meilleure devinette » : dans les groupes publiés en entier, part des personnes dont la modalité la plus \
         fréquente de leur groupe est la bonne ; « sans le jeu » : la même part, quand on ne connaît que la répartition générale.\n\n\
         | Dimension | Protégée | Groupes publiés | Groupes entiers | Meilleure devinette | Sans le jeu |\n|---|---|--:|--:|--:|--:|\n"
        .to_owned();
    for i in inferences {
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            i.level,
            if i.protected { "oui" } else { "non" },
            thousands(i.groups as u64),
            thousands(i.whole as u64),
            percent(i.guessed, i.people),
            i.margin.map_or_else(|| "masqué".to_owned(), |(all, most)| percent(most, all))
        ));
    }
    out.push_str(
        "\nUne dimension non protégée n'est pas un secret sur la personne (son établissement, son niveau) : elle ne porte pas de donnée \
         sensible.\n\n",
    );
    out
}

fn residual(found: &Criteria) -> String {
    let whole: usize = found.inferences.iter().filter(|i| !i.protected).map(|i| i.whole).sum();
    let mut out = "## Risque résiduel\n\n\
         - Qui sait déjà, d'une autre source, combien de personnes compte une cellule masquée, peut réduire le doute sur celles \
         qui lui sont liées.\n\
         - Des personnes qui mettent en commun ce qu'elles savent d'elles-mêmes, au-delà de ce que dit la politique, le peuvent aussi.\n"
        .to_owned();
    if whole > 0 {
        out.push_str(&format!(
            "- {} d'une dimension non protégée : l'appartenance au groupe dit la modalité.\n",
            count(
                whole as u64,
                "groupe tombe tout entier dans une modalité",
                "groupes tombent tout entiers dans une modalité"
            )
        ));
    }
    out
}

/// What is told of rows.
pub struct Rows<'a> {
    /// Columns, quasi-identifiers first.
    pub names: Vec<&'a str>,
    /// Why rows leave.
    pub reason: &'a str,
    /// What was asked.
    pub request: Request,
    /// What was found on the file.
    pub measured: Measured,
    /// Level of each quasi-identifier, and the one that hides it.
    pub levels: Vec<(usize, usize)>,
    /// Rows left out.
    pub suppressed: u64,
    /// Information lost, from 0 to 1.
    pub loss: f64,
    /// By quasi-identifiers, and by all columns.
    pub singled: Individualisation,
    /// By all columns.
    pub exact: Individualisation,
    /// For each secret.
    pub inferred: Vec<Guess>,
}

/// The page, for rows of persons.
pub fn rows(dataset: &Dataset, version: &str, told: &Rows<'_>) -> String {
    let share = |parts: u64| format!("{},{:03}", parts / PARTS, parts % PARTS / (PARTS / 1000));
    let (asked, found) = (&told.request, &told.measured);
    let mut out = format!(
        "# {} : méthode d'anonymisation\n\nVersion {version}.\n\n## Règles\n\nDes lignes de personnes partent, et non leurs nombres. Raison écrite : « {} »\n\n\
         | Modèle | Demandé | Mesuré sur le fichier |\n|---|--:|--:|\n| k-anonymat : lignes semblables | {} | {} |\n| l-diversité : valeurs d'un secret dans une classe | {} | {} |\n\
         | t-proximité : distance à la répartition de tous | {} | {} |\n\n",
        plain(&dataset.title),
        plain(told.reason),
        asked.k,
        found.k,
        asked.l,
        if told.inferred.is_empty() { "sans objet".to_owned() } else { found.l.to_string() },
        asked.t.map_or_else(|| "non".to_owned(), share),
        if told.inferred.is_empty() { "sans objet".to_owned() } else { share(found.t) }
    );
    out.push_str("Chaque quasi-identifiant est généralisé au même niveau dans tout le fichier. Aucune autre colonne ne part.\n\n| Quasi-identifiant | Niveau | Niveau qui cache tout |\n|---|--:|--:|\n");
    for (name, (level, last)) in told.names.iter().zip(&told.levels) {
        out.push_str(&format!("| {name} | {level} | {last} |\n"));
    }
    let all = found.rows + told.suppressed;
    out.push_str(&format!(
        "\n## Ce qui est perdu\n\n{} sur {} ({}). Information perdue : {} (0 % : rien n'est généralisé ; 100 % : tout est caché).\n\n",
        count(told.suppressed, "ligne retirée", "lignes retirées"),
        thousands(all),
        percent(told.suppressed as i64, all as i64),
        percent((told.loss * 1e6) as i64, 1_000_000)
    ));
    out.push_str(&format!(
        "## 1. Individualisation\n\nLignes seules de leur espèce dans un croisement d'au plus quatre colonnes : {} par les quasi-identifiants, {} \
         si l'on connaît aussi les valeurs secrètes ({} sur {}).\n\n",
        thousands(told.singled.singled_out),
        thousands(told.exact.singled_out),
        percent(told.exact.singled_out as i64, told.exact.rows as i64),
        thousands(told.exact.rows)
    ));
    out.push_str("## 2. Corrélation\n\nAucune colonne ne désigne une personne. Rien d'autre n'est publié de la même population : ni tableau, ni autre version de ces lignes.\n\n");
    out.push_str("## 3. Inférence\n\nQui connaît tous les quasi-identifiants d'une personne, que sait-il du secret ?\n\n| Secret | Certain | Meilleure devinette | Sans le fichier |\n|---|--:|--:|--:|\n");
    for (name, guess) in told.names.iter().skip(told.levels.len()).zip(&told.inferred) {
        let of = |n: u64| percent(n as i64, guess.rows as i64);
        out.push_str(&format!(
            "| {name} | {} | {} | {} |\n",
            of(guess.homogeneous_rows),
            of(guess.guessed),
            of(guess.guessed_from_margin)
        ));
    }
    out.push_str("\n## Risque résiduel\n\n- Ces modèles ne disent rien de qui connaît déjà une partie des secrets.\n- Un fichier de lignes ne se reprend pas : préférez un tableau.\n");
    out
}

#[cfg(test)]
mod tests {
    use super::super::dataset::Dataset;
    use super::super::earlier::Who;
    use super::super::protection::Policies;
    use super::*;
    use crate::contract::Contract;

    const CONTRACT: &str = r#"column = [{ name = "annee_scolaire", type = "annee_scolaire", personal = "none" }, { name = "code", type = "text", personal = "direct", person = { who = "eleve", space = "essai" } }, { name = "lieu", type = "text", personal = "none" }]
input = { format = "csv" }
table = { name = "essai", title = "Essai", description = "Essai", source = "essai", record_class = "essai", key = ["annee_scolaire", "code"], school_year_from = "annee_scolaire" }"#;

    #[test]
    fn what_people_wrote_stays_text_in_a_page() {
        let text = "[dataset]\nname = \"essai\"\ntitle = \"A <b>|& B\"\ndescription = \"<img src=x>\"\ntable = \"essai\"\nyears = \"latest\"\n\
             population = \"p<q\"\n[[dimension]]\nname = \"lieu\"\ncolumn = \"lieu\"\ntitle = \"Lieu\"\n\
             [measure]\nname = \"n\"\ntitle = \"Nombre\"\nkind = \"count\"\ncontributor = \"code\"\n[protection]\nthreshold = 5\npolicy = \"<i>\"\n";
        let contract = Contract::parse("essai.toml", CONTRACT).unwrap();
        let dataset = Dataset::load("jeu.toml", text, &[contract], &Policies::default()).unwrap();
        let who = Who { population: "p<q".into(), table: "essai".into(), year: None };
        let edition = Edition {
            version: "1",
            who: &who,
            state: "2026-01-12",
            rows: &super::super::levels::Rows::default(),
            modified: "2026-01-12",
        };
        let cube = super::super::table::Cube::with_totals(vec![vec![0]], &std::collections::BTreeMap::new());
        let pages = super::super::publish::pages(&dataset, &cube, &edition, &Criteria::default());
        for (name, bytes) in pages.iter().filter(|(name, _)| name.ends_with(".md")) {
            let page = String::from_utf8(bytes.clone()).unwrap();
            assert!(page.starts_with("# A &lt;b&gt;&#124;&amp; B"), "{name}: {page}");
            assert!(!page.contains('<'), "{name}: {page}");
        }
    }
}
