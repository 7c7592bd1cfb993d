//! A panic is told by its place alone: its text may hold a value of the data.

use std::io::Write;
use std::panic::{Location, PanicHookInfo};

/// Replaces what the standard library prints.
pub fn hide() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        // stderr may be closed, and a panic inside a panic would abort.
        let _ = writeln!(std::io::stderr(), "{}", told(info.location()));
    }));
}

fn told(place: Option<&Location<'_>>) -> String {
    let place = place.map_or_else(|| "inconnu".to_owned(), ToString::to_string);
    format!(
        "cartulaire : erreur interne du programme, à l'emplacement {place} : signalez cet emplacement ; le texte de l'erreur n'est pas montré, il pourrait porter une donnée"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set in the process that panics: this test again, alone.
    const FALLS: &str = "CARTULAIRE_TEST_PANICS";

    #[test]
    fn the_text_of_a_panic_is_not_told_and_its_place_is() {
        if std::env::var_os(FALLS).is_some() {
            hide();
            panic!("NOM-INVENTE");
        }
        let name = "panics::tests::the_text_of_a_panic_is_not_told_and_its_place_is";
        let out = std::process::Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(FALLS, "1")
            .output()
            .unwrap();
        let said = [out.stdout, out.stderr].map(|b| String::from_utf8(b).unwrap()).concat();
        assert!(!out.status.success(), "{said}");
        assert!(said.contains("panics.rs:") && said.contains("erreur interne"), "{said}");
        assert!(!said.contains("INVENTE"), "{said}");
    }
}
