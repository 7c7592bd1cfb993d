//! Each command: read what it needs, ask the engine, show the answer.

use crate::cli::{Cli, Command, ContractCommand, ContractForm, Elimination, Journal, Seda, SedaReply};
use crate::config::Config;
use crate::exit;
use crate::job::Job;
use crate::output::{Shown, steps_table, table};
use crate::runner::{Order, Outcome, execute, next_run, open_store_existing, today};
use crate::{archive, deposit, serve, validate};
use cartulaire_engine::contract::{dictionary_page, json_schema, table_schema};
use cartulaire_engine::elimination::second;
use cartulaire_engine::error::{Error, IoContext, Result};
use cartulaire_engine::french::thousands;
use cartulaire_engine::journal;
use cartulaire_engine::receive::{inbox_files, news, recognise};
use cartulaire_engine::store::Store;
use cartulaire_engine::validate::missing_tables;
use chrono::{NaiveDate, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Runs a command; its exit code.
pub fn dispatch(cli: &Cli) -> Result<u8> {
    let common = &cli.common;
    let shown = Shown::new(common.json, common.quiet, common.no_progress);
    if let Command::Completions { shell } = &cli.command {
        clap_complete::generate(*shell, &mut crate::cli::command(), "cartulaire", &mut std::io::stdout());
        return Ok(exit::DONE);
    }
    let config = Config::load(common.config.as_deref(), common.store.as_deref(), common.threads)?;
    match &cli.command {
        Command::Init => init(&config, &shown),
        Command::Check => check(&config, &shown),
        Command::Run { job, date, dry_run: true, .. } => plan(&config, job, date.date, &shown),
        Command::Run { job, date, fail_on_quarantine, .. } => {
            run(&config, job, date.date, *fail_on_quarantine, &shown)
        }
        Command::Plan { job, date } => plan(&config, job, date.date, &shown),
        Command::Ingest { source, paths, date } => ingest(&config, source, paths, date.date, &shown),
        Command::Validate(args) => validate::run(&config, args, &shown),
        Command::Bcn(command) => crate::bcn::run(&config, command, &shown),
        Command::Quarantine(command) => crate::quarantine::run(&config, command, &shown),
        Command::Contract(ContractCommand::Export { table, form, out }) => {
            contract_export(&config, table, *form, out.as_deref(), &shown)
        }
        Command::Publish(args) => crate::portal::run(&config, args, &shown),
        Command::Extract(args) => crate::extract::run(&config, args, &shown),
        Command::Retention(command) => crate::retention::run(&config, command, &shown),
        Command::Tri(command) => crate::tri::run(&config, command, &shown),
        Command::Person(command) => crate::person::run(&config, command, &shown),
        Command::Hold(command) => crate::hold::run(&config, command, &shown),
        Command::Elimination(Elimination::Propose { id: Some(id), by: Some(by), key, date }) => {
            let key = crate::elimination::own_key(key.as_deref())?;
            crate::elimination::act(&config, id, date.date, &shown, |desk| desk.propose(id, by, key.as_ref()))
        }
        Command::Elimination(Elimination::Propose { date, .. }) => {
            let store = Store::open(&config.store)?;
            if let Some(waiting) = second::waiting(&store, &config.rulebook()?.referential)? {
                return Err(waiting.refusal().into());
            }
            drop(store);
            single_step(&config, "elimination-propose", "elimination", date.date, &shown)
        }
        Command::Elimination(command) => crate::elimination::run(&config, command, &shown),
        Command::Seda(Seda::Pack { date }) => single_step(&config, "seda-pack", "package", date.date, &shown),
        Command::Seda(Seda::Check(args)) => crate::seda::check(&config, args, &shown),
        Command::Seda(Seda::List) => archive::list(&config, &shown),
        Command::Seda(Seda::Reply(SedaReply::Import { file, date })) => {
            archive::reply(&config, file, date.date, &shown)
        }
        Command::Seda(Seda::Destruction(args)) => archive::destruction(&config, args, &shown),
        Command::Seda(Seda::Deposit { sips, date }) => deposit::run(&config, sips, date.date, &shown),
        Command::Seda(Seda::Resolve(args)) => deposit::resolve(&config, args, &shown),
        Command::Seda(Seda::Rng { class, out }) => crate::seda::rng(&config, class, out.as_deref(), &shown),
        Command::Journal(Journal::Verify) => verify(&config, &shown),
        Command::Status => status(&config, &shown),
        Command::History => history(&config, &shown),
        Command::Serve => serve::serve(&config, &shown),
        Command::Completions { .. } => Ok(exit::DONE),
    }
}

fn contract_export(
    config: &Config,
    name: &str,
    form: ContractForm,
    out: Option<&Path>,
    shown: &Shown,
) -> Result<u8> {
    let contracts = config.contracts()?;
    let Some(contract) = contracts.iter().find(|c| c.name == name) else {
        let known: Vec<&str> = contracts.iter().map(|c| c.name.as_str()).collect();
        return Err(Error::Usage(format!("contrat inconnu « {name} » ; contrats : {}", known.join(", "))));
    };
    let pretty = |v: Value| format!("{v:#}\n");
    let text = match form {
        ContractForm::TableSchema => pretty(table_schema(contract)),
        ContractForm::JsonSchema => pretty(json_schema(contract)),
        ContractForm::Dictionary => dictionary_page(contract)?,
    };
    shown.deliver(out, &text)?;
    Ok(exit::DONE)
}

fn init(config: &Config, shown: &Shown) -> Result<u8> {
    let existed = config.store.join("ledger.sqlite").exists();
    drop(Store::create(&config.store)?);
    let place = config.store.display();
    shown.document(&json!({"store": place.to_string(), "created": !existed}));
    shown.say(&if existed {
        format!("L'entrepôt « {place} » existe déjà.")
    } else {
        format!("Entrepôt créé dans « {place} ».")
    });
    Ok(exit::DONE)
}

fn check(config: &Config, shown: &Shown) -> Result<u8> {
    match config.rulebook() {
        Ok(book) => {
            let unverified: Vec<&str> = book
                .referential
                .rules
                .iter()
                .filter(|r| r.verified.is_none())
                .map(|r| r.id.as_str())
                .collect();
            let conventions: Vec<Vec<String>> = book
                .contracts
                .iter()
                .map(|c| {
                    vec![
                        c.name.clone(),
                        c.input.file_name.as_ref().map_or("(tout nom)".into(), |p| {
                            p.as_str().trim_start_matches("^(?:").trim_end_matches(")$").to_owned()
                        }),
                    ]
                })
                .collect();
            let mut missing: Vec<&str> =
                book.contracts.iter().flat_map(|c| missing_tables(c, &book.nomenclatures)).collect();
            missing.sort_unstable();
            missing.dedup();
            let editions: Vec<String> = book
                .nomenclatures
                .editions()
                .map(|(n, t)| format!("{n} : {} codes ({})", thousands(t.len() as i64), t.file))
                .collect();
            shown.document(&json!({"verdict": "ok", "findings": [], "contracts": book.contracts.len(), "rules": book.referential.rules.len(), "unverified_rules": unverified, "datasets": book.datasets.len(), "missing_nomenclatures": missing}));
            shown.say(&format!(
                "Configuration valide : {} contrats, {} règles, {} jeux de données.\nRègles non vérifiées (elles gardent, n'éliminent ni ne versent) : {}\nNomenclatures : {}\nNomenclatures manquantes (les livraisons qui en ont besoin attendront) : {}\n\n{}",
                book.contracts.len(),
                book.referential.rules.len(),
                book.datasets.len(),
                if unverified.is_empty() { "aucune".into() } else { unverified.join(", ") },
                if editions.is_empty() { "aucune".into() } else { editions.join(" ; ") },
                if missing.is_empty() { "aucune".into() } else { missing.join(", ") },
                table(&["table", "nom des fichiers attendus"], &conventions, &[])
            ));
            Ok(exit::DONE)
        }
        Err(Error::Config(faults)) => {
            shown.document(&json!({"verdict": "refused", "findings": faults}));
            Err(Error::Config(faults))
        }
        Err(e) => Err(e),
    }
}

fn job(config: &Config, name: &str) -> Result<Job> {
    let jobs = config.jobs()?;
    let names: Vec<String> = jobs.iter().map(|j| j.name.clone()).collect();
    jobs.into_iter()
        .find(|j| j.name == name)
        .ok_or_else(|| Error::Usage(format!("tâche inconnue « {name} » ; tâches : {}", names.join(", "))))
}

pub fn inbox(config: &Config, job: &Job) -> Result<Vec<PathBuf>> {
    match &config.inbox {
        Some(folder) => {
            let real = |p: &Path| p.canonicalize().unwrap_or_else(|_| p.to_path_buf());
            let (inbox, store) = (real(folder), real(&config.store));
            if inbox.starts_with(&store) || store.starts_with(&inbox) {
                return Err(Error::Usage(
                    "le dossier de réception et l'entrepôt sont l'un dans l'autre : séparez-les".into(),
                ));
            }
            inbox_files(folder)
        }
        None if job.steps.iter().any(|s| s == "receive") => Err(Error::Usage(
            "la tâche reçoit des livraisons : donnez [inbox] path dans la configuration".into(),
        )),
        None => Ok(Vec::new()),
    }
}

/// Shows what a run did.
pub fn show_outcome(outcome: &Outcome, config: &Config, shown: &Shown) {
    shown.document(&outcome.json());
    if outcome.nothing_to_do {
        shown.say(&format!(
            "Rien à faire : {} est {}, et aucun nouveau fichier n'est arrivé.",
            outcome.run.id,
            french_status(&outcome.run.status)
        ));
        return;
    }
    shown.say(&format!(
        "Exécution {} dans « {} »\n\n{}\n",
        outcome.run.id,
        config.store.display(),
        steps_table(&outcome.steps)
    ));
    for step in outcome.steps.iter().filter(|s| !s.detail.is_empty()) {
        shown.say(&format!(
            "{} : {}",
            crate::output::french_step(&step.name),
            step.detail.replace('\n', "\n    ")
        ));
    }
}

fn run(
    config: &Config,
    name: &str,
    date: Option<NaiveDate>,
    fail_on_quarantine: bool,
    shown: &Shown,
) -> Result<u8> {
    let job = job(config, name)?;
    let order = Order {
        job: name,
        date: date.unwrap_or_else(today),
        steps: job.steps.clone(),
        inbox: inbox(config, &job)?,
        always: false,
        resume: true,
    };
    let outcome = execute(config, &config.rulebook()?, &order, shown)?;
    show_outcome(&outcome, config, shown);
    let quarantined = outcome.steps.iter().any(|s| s.name == "ingest" && s.rejected > 0);
    Ok(match exit_of(&outcome) {
        exit::DONE if fail_on_quarantine && quarantined => exit::QUARANTINE,
        code => code,
    })
}

fn plan(config: &Config, name: &str, date: Option<NaiveDate>, shown: &Shown) -> Result<u8> {
    let job = job(config, name)?;
    let book = config.rulebook()?;
    let order = Order {
        job: name,
        date: date.unwrap_or_else(today),
        steps: job.steps.clone(),
        inbox: inbox(config, &job)?,
        always: false,
        resume: true,
    };
    let next: Vec<String> = job
        .next(Utc::now().with_timezone(&job.timezone), 10)
        .iter()
        .map(|t| t.format("%Y-%m-%dT%H:%M:%S%:z").to_string())
        .collect();
    let (run_id, steps, arrivals, why) = match Store::open(&config.store) {
        Err(Error::NoStore(_)) if config.create_store => {
            let names =
                order.inbox.iter().map(|p| p.file_name().unwrap_or_default().to_string_lossy().into_owned());
            (
                Some(format!("{name}-{}", order.date)),
                job.steps.clone(),
                names.collect(),
                "l'entrepôt sera créé",
            )
        }
        Err(e) => return Err(e),
        Ok(store) => {
            let arrivals = news(&store, &order.inbox, &book.contracts)?;
            let (row, last) = next_run(&store, &book, &order)?;
            let done = row.as_ref().map(|r| store.ledger.steps(&r.id)).transpose()?.unwrap_or_default();
            let steps = job
                .steps
                .iter()
                .filter(|s| row.is_some() && !done.iter().any(|d| d.name == **s))
                .cloned()
                .collect();
            let why = match (&row, &last) {
                (None, _) => "la date est terminée et aucun nouveau fichier n'est arrivé",
                (Some(r), Some(l)) if r.id == l.id => {
                    "l'exécution a été interrompue : elle reprendra où elle en était"
                }
                (Some(_), Some(_)) => "de nouveaux fichiers sont arrivés après la fin de l'exécution",
                (Some(_), None) => "aucune exécution pour cette date",
            };
            (row.map(|r| r.id), steps, arrivals, why)
        }
    };
    shown.document(&json!({"job": name, "date": order.date.to_string(), "run_id": run_id, "reason": why, "steps": steps, "new_files": arrivals, "next_planned": next}));
    let todo: Vec<&str> = steps.iter().map(|s| crate::output::french_step(s)).collect();
    shown.say(&format!(
        "{} au {} : {why}.\nÉtapes à faire : {}\nNouveaux fichiers : {}\nProchaines dates prévues :\n  {}",
        job.title,
        order.date.format("%d/%m/%Y"),
        if todo.is_empty() { "aucune".into() } else { todo.join(", ") },
        if arrivals.is_empty() {
            "aucun".into()
        } else {
            format!("{}\n  {}", arrivals.len(), arrivals.join("\n  "))
        },
        next.join("\n  ")
    ));
    Ok(exit::DONE)
}

fn ingest(
    config: &Config,
    source: &str,
    paths: &[PathBuf],
    date: Option<NaiveDate>,
    shown: &Shown,
) -> Result<u8> {
    let book = config.rulebook()?;
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        std::fs::metadata(path).at(path)?;
        if let Some(contract) = recognise(&book.contracts, &name).and_then(|(i, _, _)| book.contracts.get(i))
            && contract.source != source
            && contract.name != source
            && !contract.is_of_form(source)
        {
            return Err(Error::Usage(format!(
                "« {name} » est un fichier de la source « {} », pas de « {source} »",
                contract.source
            )));
        }
    }
    if !book.contracts.iter().any(|c| c.source == source || c.name == source || c.is_of_form(source)) {
        return Err(Error::Usage(format!("source inconnue « {source} »")));
    }
    let steps = vec!["receive".to_owned(), "ingest".to_owned()];
    let order = Order {
        job: "ingest",
        date: date.unwrap_or_else(today),
        steps,
        inbox: paths.to_vec(),
        always: false,
        resume: false,
    };
    let outcome = execute(config, &book, &order, shown)?;
    show_outcome(&outcome, config, shown);
    let refused = outcome.steps.iter().any(|s| s.name == "receive" && s.rejected > 0);
    Ok(if outcome.run.status == "gated" || refused { exit::REFUSED } else { exit::DONE })
}

/// A gate or an audit that refused something is told by the exit code.
/// Exit code of a run.
pub fn exit_of(outcome: &Outcome) -> u8 {
    if outcome.run.status == "gated" { exit::REFUSED } else { exit::DONE }
}

fn single_step(
    config: &Config,
    name: &str,
    step: &str,
    date: Option<NaiveDate>,
    shown: &Shown,
) -> Result<u8> {
    drop(Store::open(&config.store)?);
    let order = Order {
        job: name,
        date: date.unwrap_or_else(today),
        steps: vec![step.to_owned()],
        inbox: Vec::new(),
        always: true,
        resume: false,
    };
    let outcome = execute(config, &config.rulebook()?, &order, shown)?;
    show_outcome(&outcome, config, shown);
    Ok(exit_of(&outcome))
}

fn verify(config: &Config, shown: &Shown) -> Result<u8> {
    // Copies that a crash left behind the ledger are brought up to date first.
    let store = open_store_existing(config)?;
    let result = journal::verify(&store)?;
    shown.document(&json!(result));
    shown.say(&match result.first_broken {
        None => format!("Journal intact : {} entrées, tête {}", result.entries, result.head),
        Some(seq) => format!("Journal rompu à l'entrée n° {seq} sur {} : comparez avec une sauvegarde, ne reprenez pas les exécutions", result.entries),
    });
    Ok(if result.first_broken.is_none() { exit::DONE } else { exit::REFUSED })
}

fn status(config: &Config, shown: &Shown) -> Result<u8> {
    let store = open_store_existing(config)?;
    let ledger = &store.ledger;
    let last = ledger.last_run()?;
    let snapshots = ledger.snapshots("")?;
    let mut tables: BTreeMap<(String, String), i64> = BTreeMap::new();
    for s in &snapshots {
        *tables.entry((s.table_name.clone(), s.annee_scolaire.clone())).or_default() += s.rows;
    }
    let (pending, lists, sips, publications) =
        (ledger.pending()?, ledger.lists()?, ledger.sips()?, ledger.publications()?);
    let run_json = last
        .as_ref()
        .map(|r| json!({"run_id": r.id, "job": r.job, "date": r.logical_date, "status": r.status}));
    let tables_json: Vec<Value> =
        tables.iter().map(|((t, y), n)| json!({"table": t, "annee_scolaire": y, "rows": n})).collect();
    shown.document(&json!({"store": config.store.display().to_string(), "last_run": run_json, "tables": tables_json, "pending_deliveries": pending.len(), "elimination_lists": lists.len(), "sips": sips.len(), "publications": publications.len()}));
    let rows: Vec<Vec<String>> =
        tables.iter().map(|((t, y), n)| vec![t.clone(), y.clone(), thousands(*n)]).collect();
    shown.say(&format!(
        "Entrepôt « {} »\nDernière exécution : {}\nLivraisons en attente : {} ; listes d'élimination : {} ; paquets SEDA : {} ; publications : {}\n\n{}",
        config.store.display(),
        last.map_or("aucune".into(), |r| format!("{} ({})", r.id, french_status(&r.status))),
        pending.len(),
        lists.len(),
        sips.len(),
        publications.len(),
        table(&["table", "année scolaire", "enregistrements"], &rows, &[2])
    ));
    Ok(exit::DONE)
}

pub fn french_status(status: &str) -> &'static str {
    match status {
        "ok" => "terminée",
        "gated" => "terminée, avec un refus",
        "failed" => "échouée",
        _ => "interrompue",
    }
}

fn history(config: &Config, shown: &Shown) -> Result<u8> {
    let store = open_store_existing(config)?;
    let (mut json, mut rows) = (Vec::new(), Vec::new());
    for run in store.ledger.runs("", None)? {
        let (start, end) = store.ledger.last_attempt(&run.id)?.unwrap_or_default();
        let steps = store.ledger.steps(&run.id)?;
        rows.push(vec![
            run.id.clone(),
            run.logical_date.clone(),
            french_status(&run.status).into(),
            start.clone(),
            end.clone().unwrap_or_default(),
        ]);
        let outcome = Outcome { run, steps, nothing_to_do: false };
        let mut document = outcome.json();
        if let Some(fields) = document.as_object_mut() {
            fields.insert("started_at".into(), json!(start));
            fields.insert("ended_at".into(), json!(end));
        }
        json.push(document);
    }
    shown.document(&json!({"runs": json}));
    shown.say(&table(&["exécution", "date", "état", "début (UTC)", "fin (UTC)"], &rows, &[]));
    Ok(exit::DONE)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        crate::cli::command().debug_assert();
    }
}
