//! Whether times tell their causes apart.
//!
//! The causes are met in turn, each once in a round, in an order that is thrown anew: whatever the machine does
//! meanwhile falls on all of them alike. The statistic is that of Kolmogorov and Smirnov, the largest distance between
//! the distributions of any two causes. How large it is where there is nothing to be told is learnt from the same
//! times: within each round the causes are thrown anew, again and again, and it counts how often chance comes as far.
//! No absolute time counts.

use crate::Dice;

/// How often the causes are thrown anew. The least chance that can be found is one in this many, and one.
const THROWS: usize = 5_000;

/// What was found.
#[derive(Debug, Clone, Copy)]
pub struct Verdict {
    /// The largest distance between two causes, from 0 to 1.
    pub distance: f64,
    /// The distance that chance stays below at the level asked for.
    pub by_chance: f64,
    /// How likely chance alone comes as far.
    pub chance: f64,
}

/// Holds the causes against each other: `rounds` has a time of each cause in each round. At `level` one run in so many
/// tells apart what is alike.
pub fn tell_apart(rounds: &[Vec<u64>], level: f64, dice: &mut Dice) -> Verdict {
    let causes = rounds[0].len();
    let mut order: Vec<(u64, usize)> = rounds.concat().into_iter().zip(0..).collect();
    order.sort_unstable();
    let mut labels: Vec<usize> = (0..order.len()).map(|place| place % causes).collect();
    let found = distance(&order, &labels, causes);
    let mut thrown: Vec<usize> = (0..THROWS)
        .map(|_| {
            labels.chunks_mut(causes).for_each(|round| dice.shuffle(round));
            distance(&order, &labels, causes)
        })
        .collect();
    thrown.sort_unstable();
    let as_far = thrown.iter().filter(|by_chance| **by_chance >= found).count();
    let share = |count: usize| count as f64 / rounds.len() as f64;
    let most = ((THROWS as f64 * (1.0 - level)) as usize).min(THROWS - 1);
    Verdict {
        distance: share(found),
        by_chance: share(thrown[most]),
        chance: (as_far + 1) as f64 / (THROWS + 1) as f64,
    }
}

/// The largest distance between two causes, in rounds: how many more times of the one than of the other lie below some
/// time.
fn distance(order: &[(u64, usize)], labels: &[usize], causes: usize) -> usize {
    let (mut below, mut most) = (vec![0_usize; causes], 0);
    for (at, (time, place)) in order.iter().enumerate() {
        below[labels[*place]] += 1;
        if order.get(at + 1).is_none_or(|(next, _)| next != time) {
            let (least, largest) = (below.iter().min(), below.iter().max());
            most = most.max(largest.unwrap_or(&0) - least.unwrap_or(&0));
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times between 1,000 and 2,000, those of the second cause later by `more`; and the machine slows down meanwhile.
    fn times(more: u64, seed: u64) -> Vec<Vec<u64>> {
        let mut dice = Dice::new(seed);
        let mut one = |round: u64, more: u64| 1_000 + round + more + dice.below(1_000);
        (0..200).map(|round| vec![one(round, 0), one(round, more), one(round, 0)]).collect()
    }

    #[test]
    fn what_is_slower_is_told_and_what_is_alike_is_not() {
        for seed in 1..=4 {
            let mut dice = Dice::new(seed);
            let alike = tell_apart(&times(0, seed), 0.001, &mut dice);
            assert!(alike.chance > 0.001 && alike.distance <= alike.by_chance, "{alike:?}");
            let slower = tell_apart(&times(300, seed), 0.001, &mut dice);
            assert!(slower.chance <= 0.001 && slower.distance > slower.by_chance, "{slower:?}");
        }
    }

    #[test]
    fn the_distance_is_that_of_kolmogorov_and_smirnov() {
        // Two causes, four rounds: all of the first lie below all of the second.
        let order = [(1, 0), (2, 2), (3, 4), (4, 6), (5, 1), (6, 3), (7, 5), (8, 7)];
        assert_eq!(distance(&order, &[0, 1, 0, 1, 0, 1, 0, 1], 2), 4);
        // Equal times count as one.
        assert_eq!(distance(&[(1, 0), (1, 1), (2, 2), (2, 3)], &[0, 1, 0, 1], 2), 0);
    }
}
