//! Properties of the division of batches.

use super::*;

fn order(shuffle: &str, partitions: usize) -> Order {
    Order { seed: 5, shuffle: shuffle.parse().unwrap(), partitions, epochs: None }
}

/// Returns the indices of batch `b` from a position on, by the definition: part after part, partition after
/// partition.
fn defined(order: &Order, (batch, parts): (usize, usize), from: Position, total: u64, b: u64) -> Vec<u64> {
    let sequence = Sequence::new(order.clone(), total).unwrap();
    let (batch, parts, partitions) = (batch as u64, parts as u64, order.partitions as u64);
    let (stretch, run) = (batch / partitions, batch / partitions / parts);
    let mut indices = Vec::new();
    for part in 0..parts {
        for partition in 0..partitions {
            for count in b * stretch + part * run..b * stretch + (part + 1) * run {
                let position = sequence.advance(from, count);
                indices.push(sequence.index(Place { partition, position }));
            }
        }
    }
    indices
}

/// Returns the indices of batch `b` as the ranks take them, in the order of parts and ranks.
fn taken(order: &Order, division: Division, from: Position, total: u64, b: u64) -> Vec<u64> {
    let routes: Vec<Route> = (0..division.ranks)
        .map(|rank| Route::new(order.clone(), Division { rank, ..division }, from, total).unwrap())
        .collect();
    let share = (division.batch / division.ranks) as u64;
    let slice = share / division.parts as u64;
    let mut indices = Vec::new();
    for part in 0..division.parts as u64 {
        for route in &routes {
            for number in b * share + part * slice..b * share + (part + 1) * slice {
                indices.push(route.sequence.index(route.place(number)));
            }
        }
    }
    indices
}

#[test]
fn batches_are_those_of_the_definition_for_any_number_of_ranks() {
    let (total, batch) = (203, 48);
    for shuffle in ["window:50", "global", "none"] {
        for (partitions, parts, ranks) in [(1, 1), (1, 3), (2, 1), (2, 2), (4, 1), (4, 2)]
            .into_iter()
            .flat_map(|(partitions, parts)| [1, 2, 4, 8].map(|ranks| (partitions, parts, ranks)))
        {
            let order = order(shuffle, partitions);
            let division = Division { rank: 0, ranks, batch, parts };
            // Batches begin anywhere and go on past the ends of epochs.
            for from in [Position::default(), Position { epoch: 3, offset: 37 }] {
                for b in 0..20 {
                    let defined = defined(&order, (batch, parts), from, total, b);
                    let taken = taken(&order, division, from, total, b);
                    assert_eq!(taken, defined, "{shuffle}, {partitions} partitions, {division:?}, batch {b}");
                }
            }
        }
    }
}

#[test]
fn one_rank_with_one_partition_has_the_order_of_the_samples_whatever_the_batch() {
    let order = order("window:50", 1);
    let of = |division| {
        let route = Route::new(order.clone(), division, Position::default(), 100).unwrap();
        (0..250).map(|number| route.place(number)).collect::<Vec<_>>()
    };
    let default = of(Division::default());
    for (batch, parts) in [(7, 1), (50, 3), (100, 8)] {
        assert_eq!(of(Division { batch, parts, ..Division::default() }), default);
    }
}

#[test]
fn the_position_after_a_sample_is_that_after_its_batch_on_every_rank() {
    for (partitions, rank) in [(1, 0), (1, 3), (2, 1), (4, 2)] {
        let division = Division { rank, ranks: 4, batch: 16, parts: 2 };
        let from = Position { epoch: 0, offset: 5 };
        let route = Route::new(order("global", partitions), division, from, 100).unwrap();
        let stretch = 16 / partitions as u64;
        for number in 0..40 {
            let after = route.sequence.advance(from, (number / 4 + 1) * stretch);
            assert_eq!(route.next(number), after, "sample {number} of rank {rank}, {partitions} partitions");
        }
    }
}

#[test]
fn numbers_that_do_not_divide_are_refused_with_the_nearest_ones_that_do() {
    let refusal = |ranks, batch, parts, partitions| {
        Division { rank: 0, ranks, batch, parts }.check(partitions).unwrap_err().to_string()
    };
    assert_eq!(
        refusal(2, 50, 2, 1),
        "a batch of 50 cannot be divided equally among 2 ranks and 2 parts, but one of 48 or 52 can"
    );
    assert_eq!(
        refusal(2, 15, 1, 1),
        "a batch of 15 cannot be divided equally among 2 ranks, but one of 14 or 16 can"
    );
    assert_eq!(
        refusal(2, 30, 2, 4),
        "a batch of 30 cannot be divided equally among 2 ranks, 2 parts and 4 partitions, but one of 24 or 32 can"
    );
    assert!(refusal(1, 9, 1, 2).ends_with("but one of 8 or 10 can"));
    assert!(refusal(1, 2, 1, 4).ends_with("but one of 4 can"), "no smaller batch can");
    assert!(refusal(4, 30, 2, 2).ends_with("but one of 24 or 32 can"));
    assert!(refusal(4, 0, 1, 1).ends_with("but one of 4 can"));
    assert_eq!(refusal(4, 24, 1, 6), "4 ranks cannot share 6 partitions equally, but 3 or 6 can");
    assert_eq!(refusal(3, 24, 1, 2), "3 ranks cannot share 2 partitions equally, but 2 or 4 can");
    for rank in [2, 3] {
        let division = Division { rank, ranks: 2, batch: 8, parts: 1 };
        assert!(matches!(division.check(1), Err(Error::Rank { ranks: 2, .. })));
    }
    for (ranks, batch, parts, partitions) in [(1, 7, 3, 1), (2, 8, 2, 1), (4, 24, 3, 2), (3, 12, 1, 6)] {
        Division { rank: 0, ranks, batch, parts }.check(partitions).unwrap();
    }
}
