//! The command line, and its help in French.

use chrono::NaiveDate;
use clap::builder::styling::Styles;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

use crate::portal::Kind;

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
    /// Produit un jeu de données ouvertes ; contrôle un paquet publié
    #[command(
        args_conflicts_with_subcommands = true,
        subcommand_negates_reqs = true,
        subcommand_help_heading = "Commandes\u{a0}",
        subcommand_value_name = "COMMANDE"
    )]
    Extract(ExtractArgs),
    /// Porte la dernière version d'un jeu sur un portail ; sans --yes, dit ce qui serait fait
    Publish(PublishArgs),
    /// Sort final : simulation, explication, règles
    #[command(subcommand, subcommand_help_heading = "Commandes\u{a0}", subcommand_value_name = "COMMANDE")]
    Retention(Retention),
    /// Tri : population enregistrée, tirage, vérification
    #[command(subcommand, subcommand_help_heading = "Commandes\u{a0}", subcommand_value_name = "COMMANDE")]
    Tri(Tri),
    /// Droits des personnes : tout ce que l'entrepôt contient d'une personne
    #[command(subcommand, subcommand_help_heading = "Commandes\u{a0}", subcommand_value_name = "COMMANDE")]
    Person(Person),
    /// Gels : ce qui ne s'élimine pas
    #[command(subcommand, subcommand_help_heading = "Commandes\u{a0}", subcommand_value_name = "COMMANDE")]
    Hold(Hold),
    /// Éliminations : liste, signatures, visa, exécution, attestation
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
        /// Regroupement : class (classe), year (année scolaire), producer (producteur) ou due-year (année d'échéance)
        #[arg(long, value_name = "CRITÈRE", hide_possible_values = true)]
        group_by: Vec<GroupBy>,
    },
    /// Raconte le sort d'un enregistrement : règles, événements, échéance, gels, décision
    Explain {
        /// Nom de l'enregistrement : LIVRAISON/FICHIER#NUMÉRO
        #[arg(value_name = "ENREGISTREMENT")]
        record: String,
        /// Table, quand ce nom est dans plusieurs
        #[arg(long, value_name = "TABLE")]
        table: Option<String>,
        #[command(flatten)]
        date: DateArg,
    },
    /// Référentiels de règles : contrôle, comparaison
    #[command(subcommand, subcommand_help_heading = "Commandes\u{a0}", subcommand_value_name = "COMMANDE")]
    Rules(RulesCommand),
}

#[derive(Subcommand)]
pub enum RulesCommand {
    /// Contrôle des règles : fichier ou dossier TOML (les nôtres), fichier CSV (forme de Vitam)
    Check {
        /// Fichier ou dossier
        #[arg(value_name = "FICHIER")]
        file: PathBuf,
    },
    /// Dit ce qui change d'un référentiel à l'autre, et ce qui raccourcit une durée
    Diff {
        /// L'ancien : fichier ou dossier
        #[arg(value_name = "ANCIEN")]
        old: PathBuf,
        /// Le nouveau
        #[arg(value_name = "NOUVEAU")]
        new: PathBuf,
        #[command(flatten)]
        date: DateArg,
    },
    /// Écrit pour Vitam (CSV) les règles vérifiées qu'il sait dire ; nomme les autres et dit pourquoi
    Export {
        /// Fichier à créer
        #[arg(long, value_name = "FICHIER")]
        out: PathBuf,
        #[command(flatten)]
        date: DateArg,
    },
    /// Approuve, en seconde personne, les règles en vigueur qui raccourcissent une durée
    Approve {
        /// Clé privée (responsable du service ou archives)
        #[arg(long, value_name = "FICHIER")]
        key: PathBuf,
        #[command(flatten)]
        date: DateArg,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GroupBy {
    Class,
    Year,
    Producer,
    DueYear,
}

#[derive(Subcommand)]
pub enum Tri {
    /// Enregistre la population d'un plan de tri ; avec --value, tire parmi la dernière enregistrée
    Draw(DrawArgs),
    /// Refait un tirage depuis son manifeste et la population écrite à côté, sans entrepôt
    Verify {
        /// Manifeste (manifest.json), ou le dossier du tri
        #[arg(value_name = "MANIFESTE")]
        manifest: PathBuf,
    },
    /// Tris connus ; ou un tri : son plan, ses étapes, ses nombres
    Show {
        /// Identifiant du tri
        #[arg(value_name = "TRI")]
        id: Option<String>,
    },
}

#[derive(Args)]
pub struct DrawArgs {
    /// Plan de tri
    #[arg(value_name = "PLAN", required_unless_present = "class", conflicts_with = "class")]
    pub plan: Option<String>,
    /// Le plan que nomment les règles d'une classe
    #[arg(long, value_name = "CLASSE")]
    pub class: Option<String>,
    /// Valeur publique, que personne ne pouvait connaître quand la population a été enregistrée
    #[arg(long, value_name = "TEXTE", requires = "origin")]
    pub value: Option<String>,
    /// Choix qualitatif : une ligne par enregistrement retenu, « table/LIVRAISON/FICHIER#NUMÉRO;motif »
    #[arg(long, value_name = "FICHIER", conflicts_with = "value")]
    pub choices: Option<PathBuf>,
    /// D'où vient la valeur : qui l'a donnée, ou où elle est publiée
    #[arg(long, value_name = "TEXTE", requires = "value")]
    pub origin: Option<String>,
    /// Personne
    #[arg(long, value_name = "PERSONNE")]
    pub by: String,
    #[command(flatten)]
    pub date: DateArg,
}

#[derive(Subcommand)]
pub enum Person {
    /// Où sont les enregistrements d'une personne, et ce qui les garde
    Find(PersonArgs),
    /// Copie lisible de ces enregistrements (personne.html, person.json) ; ce qui concerne un tiers est masqué
    Export {
        #[command(flatten)]
        who: PersonArgs,
        /// Dossier à créer, ou vide
        #[arg(long, value_name = "DOSSIER")]
        out: PathBuf,
    },
}

#[derive(Args)]
#[group(id = "identifier", required = true, multiple = false, args = ["ine", "id"])]
pub struct PersonArgs {
    /// INE ; « - » : lu sur l'entrée standard, hors de la liste des processus
    #[arg(long, value_name = "INE", allow_hyphen_values = true)]
    pub ine: Option<String>,
    /// Autre identifiant ; « - » : lu sur l'entrée standard
    #[arg(long, value_name = "IDENTIFIANT", allow_hyphen_values = true)]
    pub id: Option<String>,
    /// Espace de l'identifiant, par exemple aaf, siecle, gar, ou aaf:responsable
    #[arg(long, value_name = "ESPACE", conflicts_with = "ine")]
    pub space: Option<String>,
    #[command(flatten)]
    pub date: DateArg,
}

#[derive(Subcommand)]
pub enum Hold {
    /// Pose un gel : ce qu'il désigne ne s'élimine pas, quelles que soient les dates
    Add {
        /// Nom du gel
        #[arg(long, value_name = "NOM")]
        id: String,
        /// Motif
        #[arg(long, value_name = "TEXTE")]
        reason: String,
        /// Qui le demande
        #[arg(long, value_name = "TEXTE")]
        owner: String,
        /// Condition SQL sur classe, nom_table, annee_scolaire, livraison, emetteur et les colonnes des tables
        #[arg(long, value_name = "CONDITION")]
        scope: String,
        /// Personne qui le pose
        #[arg(long, value_name = "PERSONNE")]
        by: String,
        /// Premier jour (par défaut : la date logique)
        #[arg(long, value_name = "DATE", value_parser = parse_date)]
        from: Option<NaiveDate>,
        /// Premier jour où il ne tient plus (par défaut : jusqu'à sa levée)
        #[arg(long, value_name = "DATE", value_parser = parse_date)]
        until: Option<NaiveDate>,
        /// Jour où se demander s'il est encore nécessaire
        #[arg(long, value_name = "DATE", value_parser = parse_date)]
        reassess_on: Option<NaiveDate>,
        #[command(flatten)]
        date: DateArg,
    },
    /// Gels posés
    List {
        #[command(flatten)]
        date: DateArg,
    },
    /// Note qu'un gel reste nécessaire, et quand se le redemander
    Reassess {
        /// Nom du gel
        #[arg(value_name = "NOM")]
        id: String,
        /// Personne qui en répond
        #[arg(long, value_name = "PERSONNE")]
        by: String,
        /// Pourquoi il reste nécessaire
        #[arg(long, value_name = "TEXTE")]
        reason: String,
        /// Jour où se le redemander (par défaut : jamais)
        #[arg(long, value_name = "DATE", value_parser = parse_date)]
        next: Option<NaiveDate>,
        #[command(flatten)]
        date: DateArg,
    },
    /// Lève un gel
    Lift {
        /// Nom du gel
        #[arg(value_name = "NOM")]
        id: String,
        /// Personne qui le lève
        #[arg(long, value_name = "PERSONNE")]
        by: String,
        /// Motif
        #[arg(long, value_name = "TEXTE")]
        reason: String,
        #[command(flatten)]
        date: DateArg,
    },
}

#[derive(Subcommand)]
pub enum Elimination {
    /// Établit la liste de ce qui est éliminable ; avec une liste et --by, la propose
    Propose {
        /// Liste à proposer
        #[arg(value_name = "LISTE", requires = "by")]
        id: Option<String>,
        /// Personne qui propose (agent au registre)
        #[arg(long, value_name = "PERSONNE", requires = "id")]
        by: Option<String>,
        /// Sa clé privée
        #[arg(long, value_name = "FICHIER", requires = "by")]
        key: Option<PathBuf>,
        #[command(flatten)]
        date: DateArg,
    },
    /// Listes connues, et où elles en sont
    List,
    /// Lignes d'une liste et son histoire
    Show {
        /// Identifiant de la liste
        #[arg(value_name = "LISTE")]
        id: String,
    },
    /// Copie une liste (JSON, Parquet, bordereaux) hors de l'entrepôt
    Export {
        /// Identifiant de la liste
        #[arg(value_name = "LISTE")]
        id: String,
        /// Dossier de destination
        #[arg(long, value_name = "DOSSIER")]
        out: PathBuf,
    },
    /// Crée la paire de clés d'un signataire
    Key {
        /// Personne (lettres minuscules, chiffres, « - » et « _ »)
        #[arg(value_name = "PERSONNE")]
        person: String,
        /// Fichier de la clé privée
        #[arg(long, value_name = "FICHIER")]
        out: PathBuf,
    },
    /// Lit les décisions d'un bordereau annoté, et refuse tout autre changement
    Annotate {
        /// Dossier exporté
        #[arg(value_name = "DOSSIER")]
        folder: PathBuf,
        /// Bordereau rendu (.xlsx)
        #[arg(value_name = "BORDEREAU")]
        sheet: PathBuf,
    },
    /// Signature du responsable du service producteur
    Sign {
        /// Identifiant de la liste
        #[arg(value_name = "LISTE")]
        id: String,
        /// Clé privée
        #[arg(long, value_name = "FICHIER")]
        key: PathBuf,
        #[command(flatten)]
        date: DateArg,
    },
    /// Constate l'envoi aux archives
    Submit {
        /// Identifiant de la liste
        #[arg(value_name = "LISTE")]
        id: String,
        /// Personne
        #[arg(long, value_name = "PERSONNE")]
        by: String,
        /// Sa clé privée
        #[arg(long, value_name = "FICHIER")]
        key: Option<PathBuf>,
        #[command(flatten)]
        date: DateArg,
    },
    /// Visa des archives : donné sur un dossier exporté, ou reçu dans l'entrepôt (--import)
    Visa(VisaArgs),
    /// Retire une liste avant son exécution
    Recall {
        /// Identifiant de la liste
        #[arg(value_name = "LISTE")]
        id: String,
        /// Personne
        #[arg(long, value_name = "PERSONNE")]
        by: String,
        /// Sa clé privée
        #[arg(long, value_name = "FICHIER")]
        key: Option<PathBuf>,
        /// Motif
        #[arg(long, value_name = "TEXTE")]
        reason: String,
        #[command(flatten)]
        date: DateArg,
    },
    /// Ordonne l'exécution d'une liste visée (--approve), puis l'exécute après le délai (--by)
    Execute {
        /// Identifiant de la liste
        #[arg(value_name = "LISTE")]
        id: String,
        /// Clé privée du responsable, qui ordonne l'exécution
        #[arg(long, value_name = "FICHIER")]
        approve: Option<PathBuf>,
        /// Exécutant
        #[arg(long, value_name = "PERSONNE")]
        by: Option<String>,
        /// Clé privée de l'exécutant
        #[arg(long, value_name = "FICHIER", requires = "by")]
        key: Option<PathBuf>,
        #[command(flatten)]
        date: DateArg,
    },
    /// Ordres d'élimination pour les applications sources (--out), ou retour d'un opérateur (--import)
    Order {
        /// Identifiant de la liste
        #[arg(value_name = "LISTE")]
        id: String,
        /// Dossier où écrire les ordres : ils désignent des personnes
        #[arg(long, value_name = "DOSSIER", required_unless_present = "import", conflicts_with = "import")]
        out: Option<PathBuf>,
        /// Retour de l'opérateur : CSV ou JSON
        #[arg(long, value_name = "FICHIER")]
        import: Option<PathBuf>,
        #[command(flatten)]
        date: DateArg,
    },
    /// Attestation : l'exécutant signe, puis un témoin
    Attest {
        /// Identifiant de la liste
        #[arg(value_name = "LISTE")]
        id: String,
        /// Clé privée
        #[arg(long, value_name = "FICHIER")]
        key: PathBuf,
        #[command(flatten)]
        date: DateArg,
    },
}

#[derive(Args)]
pub struct VisaArgs {
    /// Dossier exporté ; avec --import, identifiant de la liste
    #[arg(value_name = "DOSSIER|LISTE")]
    pub list: String,
    /// Visa reçu, à inscrire dans l'entrepôt
    #[arg(long, value_name = "FICHIER")]
    pub import: Option<PathBuf>,
    /// Clé privée du signataire des archives
    #[arg(long, value_name = "FICHIER")]
    pub key: Option<PathBuf>,
    /// Registre des signataires
    #[arg(long, value_name = "FICHIER")]
    pub register: Option<PathBuf>,
    /// Bordereau annoté (.xlsx)
    #[arg(long, value_name = "FICHIER")]
    pub sheet: Option<PathBuf>,
    /// Réponse sur l'ensemble : visa, refus ou retour
    #[arg(long, value_name = "RÉPONSE", hide_possible_values = true)]
    pub answer: Option<Answered>,
    /// Qualité du signataire, par exemple « directeur des Archives départementales »
    #[arg(long, value_name = "TEXTE")]
    pub title: Option<String>,
    /// Remarque ; obligatoire pour un refus ou un retour
    #[arg(long, value_name = "TEXTE")]
    pub observation: Option<String>,
    #[command(flatten)]
    pub date: DateArg,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Answered {
    Visa,
    Refus,
    Retour,
}

#[derive(Args)]
pub struct ExtractArgs {
    #[command(subcommand)]
    pub command: Option<ExtractCommand>,
    /// Nom du jeu
    #[arg(value_name = "JEU", required = true)]
    pub dataset: Option<String>,
    #[command(flatten)]
    pub date: DateArg,
    /// Écrit le paquet dans ce dossier, sans publier dans l'entrepôt
    #[arg(long, value_name = "DOSSIER")]
    pub out: Option<PathBuf>,
}

#[derive(Args)]
pub struct PublishArgs {
    /// Nom du jeu
    #[arg(value_name = "JEU")]
    pub dataset: String,
    /// Portail : ods (Opendatasoft, data.education.gouv.fr) ou datagouv (data.gouv.fr)
    #[arg(long, value_name = "PORTAIL")]
    pub to: Kind,
    /// Envoie : sans cette option, rien ne quitte la machine
    #[arg(long)]
    pub yes: bool,
    /// Refait sur le portail un jeu qui y avait été publié et n'y est plus
    #[arg(long)]
    pub recreate: bool,
    #[command(flatten)]
    pub date: DateArg,
}

#[derive(Subcommand)]
pub enum ExtractCommand {
    /// Attaque un paquet publié, ou vérifie son certificat : aucune cellule masquée ne se recalcule
    Audit {
        /// Dossier du paquet (data.csv, datapackage.json)
        #[arg(value_name = "DOSSIER")]
        folder: PathBuf,
        /// Certificat à vérifier, par des additions seulement ; sans lui, le paquet est attaqué
        #[arg(long, value_name = "FICHIER")]
        certificate: Option<PathBuf>,
        /// Seuil : un lecteur ne doit pouvoir exclure d'aucune cellule masquée qu'elle l'atteigne ; par défaut, celui
        /// de la politique que le paquet annonce, sinon 5
        #[arg(long, value_name = "N")]
        threshold: Option<u32>,
        /// Doute : une cellule masquée reste inconnue d'au moins autant ; par défaut, celui que le paquet annonce, sinon 2
        #[arg(long, value_name = "N")]
        width: Option<u32>,
    },
}

#[derive(Subcommand)]
pub enum Seda {
    /// Empaquette ce qui est à conserver et ne l'est pas encore
    Pack {
        #[command(flatten)]
        date: DateArg,
    },
    /// Contrôle un paquet comme l'archive le ferait, le nôtre ou celui d'un autre
    Check(SedaCheck),
    /// Écrit le profil d'une classe en RELAX NG, que le service d'archives peut charger
    Rng {
        /// Classe d'enregistrements
        #[arg(value_name = "CLASSE")]
        class: String,
        /// Fichier écrit (par défaut : sortie standard)
        #[arg(long, value_name = "FICHIER")]
        out: Option<PathBuf>,
    },
    /// Paquets et leur état : créé, déposé, archivé, refusé
    List,
    /// Dépose à la cible de [seda.deposit] les paquets qui ne le sont pas, ou va chercher leur réponse
    Deposit {
        /// Paquets (par défaut : tous ceux que l'archive n'a pas encore pris en charge ou refusés)
        #[arg(value_name = "PAQUET")]
        sips: Vec<String>,
        #[command(flatten)]
        date: DateArg,
    },
    /// Inscrit ce que le service d'archives dit d'un envoi incertain : reçu (--operation) ou non (--absent)
    Resolve(ResolveArgs),
    /// Réponse de l'archive (ArchiveTransferReply)
    #[command(subcommand, subcommand_help_heading = "Commandes\u{a0}", subcommand_value_name = "COMMANDE")]
    Reply(SedaReply),
    /// Messages SEDA d'élimination d'une liste soumise, visée ou exécutée
    Destruction(DestructionArgs),
}

#[derive(Subcommand)]
pub enum SedaReply {
    /// Rapproche une réponse de son paquet, l'inscrit et l'explique ; 4 si elle refuse ou ne couvre pas tout
    Import {
        /// Réponse (XML)
        #[arg(value_name = "FICHIER")]
        file: PathBuf,
        #[command(flatten)]
        date: DateArg,
    },
}

#[derive(Args)]
#[group(id = "answer", required = true, multiple = false, args = ["operation", "absent"])]
pub struct ResolveArgs {
    /// Paquet
    #[arg(value_name = "PAQUET")]
    pub sip: String,
    /// L'archive l'a reçu : identifiant de son opération
    #[arg(long, value_name = "IDENTIFIANT")]
    pub operation: Option<String>,
    /// L'archive ne l'a pas reçu : il pourra être envoyé de nouveau
    #[arg(long)]
    pub absent: bool,
    /// Personne qui l'a demandé au service d'archives
    #[arg(long, value_name = "PERSONNE")]
    pub by: String,
    #[command(flatten)]
    pub date: DateArg,
}

#[derive(Args)]
pub struct DestructionArgs {
    /// Liste d'élimination
    #[arg(value_name = "LISTE")]
    pub list: String,
    /// Dossier où écrire les messages
    #[arg(long, value_name = "DOSSIER")]
    pub out: PathBuf,
    #[command(flatten)]
    pub date: DateArg,
}

#[derive(Args)]
pub struct SedaCheck {
    /// Paquet (zip, tar, tar.gz) ou manifeste seul
    #[arg(value_name = "CHEMIN")]
    pub path: PathBuf,
    /// Dossier des schémas officiels du SEDA (par défaut : celui de la configuration)
    #[arg(long, value_name = "DOSSIER")]
    pub xsd: Option<PathBuf>,
    /// Dossier des référentiels de l'archive : services et règles (CSV), contrats, profils, formats (JSON)
    #[arg(long, value_name = "DOSSIER")]
    pub referentials: Option<PathBuf>,
    /// Constats détaillés au plus (par défaut : 1000) ; le compte est toujours complet
    #[arg(long, default_value_t = 1000, hide_default_value = true, value_name = "N")]
    pub max_findings: usize,
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
