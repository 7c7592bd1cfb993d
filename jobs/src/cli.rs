//! The command line, and its help in French.

use chrono::NaiveDate;
use clap::builder::styling::Styles;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const TEMPLATE: &str = "{about-with-newline}\nUsage : {usage}\n\n{all-args}{after-help}";

const AFTER: &str = "Codes de sortie : 0 fait ; 1 échec ; 2 usage ou configuration ; 3 enregistrements en quarantaine \
(avec --fail-on-quarantine) ; 4 refus d'un contrôle ; 10 pas d'entrepôt ; 11 entrepôt occupé ; 130 interrompu.";

/// Gouvernance et archivage des données d'éducation : ingestion, contrôle, données ouvertes, sort final, SEDA.
#[derive(Parser)]
#[command(name = "cartulaire", version, help_template = TEMPLATE, after_help = AFTER, disable_help_subcommand = true, subcommand_help_heading = "Commandes\u{a0}", subcommand_value_name = "COMMANDE", next_help_heading = "Options\u{a0}", propagate_version = false, disable_version_flag = true)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
    /// Affiche la version
    #[arg(long, short = 'V', action = ArgAction::Version)]
    version: Option<bool>,
}

#[derive(Args)]
pub struct Common {
    /// Fichier de configuration (par défaut : cartulaire.toml du dossier courant)
    #[arg(long, global = true, value_name = "FICHIER")]
    pub config: Option<PathBuf>,
    /// Dossier de l'entrepôt (prime sur la configuration)
    #[arg(long, global = true, value_name = "DOSSIER")]
    pub store: Option<PathBuf>,
    /// Écrit un seul document JSON sur la sortie standard
    #[arg(long, global = true)]
    pub json: bool,
    /// N'écrit que les erreurs
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Pas de barre de progression
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// Fils d'exécution (par défaut : 2) ; le résultat n'en dépend pas
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Crée un entrepôt vide
    Init,
    /// Vérifie configuration, contrats, règles, profils et tâches, en une passe
    Check,
    /// Exécute une tâche ; `run nightly` est la tâche principale
    Run {
        /// Nom de la tâche
        #[arg(value_name = "TÂCHE")]
        job: String,
        #[command(flatten)]
        date: DateArg,
        /// Dit ce qui serait fait, sans rien changer
        #[arg(long)]
        dry_run: bool,
        /// Termine avec le code 3 si des enregistrements sont en quarantaine
        #[arg(long)]
        fail_on_quarantine: bool,
    },
    /// Dit ce qu'une exécution ferait, pourquoi, et les prochaines dates prévues
    Plan {
        /// Nom de la tâche
        #[arg(value_name = "TÂCHE")]
        job: String,
        #[command(flatten)]
        date: DateArg,
    },
    /// Fait entrer une livraison dans l'entrepôt
    Ingest {
        /// Source : ent, scope, dnma, crdc, ou le nom d'un contrat
        source: String,
        /// Fichiers de la livraison
        #[arg(required = true, value_name = "FICHIER")]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        date: DateArg,
    },
    /// Contrôle une livraison sans entrepôt
    Validate(ValidateArgs),
    /// Nomenclatures (BCN) : éditions datées
    #[command(subcommand, subcommand_help_heading = "Commandes\u{a0}", subcommand_value_name = "COMMANDE")]
    Bcn(Bcn),
    /// Enregistrements mis de côté : liste, détail, nouveau jugement
    #[command(subcommand, subcommand_help_heading = "Commandes\u{a0}", subcommand_value_name = "COMMANDE")]
    Quarantine(Quarantine),
    /// Contrats d'interface : schémas et dictionnaire
    #[command(subcommand, subcommand_help_heading = "Commandes\u{a0}", subcommand_value_name = "COMMANDE")]
    Contract(ContractCommand),
    /// Produit un jeu de données ouvertes
    Extract {
        /// Nom du jeu
        #[arg(value_name = "JEU")]
        dataset: String,
        #[command(flatten)]
        date: DateArg,
        /// Écrit le paquet dans ce dossier, sans publier dans l'entrepôt
        #[arg(long, value_name = "DOSSIER")]
        out: Option<PathBuf>,
    },
    /// Sort final : simulation
    #[command(subcommand, subcommand_help_heading = "Commandes\u{a0}", subcommand_value_name = "COMMANDE")]
    Retention(Retention),
    /// Listes d'élimination (rien n'est supprimé)
    #[command(subcommand, subcommand_help_heading = "Commandes\u{a0}", subcommand_value_name = "COMMANDE")]
    Elimination(Elimination),
    /// Paquets SEDA
    #[command(subcommand, subcommand_help_heading = "Commandes\u{a0}", subcommand_value_name = "COMMANDE")]
    Seda(Seda),
    /// Journal chaîné
    #[command(subcommand, subcommand_help_heading = "Commandes\u{a0}", subcommand_value_name = "COMMANDE")]
    Journal(Journal),
    /// État de l'entrepôt
    Status,
    /// Exécutions passées
    History,
    /// Planificateur : exécute les tâches à leur heure
    Serve,
    /// Complétion pour l'interpréteur de commandes
    Completions {
        /// bash, elvish, fish, powershell ou zsh
        #[arg(value_name = "INTERPRÉTEUR", hide_possible_values = true)]
        shell: clap_complete::Shell,
    },
}

#[derive(Args)]
pub struct DateArg {
    /// Date logique aaaa-mm-jj (par défaut : aujourd'hui à Paris)
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    pub date: Option<NaiveDate>,
}

#[derive(Args)]
pub struct ValidateArgs {
    /// Source : ent, scope, dnma, crdc, ou le nom d'un contrat
    pub source: String,
    /// Fichiers à contrôler
    #[arg(required = true, value_name = "FICHIER")]
    pub paths: Vec<PathBuf>,
    /// Contrat à employer au lieu de ceux de la source
    #[arg(long, value_name = "FICHIER")]
    pub contract: Option<PathBuf>,
    /// Dossier des tables BCN
    #[arg(long, value_name = "DOSSIER")]
    pub bcn: Option<PathBuf>,
    /// Écrit le rapport (index.html et report.json) dans ce dossier
    #[arg(long, value_name = "DOSSIER")]
    pub report: Option<PathBuf>,
    /// Écrit les enregistrements acceptés et rejetés en Parquet dans ce dossier
    #[arg(long, value_name = "DOSSIER")]
    pub out: Option<PathBuf>,
    /// Constats détaillés au plus (par défaut : 1000) ; les comptes sont toujours complets
    #[arg(long, default_value_t = 1000, hide_default_value = true, value_name = "N")]
    pub max_findings: usize,
    #[command(flatten)]
    pub date: DateArg,
}

#[derive(Subcommand)]
pub enum Bcn {
    /// Importe les tables d'un dossier comme nouvelle édition
    Import {
        /// Dossier des exports de la BCN
        #[arg(value_name = "DOSSIER")]
        folder: PathBuf,
        #[command(flatten)]
        date: DateArg,
    },
    /// Dit ce qui a ouvert, fermé ou changé entre les deux dernières éditions
    Diff {
        /// Table (par défaut : toutes celles qui ont deux éditions)
        #[arg(value_name = "TABLE")]
        table: Option<String>,
        /// Compare deux dossiers au lieu des éditions de l'entrepôt : l'ancien
        #[arg(long, value_name = "DOSSIER", requires = "new")]
        old: Option<PathBuf>,
        /// Le nouveau dossier
        #[arg(long, value_name = "DOSSIER", requires = "old")]
        new: Option<PathBuf>,
    },
    /// Montre un code : libellés, périodes, successeurs, validité à une date
    Show {
        /// Table, par exemple N_MEF
        #[arg(value_name = "TABLE")]
        table: String,
        /// Code
        #[arg(value_name = "CODE")]
        code: String,
        #[command(flatten)]
        date: DateArg,
    },
}

#[derive(Subcommand)]
pub enum Quarantine {
    /// Quarantaines de l'entrepôt : livraison, table, enregistrements, codes
    List,
    /// Enregistrements en quarantaine d'une livraison : place, colonnes, codes ; jamais les valeurs
    Show {
        /// Livraison (début de son identifiant)
        #[arg(value_name = "LIVRAISON")]
        delivery: String,
        /// Enregistrements montrés au plus
        #[arg(long, default_value_t = 100, value_name = "N")]
        max: usize,
    },
    /// Juge de nouveau ce qui est en quarantaine, avec les contrats et nomenclatures du jour
    Replay {
        /// Livraison (par défaut : toutes)
        #[arg(value_name = "LIVRAISON")]
        delivery: Option<String>,
        #[command(flatten)]
        date: DateArg,
    },
}

#[derive(Subcommand)]
pub enum ContractCommand {
    /// Écrit le contrat d'une table sous une forme que d'autres outils lisent
    Export {
        /// Table
        #[arg(value_name = "TABLE")]
        table: String,
        /// table-schema, json-schema ou dictionary (page HTML en français)
        #[arg(long = "as", value_name = "FORME", hide_possible_values = true)]
        form: ContractForm,
        /// Fichier à écrire (par défaut : la sortie standard)
        #[arg(long, value_name = "FICHIER")]
        out: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ContractForm {
    TableSchema,
    JsonSchema,
    Dictionary,
}

#[derive(Subcommand)]
pub enum Retention {
    /// Ce que les règles disent de tous les enregistrements à une date
    Simulate {
        /// Date de la simulation aaaa-mm-jj
        #[arg(long, value_name = "DATE", value_parser = parse_date)]
        as_of: NaiveDate,
        /// Regroupement : class (classe) ou year (année scolaire)
        #[arg(long, value_name = "CRITÈRE", hide_possible_values = true)]
        group_by: Vec<GroupBy>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GroupBy {
    Class,
    Year,
}

#[derive(Subcommand)]
pub enum Elimination {
    /// Propose la liste des enregistrements éliminables
    Propose {
        #[command(flatten)]
        date: DateArg,
    },
    /// Listes connues
    List,
    /// Copie une liste (JSON, Parquet, bordereau) hors de l'entrepôt
    Export {
        /// Identifiant de la liste
        #[arg(value_name = "LISTE")]
        id: String,
        /// Dossier de destination
        #[arg(long, value_name = "DOSSIER")]
        out: PathBuf,
    },
}

#[derive(Subcommand)]
pub enum Seda {
    /// Empaquette ce qui est à conserver et ne l'est pas encore
    Pack {
        #[command(flatten)]
        date: DateArg,
    },
}

#[derive(Subcommand)]
pub enum Journal {
    /// Vérifie la chaîne du journal et ses copies
    Verify,
}

fn parse_date(text: &str) -> Result<NaiveDate, String> {
    cartulaire_engine::domain::DateFormat::Iso
        .parse(text)
        .ok_or_else(|| "date réelle aaaa-mm-jj attendue".into())
}

/// The command as clap knows it, with a French help flag everywhere.
pub fn command() -> clap::Command {
    fn french(command: clap::Command) -> clap::Command {
        let help = clap::Arg::new("help")
            .short('h')
            .long("help")
            .action(ArgAction::Help)
            .help("Affiche cette aide")
            .help_heading("Options\u{a0}");
        let command =
            command.disable_help_flag(true).help_template(TEMPLATE).styles(Styles::plain()).arg(help);
        command.mut_subcommands(french).mut_args(|a| {
            if a.is_positional() {
                a.help_heading("Arguments\u{a0}")
            } else {
                a.help_heading("Options\u{a0}")
            }
        })
    }
    french(Cli::command())
}

/// Reads the arguments.
///
/// # Errors
/// A clap error: help and version asked for are errors too, with exit code 0.
pub fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Cli, clap::Error> {
    command().try_get_matches_from(args).and_then(|m| Cli::from_arg_matches(&m))
}

/// What was wrong in the arguments, in French.
pub fn explain(e: &clap::Error) -> String {
    let get = |kind| match e.get(kind) {
        Some(ContextValue::String(s)) => s.clone(),
        Some(ContextValue::Strings(s)) => s.join(", "),
        _ => String::new(),
    };
    let argument = get(ContextKind::InvalidArg);
    let value = get(ContextKind::InvalidValue);
    let hint = match (
        get(ContextKind::SuggestedArg),
        get(ContextKind::SuggestedSubcommand),
        get(ContextKind::ValidValue),
        get(ContextKind::ValidSubcommand),
    ) {
        (s, _, _, _) | (_, s, _, _) if !s.is_empty() => format!(" ; vouliez-vous dire « {s} » ?"),
        (_, _, v, _) | (_, _, _, v) if !v.is_empty() => format!(" ; admis : {v}"),
        _ => String::new(),
    };
    let what = match e.kind() {
        ErrorKind::UnknownArgument => format!("argument inconnu « {argument} »"),
        ErrorKind::InvalidSubcommand => {
            format!("commande inconnue « {} »", get(ContextKind::InvalidSubcommand))
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "il manque une commande".to_owned()
        }
        ErrorKind::MissingRequiredArgument => format!("il manque : {argument}"),
        ErrorKind::InvalidValue if value.is_empty() => format!("il manque la valeur de « {argument} »"),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            format!("valeur « {value} » refusée pour « {argument} »")
        }
        ErrorKind::ArgumentConflict => {
            format!("« {argument} » est donné deux fois, ou ne va pas avec un autre argument")
        }
        _ => "arguments non compris".to_owned(),
    };
    let why = std::error::Error::source(e).map(|s| format!(" : {s}")).unwrap_or_default();
    format!("{what}{why}{hint}\nAide : cartulaire --help")
}
