//! From TOML to a checked contract; faults in French with line and column.

use super::sections::{ColumnSection, ContractFile, DeliveryMode, EmptyEvent, FormatName, ReferenceSection};
use super::toml_text::{fault_at, toml_file};
use super::{
    AggregateSpec, CodeList, ColumnSpec, ColumnType, Contract, EventSpec, Format, Input, OverlapSpec,
    Partition, PersonKey, Personal, Reference, Repair, Role, RuleSpec, Unpivot, VisitsSpec,
};
use crate::error::{ConfigFault, Error, Result};
use crate::finding::Severity;
use crate::validate::VISIT_COLUMNS;
use regex::{Regex, RegexBuilder};
use toml::Spanned;

fn parse_kind(text: &str) -> Option<ColumnType> {
    if let Some(args) = text.strip_prefix("decimal(").and_then(|t| t.strip_suffix(')')) {
        let (p, s) = args.split_once(',')?;
        let (precision, scale): (u8, i8) = (p.trim().parse().ok()?, s.trim().parse().ok()?);
        return ((1..=38).contains(&precision)
            && (0..=i8::try_from(precision.min(18)).ok()?).contains(&scale))
        .then_some(ColumnType::Decimal { precision, scale });
    }
    Some(match text {
        "text" => ColumnType::Text,
        "list" => ColumnType::List,
        "integer" => ColumnType::Integer,
        "date" => ColumnType::Date,
        "time" => ColumnType::Time,
        "duration" => ColumnType::Duration,
        "boolean" => ColumnType::Boolean,
        "annee_scolaire" => ColumnType::AnneeScolaire,
        _ => return None,
    })
}

/// Names that become folders and file names.
pub fn plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 80
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

/// Collects faults so that a person sees them all at once.
struct Faults<'a> {
    file: &'a str,
    text: &'a str,
    list: Vec<ConfigFault>,
}

impl Faults<'_> {
    fn add<T>(&mut self, at: &Spanned<T>, message: impl Into<String>) {
        self.list.push(fault_at(self.file, self.text, at.span().start, message.into()));
    }

    fn regex(&mut self, pattern: &Spanned<String>) -> Option<Regex> {
        match Regex::new(&format!("^(?:{})$", pattern.get_ref())) {
            Ok(r) => Some(r),
            Err(e) => {
                self.add(pattern, format!("expression rationnelle fausse : {e}"));
                None
            }
        }
    }
}

pub(super) fn parse(file: &str, text: &str) -> Result<Contract> {
    let raw: ContractFile = toml_file(file, text)?;
    let mut faults = Faults { file, text, list: Vec::new() };
    let names: Vec<&str> = raw.column.iter().map(|c| c.name.get_ref().as_str()).collect();
    let find = |faults: &mut Faults<'_>, name: &Spanned<String>| {
        let found = names.iter().position(|n| n == name.get_ref());
        if found.is_none() {
            faults.add(
                name,
                format!(
                    "colonne « {} » absente du contrat ; colonnes : {}",
                    name.get_ref(),
                    names.join(", ")
                ),
            );
        }
        found
    };

    let name = raw.table.name.get_ref();
    if !plain_name(name) {
        faults
            .add(&raw.table.name, "nom de table : lettres minuscules sans accent, chiffres, « _ » et « - »");
    }
    let spellings = |c: &ColumnSection| -> Vec<String> {
        c.aliases.iter().chain([c.name.get_ref()]).map(|n| n.to_lowercase()).collect()
    };
    for (i, column) in raw.column.iter().enumerate() {
        let mine = spellings(column);
        if raw.column.iter().take(i).flat_map(spellings).any(|s| mine.contains(&s)) {
            faults.add(
                &column.name,
                "une autre colonne porte ce nom ou cet alias, à la casse près : les en-têtes ne les distingueraient pas",
            );
        }
        let partition = ["annee_scolaire", "livraison"].contains(&column.name.get_ref().as_str());
        if partition && raw.table.school_year_from.get_ref() != column.name.get_ref() {
            faults.add(
                &column.name,
                "nom réservé aux dossiers de la table, sauf pour la colonne que nomme school_year_from",
            );
        }
        if column.name.get_ref().is_empty() {
            faults.add(&column.name, "colonne sans nom");
        }
        if column.name.get_ref().starts_with('_') {
            faults.add(&column.name, "nom de colonne commençant par « _ » : réservé à l'origine");
        }
        if column.min.zip(column.max).is_some_and(|(a, b)| a > b) {
            faults.add(&column.name, "bornes inversées : min est au-dessus de max");
        }
    }
    if !plain_name(raw.table.record_class.get_ref()) {
        faults.add(
            &raw.table.record_class,
            "classe : lettres minuscules sans accent, chiffres, « _ » et « - »",
        );
    }
    for (i, k) in raw.table.key.iter().enumerate() {
        if raw.table.key.iter().take(i).any(|other| other.get_ref() == k.get_ref()) {
            faults.add(k, "colonne écrite deux fois dans la clé");
        }
    }
    let aaf_ok = raw.input.category.is_some() && raw.table.key.len() == 1;
    if raw.input.format == FormatName::Aaf && !aaf_ok {
        faults.add(&raw.table.name, "un fichier AAF demande « category », et une clé d'une seule colonne");
    }
    if raw.input.format == FormatName::Xml && (raw.input.root.is_none() || raw.input.record.is_none()) {
        faults.add(
            &raw.table.name,
            "un fichier XML demande « root » (racine) et « record » (chemin de l'enregistrement)",
        );
    }
    if let Some(pattern) = raw.input.file_name.as_ref().filter(|p| !p.get_ref().contains("<date>")) {
        faults.add(pattern, "le nom doit porter la date de la livraison : un groupe (?<date>…)");
    }
    let key = raw.table.key.iter().filter_map(|k| find(&mut faults, k)).collect();
    let format = match raw.input.format {
        FormatName::Csv => {
            let separator = raw.input.separator.as_ref().map_or(b';', |s| match s.get_ref().as_bytes() {
                [b] if b.is_ascii() && !matches!(b, b'"' | b'\n' | b'\r') => *b,
                _ => {
                    faults.add(s, "séparateur : un seul caractère ASCII (« ; », « , », « | » ou tabulation)");
                    b';'
                }
            });
            Format::Csv { separator }
        }
        FormatName::Aaf => Format::Aaf {
            category: raw.input.category.clone().unwrap_or_default(),
            identifier: raw.input.identifier.as_ref().and_then(|i| find(&mut faults, i)),
            first_degree: raw.input.first_degree,
        },
        FormatName::Xml => Format::Xml {
            root: raw.input.root.clone().unwrap_or_default(),
            namespace: raw.input.namespace.clone(),
            record: raw.input.record.iter().flat_map(|r| r.split('/')).map(str::to_owned).collect(),
        },
        FormatName::NdJson => Format::NdJson,
        FormatName::Parquet => Format::Parquet,
    };
    let encoding = raw.input.encoding.as_ref().map_or(encoding_rs::UTF_8, |e| match e.get_ref().as_str() {
        "utf-8" => encoding_rs::UTF_8,
        "windows-1252" => encoding_rs::WINDOWS_1252,
        "iso-8859-15" => encoding_rs::ISO_8859_15,
        _ => {
            faults.add(e, "encodage : « utf-8 », « windows-1252 » ou « iso-8859-15 »");
            encoding_rs::UTF_8
        }
    });
    let file_name = raw.input.file_name.as_ref().and_then(|p| faults.regex(p));
    let unpivot = raw.input.unpivot.as_ref().and_then(|u| {
        let pattern =
            RegexBuilder::new(&format!("^(?:{})$", u.pattern.get_ref())).case_insensitive(true).build();
        let pattern = match pattern {
            Ok(p) if ["measure", "item"].iter().all(|g| p.capture_names().flatten().any(|n| n == *g)) => p,
            _ => {
                faults.add(
                    &u.pattern,
                    "expression rationnelle avec les groupes (?<measure>…) et (?<item>…) attendue",
                );
                return None;
            }
        };
        let item = find(&mut faults, &u.item)?;
        Some(Unpivot { pattern, item, known: u.known.clone(), total: u.total.clone() })
    });

    let reference = |faults: &mut Faults<'_>, r: &ReferenceSection| Reference {
        table: r.table.clone(),
        column: r.column.clone(),
        part: r.part,
        severity: *r.severity.get_ref(),
        with: r.with.iter().filter_map(|w| find(faults, w)).collect(),
        at: r.at.as_ref().and_then(|at| find(faults, at)),
        from: r.from.clone(),
        to: r.to.clone(),
    };
    let columns: Vec<ColumnSpec> = raw
        .column
        .iter()
        .map(|c| {
            let kind = parse_kind(c.kind.get_ref()).unwrap_or_else(|| {
                faults.add(&c.kind, "type : text, list, integer, decimal(12,2), date, time, duration, boolean ou annee_scolaire");
                ColumnType::Text
            });
            let codes = c.codes.as_ref().map(|l| CodeList {
                table: l.table.clone(),
                prefix: l.prefix,
                at: l.at.as_ref().and_then(|at| find(&mut faults, at)),
                part: l.part,
                or: l.or.as_ref().and_then(|c| find(&mut faults, c)),
                national: l.national.clone(),
                local: l.local,
            });
            let [yes, no] = c.marks.clone();
            ColumnSpec {
                name: c.name.get_ref().as_str().into(),
                aliases: c.aliases.clone(),
                description: c.description.clone(),
                kind,
                required: c.required,
                optional: c.optional,
                pattern: c.pattern.as_ref().and_then(|p| faults.regex(p)),
                values: c.values.clone(),
                min: c.min,
                max: c.max,
                uai: c.uai,
                codes,
                date_format: c.date_format,
                marks: (yes, no),
                personal: c.personal,
                person: c.person.as_ref().map(|p| {
                    let ConfigFault { line, column, .. } = fault_at(file, text, p.span().start, String::new());
                    let (p, keyed) = (p.get_ref(), raw.table.key.iter().any(|k| k.get_ref() == c.name.get_ref()));
                    PersonKey {
                        who: std::iter::once(p.who).chain(p.or.iter().copied()).collect(),
                        space: p.space.get_ref().clone(),
                        part: p.part.as_ref().map(|n| *n.get_ref()),
                        within: p.within.iter().filter_map(|w| find(&mut faults, w)).collect(),
                        role: p.role.unwrap_or(if keyed { Role::Subject } else { Role::Mention }),
                        at: (line, column),
                    }
                }),
                counts_persons: c.counts_persons.as_ref().is_some_and(|p| *p.get_ref()),
                path: c.path.as_ref().map(|p| p.get_ref().clone()),
                parts: c.parts.clone(),
                checksum: c.checksum,
                severity: c.severity.as_ref().map(|s| *s.get_ref()),
                repair: c.repair.clone(),
                width: c.width,
                references: c.references.as_ref().map(|r| reference(&mut faults, r)),
                counts: c.counts.as_ref().map(|r| reference(&mut faults, r)),
            }
        })
        .collect();
    for (i, column) in raw.column.iter().enumerate() {
        let Some(spanned) = &column.person else { continue };
        let person = spanned.get_ref();
        if column.personal != Personal::Direct {
            faults.add(spanned, "« person » ne va qu'à une colonne personnelle « direct »");
        }
        if !plain_name(person.space.get_ref()) {
            faults.add(&person.space, "espace : lettres minuscules sans accent, chiffres, « _ » et « - »");
        }
        if let Some(part) = person.part.as_ref().filter(|p| *p.get_ref() >= column.parts.len()) {
            faults.add(part, "« part » est le rang, depuis 0, d'une des « parts » de la colonne");
        }
        if person.part.is_none() && !column.parts.is_empty() {
            faults.add(spanned, "une colonne à « parts » demande « part », le rang de l'identifiant");
        }
        if let Some(own) = person.within.iter().find(|w| w.get_ref() == column.name.get_ref()) {
            faults.add(own, "« within » nomme d'autres colonnes que celle de l'identifiant");
        }
        let same = |o: &ColumnSection| {
            o.person.as_ref().is_some_and(|o| {
                let o = o.get_ref();
                o.role.is_none() && o.who == person.who && o.space.get_ref() == person.space.get_ref()
            })
        };
        if person.role.is_none() && raw.column.iter().take(i).any(same) {
            faults.add(
                spanned,
                "une autre colonne porte déjà cet espace : écrivez role = \"subject\" ou \"mention\"",
            );
        }
    }
    for (spec, raw) in columns.iter().zip(&raw.column) {
        if let Some(mark) = raw.counts_persons.as_ref().filter(|_| spec.kind != ColumnType::Integer) {
            faults.add(mark, "« counts_persons » ne va qu'à une colonne integer : elle dit de combien de personnes est la ligne");
        }
        if spec.repair.contains(&Repair::LeadingZeros) && spec.width.is_none() {
            faults.add(
                &raw.name,
                "restituer des zéros perdus demande « width », le nombre de caractères du code",
            );
        }
        if !spec.parts.is_empty() && !matches!(spec.kind, ColumnType::Text | ColumnType::List) {
            faults.add(&raw.name, "« parts » ne va qu'à une colonne text ou list");
        }
        if let Some((codes, at)) = spec.codes.as_ref().and_then(|c| Some((c, c.at?)))
            && columns.get(at).is_none_or(|c| c.kind != ColumnType::Date)
        {
            faults.add(
                &raw.name,
                format!("le code {} est jugé à une colonne qui n'est pas une date", codes.table),
            );
        }
    }
    let partition = match raw.table.school_year_from.get_ref().as_str() {
        "delivery" => Partition::Delivery,
        _ => match find(&mut faults, &raw.table.school_year_from) {
            Some(i) => match columns.get(i).map(|c| c.kind) {
                Some(ColumnType::Date) => Partition::DateColumn(i),
                Some(ColumnType::AnneeScolaire) => Partition::YearColumn(i),
                _ => {
                    faults.add(
                        &raw.table.school_year_from,
                        "« delivery », ou une colonne de type date ou annee_scolaire",
                    );
                    Partition::Delivery
                }
            },
            None => Partition::Delivery,
        },
    };
    for key in &raw.table.key {
        if columns.iter().any(|c| &*c.name == key.get_ref() && c.kind == ColumnType::List) {
            faults.add(key, "une colonne à valeurs multiples ne peut pas servir de clé");
        }
    }
    if !(0.0..=1.0).contains(raw.gate.max_rejected_share.get_ref()) {
        faults.add(&raw.gate.max_rejected_share, "part de rejets : entre 0.0 et 1.0");
    }
    let severities = raw.column.iter().filter_map(|c| c.severity.as_ref());
    let severities =
        severities.chain(raw.column.iter().filter_map(|c| Some(&c.references.as_ref()?.severity)));
    for severity in severities.chain(raw.rule.iter().map(|r| &r.severity)) {
        if *severity.get_ref() == Severity::Refusal {
            faults.add(
                severity,
                "gravité : error, warning ou information ; le seuil [gate] refuse une livraison",
            );
        }
    }
    let rules = raw
        .rule
        .iter()
        .filter_map(|r| {
            let named = match crate::validate::sql_columns(r.sql.get_ref()) {
                Ok(named) => named,
                Err(reason) => {
                    faults.add(&r.sql, format!("expression SQL refusée : {reason}"));
                    return None;
                }
            };
            let mut used = Vec::new();
            for name in named {
                match columns.iter().position(|c| *c.name == *name) {
                    Some(i) if used.contains(&i) => {}
                    Some(i) => used.push(i),
                    None => faults.add(
                        &r.sql,
                        format!("colonne « {name} » absente du contrat ; colonnes : {}", names.join(", ")),
                    ),
                }
            }
            if let Some(i) =
                used.iter().find(|i| columns.get(**i).is_some_and(|c| c.kind == ColumnType::List))
            {
                let name = columns.get(*i).map_or("", |c| &*c.name);
                faults.add(
                    &r.sql,
                    format!("la colonne « {name} » est une liste : une règle ne peut pas la lire"),
                );
            }
            if faults.list.is_empty() {
                let specs: Vec<&ColumnSpec> = used.iter().filter_map(|i| columns.get(*i)).collect();
                if let Err(reason) = crate::validate::check_types(r.sql.get_ref(), &specs) {
                    faults.add(&r.sql, format!("expression SQL refusée : {reason}"));
                }
            }
            let column = match &r.column {
                Some(c) => find(&mut faults, c)?,
                None => used.first().copied()?,
            };
            Some(RuleSpec {
                name: r.name.get_ref().as_str().into(),
                sql: r.sql.get_ref().clone(),
                message: r.message.clone(),
                severity: *r.severity.get_ref(),
                column,
                columns: used,
            })
        })
        .collect();
    let overlaps = raw
        .overlap
        .iter()
        .filter_map(|o| {
            let mut typed = |name: &Spanned<String>, kind: ColumnType, french: &str| {
                let i = find(&mut faults, name)?;
                if columns.get(i).is_none_or(|c| c.kind != kind) {
                    faults.add(name, format!("colonne de type {french} attendue ici"));
                }
                Some(i)
            };
            let date = typed(&o.date, ColumnType::Date, "date")?;
            let from = typed(&o.from, ColumnType::Time, "time")?;
            let to = typed(&o.to, ColumnType::Time, "time")?;
            let only = o.only.iter().flatten().next();
            let only = only.and_then(|(c, v)| Some((names.iter().position(|n| n == c)?, v.clone())));
            Some(OverlapSpec {
                name: o.name.as_str().into(),
                by: o.by.iter().filter_map(|n| find(&mut faults, n)).collect(),
                date,
                from,
                to,
                only,
                message: o.message.clone(),
            })
        })
        .collect();
    let aggregates = raw
        .aggregate
        .iter()
        .map(|a| {
            if !plain_name(a.name.get_ref()) {
                faults.add(&a.name, "nom : lettres minuscules sans accent, chiffres, « _ » et « - »");
            }
            let mut all = |list: &[Spanned<String>], wanted: &[ColumnType], kind: &str| -> Vec<usize> {
                let found: Vec<(usize, &Spanned<String>)> =
                    list.iter().filter_map(|n| Some((find(&mut faults, n)?, n))).collect();
                for (i, name) in &found {
                    if !columns.get(*i).is_some_and(|c| {
                        wanted.iter().any(|w| std::mem::discriminant(w) == std::mem::discriminant(&c.kind))
                    }) {
                        faults.add(*name, format!("colonne de type {kind} attendue ici"));
                    }
                }
                found.into_iter().map(|(i, _)| i).collect()
            };
            AggregateSpec {
                name: a.name.get_ref().clone(),
                month_of: all(a.month_of.as_slice(), &[ColumnType::Date], "date").first().copied(),
                by: all(&a.by, &[ColumnType::Text], "text"),
                sum: all(
                    &a.sum,
                    &[ColumnType::Integer, ColumnType::Decimal { precision: 0, scale: 0 }],
                    "integer ou decimal",
                ),
                count_distinct: all(&a.count_distinct, &[ColumnType::Text], "text"),
            }
        })
        .collect();
    let mut events: Vec<EventSpec> = Vec::new();
    for section in &raw.event {
        let found = columns.iter().position(|c| &*c.name == section.column.get_ref());
        match found {
            Some(column) if columns.get(column).is_some_and(|c| c.kind == ColumnType::Date) => {
                if events.iter().any(|e| &e.event == section.name.get_ref()) {
                    faults.add(&section.name, "cet événement a déjà sa colonne");
                }
                events.push(EventSpec {
                    event: section.name.get_ref().clone(),
                    column,
                    empty_is_never: section.empty == EmptyEvent::Never,
                });
            }
            _ => faults
                .add(&section.column, "un événement se lit dans une colonne de type date de cette table"),
        }
    }
    let document = raw.table.document.as_ref().and_then(|name| {
        let found = columns.iter().position(|c| &*c.name == name.get_ref() && c.kind == ColumnType::Text);
        if found.is_none() {
            faults.add(name, "le type de document se lit dans une colonne de type text de cette table");
        }
        found
    });
    let mut visits = Vec::new();
    for (n, section) in raw.visits.iter().enumerate() {
        if !plain_name(section.name.get_ref()) {
            faults.add(&section.name, "nom : lettres minuscules sans accent, chiffres, « _ » et « - »");
        }
        let before = raw.visits.iter().take(n).map(|v| &v.name);
        if raw.aggregate.iter().map(|a| &a.name).chain(before).any(|o| o.get_ref() == section.name.get_ref())
        {
            faults
                .add(&section.name, "un autre agrégat porte ce nom : ils s'écriraient dans le même fichier");
        }
        if !(1..=1440).contains(section.gap_minutes.get_ref()) {
            faults.add(&section.gap_minutes, "durée sans nouvelle page : entre 1 et 1440 minutes");
        }
        let text = |faults: &mut Faults<'_>, name: &Spanned<String>| {
            let found = find(faults, name);
            if found.and_then(|i| columns.get(i)).is_some_and(|c| c.kind != ColumnType::Text) {
                faults.add(name, "colonne de type text attendue ici");
            }
            found
        };
        let (at, visitor) = (text(&mut faults, &section.at), text(&mut faults, &section.visitor));
        for (name, i) in [(&section.at, at), (&section.visitor, visitor)] {
            if i.and_then(|i| columns.get(i)).is_some_and(|c| !c.required || c.optional) {
                faults.add(
                    name,
                    "colonne « required », et non « optional », attendue ici : sans elle, pas de page vue",
                );
            }
        }
        if at.is_some() && at == visitor {
            faults.add(&section.visitor, "l'instant et le visiteur sont deux colonnes");
        }
        let mut by: Vec<usize> = Vec::new();
        for name in &section.by {
            let Some(i) = text(&mut faults, name) else { continue };
            if by.contains(&i) || [at, visitor].contains(&Some(i)) {
                faults.add(name, "colonne déjà employée dans cette section");
            }
            if VISIT_COLUMNS.contains(&name.get_ref().as_str()) {
                faults.add(name, format!("nom pris par le résultat : {}", VISIT_COLUMNS.join(", ")));
            }
            if columns.get(i).is_some_and(|c| matches!(c.personal, Personal::Direct | Personal::Sensitive)) {
                faults.add(name, "une colonne personnelle « direct » ou « sensitive » ne fait pas un groupe");
            }
            by.push(i);
        }
        if let (Some(at), Some(visitor)) = (at, visitor) {
            visits.push(VisitsSpec {
                name: section.name.get_ref().clone(),
                at,
                visitor,
                by,
                gap_minutes: *section.gap_minutes.get_ref(),
            });
        }
    }
    if !faults.list.is_empty() {
        return Err(Error::Config(faults.list));
    }
    Ok(Contract {
        name: raw.table.name.into_inner(),
        title: raw.table.title,
        description: raw.table.description,
        source: raw.table.source,
        record_class: raw.table.record_class.into_inner(),
        key,
        input: Input { format, file_name, file_date: raw.input.file_date, encoding, unpivot },
        partition,
        snapshot: raw.table.delivery == DeliveryMode::Complete,
        max_rejected_share: raw.gate.max_rejected_share.into_inner(),
        columns,
        rules,
        overlaps,
        aggregates,
        visits,
        events,
        document,
    })
}
