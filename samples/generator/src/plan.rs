//! How many pupils each school has at each level, this year and the year before.

use crate::nomenclature::LEVELS;
use crate::rng::{Purpose, Rng};
use crate::world::{Block, Cell};

/// Level counts of the present year. Small ones first, then the big ones share what is left by
/// weight, so that the total is exact.
pub fn present_blocks(seed: u64, pupils: u64, colleges: u64, lycees: u64) -> Vec<Block> {
    // (level, small count) or (level, weight).
    let mut small: Vec<Vec<(usize, u64)>> = Vec::new();
    let mut weights: Vec<Vec<(usize, u64)>> = Vec::new();
    for i in 0..colleges + lycees {
        let rng = &mut Rng::of(seed, Purpose::World, i);
        let college = i < colleges;
        // A school of three pupils, and one with exactly one small cell.
        if college && i + 1 == colleges {
            small.push(vec![(0, 2), (1, 1)]);
            weights.push(Vec::new());
            continue;
        }
        let mut few = Vec::new();
        if college {
            few.push((4, if i == 1 { 3 } else { rng.between(1, 6) }));
            if i % 3 == 0 {
                few.push((5, rng.between(4, 18)));
            }
            if i % 2 == 0 {
                few.extend((6..10).map(|level| (level, rng.between(2, 14))));
            }
        } else {
            if i % 2 == 0 {
                few.extend((15..18).map(|level| (level, rng.between(6, 22))));
            }
            if i % 3 == 0 {
                few.extend((18..20).map(|level| (level, rng.between(1, 9))));
            }
            few.extend((13..15).map(|level| (level, rng.between(8, 24))));
        }
        small.push(few);
        let (main, base) = if college { (0..4, 60) } else { (10..13, 90) };
        let school = rng.below(50);
        weights.push(main.map(|level| (level, base + school + rng.below(20))).collect());
    }
    let mut left = pupils.saturating_sub(small.iter().flatten().map(|(_, n)| n).sum());
    let mut weight_left: u64 = weights.iter().flatten().map(|(_, w)| w).sum();
    let (mut person, mut family) = (0, 0);
    let mut blocks = Vec::new();
    for (school, (few, main)) in small.into_iter().zip(weights).enumerate() {
        let mut counts = few;
        for (level, weight) in main {
            let count = left * weight / weight_left.max(1);
            (left, weight_left) = (left - count, weight_left - weight);
            counts.push((level, count));
        }
        counts.sort_unstable();
        let mut cells = Vec::new();
        let base = person;
        for (level, count) in counts.into_iter().filter(|(_, n)| *n > 0) {
            let rank = LEVELS.get(level).map_or(0, |l| l.rank);
            let newcomers = if rank == 0 { 0 } else { count / 12 };
            cells.push(Cell { level, school, first: person, count, newcomers, entries: Vec::new() });
            person += count;
        }
        let block = Block { base, size: person - base, family_base: family, cells };
        family += block.families();
        blocks.push(block);
    }
    blocks
}

/// The year before, for a few schools: those present now were one level below, and last year's
/// final levels have left since.
pub fn past_blocks(present: &[Block], schools: &[usize]) -> Vec<Block> {
    let mut person = present.last().map_or(0, |b| b.base + b.size);
    let mut family = present.last().map_or(0, |b| b.family_base + b.families());
    let mut past = Vec::new();
    for (_, now) in present.iter().enumerate().filter(|(school, _)| schools.contains(school)) {
        let stayed = now.cells.iter().filter_map(|c| {
            let level = LEVELS.get(c.level)?.before?;
            Some(Cell { level, count: c.count - c.newcomers, newcomers: 0, entries: Vec::new(), ..*c })
        });
        past.push(Block { cells: stayed.collect(), ..*now });
        let base = person;
        let mut cells = Vec::new();
        for cell in now.cells.iter().filter(|c| !LEVELS.iter().any(|l| l.before == Some(c.level))) {
            let count = cell.count - cell.count / 10;
            cells.push(Cell { first: person, count, newcomers: 0, entries: Vec::new(), ..*cell });
            person += count;
        }
        let gone = Block { base, size: person - base, family_base: family, cells };
        family += gone.families();
        past.push(gone);
    }
    past
}
