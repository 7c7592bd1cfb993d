//! Charges of the first term: one row a pupil and nature. All money is in cents, so that
//! net - balance = gross - reductions - aids holds to the cent.

use crate::faults;
use crate::frame::Table;
use crate::output::{Night, Output, Result};
use crate::people::{Regime, guardian_id, ine, person, pupil_id};
use crate::rng::{Purpose, Rng};
use crate::world::{Day, Kind, Pupil, World, Year};

pub const DROITS: &[&str] = &[
    "uai",
    "annee_scolaire",
    "exercice",
    "trimestre",
    "numero_bordereau",
    "id_eleve",
    "ine",
    "id_responsable_payeur",
    "code_regime",
    "categorie_tarif",
    "nature_droit",
    "tarif_annuel",
    "nb_jours_ouverts",
    "nb_jours_dus",
    "droit_brut",
    "remise_ordre_montant",
    "remise_ordre_motif",
    "remise_principe",
    "bourse_echelon",
    "bourse_montant",
    "prime_internat",
    "prime_autre",
    "aide_nationale",
    "aide_locale",
    "droit_net",
    "solde_a_verser",
    "date_constatation",
    "statut",
];

/// Yearly scholarships in cents, by échelon.
const BOURSE_COLLEGE: [u64; 3] = [11_930, 33_044, 51_610];
const BOURSE_LYCEE: [u64; 6] = [49_592, 60_948, 71_927, 82_906, 93_885, 105_241];
/// Days of the school year, and of its terms.
const DAYS_YEAR: u64 = 140;
const DAYS_TERM: [u64; 3] = [56, 45, 39];
/// A number between the draws of two terms that no pupil reaches.
const NEXT_TERM: u64 = 1 << 40;

/// A term of a school year, as its charges name it.
struct Term {
    /// The civil year that starts the school year.
    start: i32,
    number: u64,
}

impl Term {
    fn days(&self) -> u64 {
        DAYS_TERM[(self.number as usize - 1) % 3]
    }

    /// Day on which the charges are established; its year is that of the budget.
    fn day(&self) -> Day {
        [(self.start, 12, 15), (self.start + 1, 3, 15), (self.start + 1, 6, 15)]
            [(self.number as usize - 1) % 3]
    }

    /// Terms between this one and the first of 2025-2026.
    fn away(&self) -> u64 {
        u64::from((2025 - self.start).unsigned_abs()) * 3 + self.number - 1
    }
}

pub fn write(night: &mut Night, world: &World) -> Result<()> {
    for year in &world.years {
        for (day, number) in &year.charges {
            night.begin(year, *day)?;
            let (y, m, d) = day;
            let name = format!("CRDC_99_{y}{m:02}{d:02}_T{number}.csv");
            term(night, world, year, name, &Term { start: year.start, number: *number })?;
        }
    }
    Ok(())
}

fn term(night: &mut Night, world: &World, year: &Year, name: String, term: &Term) -> Result<()> {
    let recipes = faults::DROITS.iter().collect();
    let mut out = Output::new(night, Table::csv(DROITS, recipes, year.turn(faults::DROITS)));
    out.start(name)?;
    for pupil in world.pupils(year) {
        let who = person(world.seed, pupil.person, pupil.school.kind);
        let (code, natures): (u32, &[(&str, u64)]) = match (who.regime, pupil.school.kind) {
            (Regime::Externe, _) => continue,
            (Regime::Ticket, _) => (4, &[("TICKET", 42_000)]),
            (Regime::DemiPension, Kind::Lycee) if pupil.cell.level().filiere == "PROFESSIONNELLE" => {
                (2, &[("DEMI_PENSION", 56_000), ("OBJETS_CONFECTIONNES", 6_000)])
            }
            (Regime::DemiPension, Kind::Lycee) => (2, &[("DEMI_PENSION", 56_000)]),
            (Regime::DemiPension, _) => (2, &[("DEMI_PENSION", 49_000)]),
            (Regime::Interne, _) => (3, &[("INTERNAT", 161_000)]),
        };
        for (i, (nature, tariff)) in natures.iter().enumerate() {
            let main = i == 0;
            let rng = &mut Rng::of(
                world.seed,
                Purpose::Charge,
                pupil.person * 2 + i as u64 + term.away() * NEXT_TERM,
            );
            let echelon = match (who.boursier, pupil.school.kind) {
                (true, Kind::Lycee) => rng.between(1, 6),
                (true, _) => rng.between(1, 3),
                (false, _) => 0,
            };
            let charge = charge(rng, *tariff, main, echelon, who.regime, pupil.school.kind, term);
            line(&mut out, &pupil, term, (code, nature, *tariff), who.has_ine, echelon, &charge);
            out.emit(false)?;
        }
    }
    out.end()
}

struct Charge {
    open: u64,
    days: u64,
    gross: u64,
    absence: u64,
    reduction: u64,
    grant: u64,
    boarding_grant: u64,
    other_grant: u64,
    national_aid: u64,
    local_aid: u64,
    sent: bool,
}

fn charge(
    rng: &mut Rng,
    tariff: u64,
    main: bool,
    echelon: u64,
    regime: Regime,
    kind: Kind,
    term: &Term,
) -> Charge {
    let open = term.days();
    let gross = tariff * open / DAYS_YEAR;
    let absent = if main && rng.percent(6) { rng.between(10, 25) } else { 0 };
    let absence = gross * absent / open;
    let scale: &[u64] = if kind == Kind::Lycee { &BOURSE_LYCEE } else { &BOURSE_COLLEGE };
    let yearly = echelon.checked_sub(1).and_then(|e| scale.get(e as usize)).copied().unwrap_or(0);
    let some = |yes: bool, amount: u64| if yes { amount } else { 0 };
    Charge {
        open,
        days: open - absent,
        gross,
        absence,
        reduction: some(main && rng.percent(4), (gross - absence) / 5),
        grant: some(main, yearly / 3),
        boarding_grant: some(main && echelon > 0 && regime == Regime::Interne, 10_900),
        other_grant: some(main && echelon > 0 && rng.percent(10), 11_400),
        national_aid: some(main && rng.percent(5), rng.between(2_000, 8_000)),
        local_aid: some(main && rng.percent(12), rng.between(1_500, 6_050)),
        sent: rng.percent(30),
    }
}

impl Charge {
    /// What the family owes, and what it is owed: at most one is not zero.
    fn balance(&self) -> (u64, u64) {
        let off = self.absence
            + self.reduction
            + self.grant
            + self.boarding_grant
            + self.other_grant
            + self.national_aid
            + self.local_aid;
        (self.gross.saturating_sub(off), off.saturating_sub(self.gross))
    }
}

fn line(
    out: &mut Output<'_>,
    pupil: &Pupil<'_>,
    term: &Term,
    (code, nature, tariff): (u32, &str, u64),
    has_ine: bool,
    echelon: u64,
    c: &Charge,
) {
    let money = |cents: u64| format!("{}.{:02}", cents / 100, cents % 100);
    let (net, balance) = c.balance();
    let row = out.row();
    let (exercice, month, day) = term.day();
    row.put(&pupil.school.uai).put(format_args!("{}-{}", term.start, term.start + 1));
    row.put(exercice).put(term.number);
    row.put(format_args!("B{:04}-{}", pupil.school.id(), term.number)).put(pupil_id(pupil.person));
    row.put(if has_ine { ine(pupil.person) } else { String::new() });
    row.put(guardian_id(pupil.family, 0)).put(code).put("Forfait").put(nature).put(money(tariff));
    row.put(c.open).put(c.days).put(money(c.gross)).put(money(c.absence));
    row.put(if c.absence > 0 { "Absence de plus de deux semaines" } else { "" }).put(money(c.reduction));
    row.put(echelon).put(money(c.grant)).put(money(c.boarding_grant)).put(money(c.other_grant));
    row.put(money(c.national_aid)).put(money(c.local_aid)).put(money(net)).put(money(balance));
    row.put(format_args!("{day:02}/{month:02}/{exercice}")).put(if c.sent {
        "transmis"
    } else {
        "constaté"
    });
}
