//! `seda check`: the verdict of the archive, before it is asked.

use crate::cli::SedaCheck;
use crate::config::Config;
use crate::exit;
use crate::output::{Shown, table};
use cartulaire_engine::error::{Error, Result};
use cartulaire_engine::french::{count, thousands};
use cartulaire_engine::seda::check::{self, Decision, Options, Severity, Verdict};
use std::path::{Path, PathBuf};

/// Runs the command.
pub fn check(config: &Config, args: &SedaCheck, shown: &Shown) -> Result<u8> {
    if !args.path.is_file() {
        return Err(Error::Usage(format!(
            "« {} » n'est pas un fichier : donnez un paquet (zip, tar, tar.gz) ou un manifest.xml",
            args.path.display()
        )));
    }
    let options = Options {
        xsd: folder(args.xsd.as_ref().or(config.seda_xsd.as_ref()))?,
        referentials: folder(args.referentials.as_ref())?,
        findings_max: args.max_findings,
        threads: config.threads,
        ..Options::default()
    };
    let verdict = check::check(&args.path, &options)?;
    shown.document(&verdict);
    shown.say(&page(&args.path, &verdict));
    Ok(match verdict.verdict {
        Decision::Accepted => exit::DONE,
        Decision::Refused => exit::REFUSED,
    })
}

/// Writes the profile of a class as RELAX NG.
pub fn rng(config: &Config, class: &str, out: Option<&Path>, shown: &Shown) -> Result<u8> {
    let profile = config.profile()?;
    let Some(found) = profile.class(class) else {
        let known: Vec<&str> = profile.classes.keys().map(String::as_str).collect();
        return Err(Error::Usage(format!("classe sans profil « {class} » ; profils : {}", known.join(", "))));
    };
    shown.deliver(out, &profile.rng(found))?;
    Ok(exit::DONE)
}

fn folder(path: Option<&PathBuf>) -> Result<Option<PathBuf>> {
    match path {
        Some(p) if !p.is_dir() => Err(Error::Usage(format!("« {} » n'est pas un dossier", p.display()))),
        other => Ok(other.cloned()),
    }
}

fn page(path: &Path, verdict: &Verdict) -> String {
    let mut out = format!(
        "{} : {}\nVersion du SEDA : {}\n",
        path.display(),
        match verdict.verdict {
            Decision::Accepted => "accepté",
            Decision::Refused => "refusé",
        },
        verdict.version.unwrap_or("inconnue"),
    );
    if verdict.findings_total > 0 {
        let rows: Vec<Vec<String>> = verdict
            .findings
            .iter()
            .map(|f| {
                let weight = match f.severity {
                    Severity::Error => "erreur",
                    Severity::Warning => "alerte",
                };
                let place = if f.xpath.is_empty() { "(contenant)" } else { &f.xpath };
                vec![weight.into(), f.code.into(), place.into(), f.message.clone()]
            })
            .collect();
        out.push_str(&format!("\n{}\n", table(&["poids", "code", "endroit", "constat"], &rows, &[])));
        let untold = verdict.findings_total.saturating_sub(verdict.findings.len() as u64);
        if untold > 0 {
            out.push_str(&format!(
                "… et {} de plus (--max-findings)\n",
                count(untold, "constat", "constats")
            ));
        }
    }
    out.push_str(&format!("\nConstats : {}\n", thousands(verdict.findings_total)));
    if !verdict.skipped.is_empty() {
        let rows: Vec<Vec<String>> =
            verdict.skipped.iter().map(|s| vec![control(s.control).into(), s.reason.clone()]).collect();
        out.push_str(&format!("\n{}\n", table(&["non contrôlé", "pourquoi"], &rows, &[])));
    }
    out.trim_end().to_owned()
}

/// Name of a control for people.
fn control(name: &'static str) -> &'static str {
    match name {
        "xsd" => "schéma",
        "objects" => "objets",
        "agencies" => "services",
        "rules" => "règles",
        "contracts" => "contrats",
        "profiles" => "profils",
        "formats" => "formats",
        "attachments" => "rattachements",
        "manifest" => "manifeste",
        other => other,
    }
}
