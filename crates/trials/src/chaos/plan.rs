//! What a seed stands for: a direction, options, and a row of disturbances.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::control::Down;
use super::points::POINTS;
use crate::database::Engine;
use crate::seed::generator;

/// The directions that chaos takes.
pub const DIRECTIONS: &[(Engine, Engine)] = &[
    (Engine::Pg15, Engine::Pg17),
    (Engine::Sqlite, Engine::Sqlite),
    (Engine::Pg17, Engine::Pg18),
    (Engine::Sqlite, Engine::Pg18),
    (Engine::Pg15, Engine::Sqlite),
    (Engine::Mysql97, Engine::Pg17),
    (Engine::Maria1011, Engine::Maria118),
    (Engine::Sqlite, Engine::Mysql97),
    (Engine::Mysql97, Engine::Mysql97),
    (Engine::Pg15, Engine::Maria1011),
];

/// One side of the migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where rows come from.
    Source,
    /// Where rows go to.
    Target,
}

/// Something that goes wrong while `run` is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// The process dies the `count`-th time that it passes a named point.
    KillPoint {
        /// The point.
        point: &'static str,
        /// At which passing.
        count: u32,
    },
    /// `kill -9` after some milliseconds.
    KillAfter(u64),
    /// Ctrl-C after some milliseconds.
    InterruptAfter(u64),
    /// The process stands still for some milliseconds, then goes on.
    FreezeFor(u64),
    /// A server goes down and comes back after some milliseconds.
    Server {
        /// Whose.
        side: Side,
        /// How.
        how: Down,
        /// For how long.
        away: u64,
    },
    /// Some of the process's sessions are ended by the server.
    Sessions(Side),
    /// Nothing comes through between the process and one side for some milliseconds, and no connection is closed.
    CutOff {
        /// Which side.
        side: Side,
        /// For how long.
        away: u64,
    },
    /// All connections between the process and one side are closed on the way, some times.
    Dropped(Side),
    /// The application's process is killed and started again.
    KillWriter,
    /// The target's disk is full for a while.
    FullDisk,
    /// While nobody runs, what the source keeps for the migration is removed by somebody else. It must stop then; it is
    /// aborted and begun anew.
    LoseCapture,
}

/// A whole run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its seed.
    pub seed: u64,
    /// Where rows come from.
    pub source: Engine,
    /// Where rows go to.
    pub target: Engine,
    /// Rows that the main tables begin with.
    pub rows: u32,
    /// What `[run]` says.
    pub options: Vec<(&'static str, u64)>,
    /// The source's servers acknowledge commits before they are flushed.
    pub asynchronous_commit: bool,
    /// In this order.
    pub disturbances: Vec<Disturbance>,
    /// The end is compared by the product too.
    pub verify: bool,
}

impl Plan {
    /// The plan of a seed. The same for the same seed, whatever the machine permits.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let random = &mut generator(seed, 1_000);
        // neighbouring seeds take each direction in turn, so that a few of them see all
        let (source, target) = DIRECTIONS[usize::try_from(seed).unwrap_or(0) % DIRECTIONS.len()];
        let count = random.random_range(2..=4);
        let mut disturbances: Vec<Disturbance> = (0..count)
            .map(|_| disturbance(source, target, random))
            .collect();
        // a point of a migration's beginning is passed no more when it is over
        in_order_of_life(&mut disturbances);
        // at most once, since all begins anew after it
        let mut lost = false;
        disturbances
            .retain(|one| *one != Disturbance::LoseCapture || !std::mem::replace(&mut lost, true));
        Self {
            seed,
            source,
            target,
            rows: random.random_range(400..2_500),
            options: vec![
                ("loaders", random.random_range(1..=3)),
                ("chunk_rows", random.random_range(100..1_000)),
                (
                    "batch_changes",
                    *[50, 500, 10_000].choose(random).unwrap_or(&500),
                ),
                ("batch_milliseconds", random.random_range(0..60)),
                ("retry_seconds", 60),
            ],
            asynchronous_commit: !source.is_sqlite()
                && random.random_range(0..3) == 0
                && !source.is_mysql(),
            disturbances,
            verify: random.random_range(0..3) == 0,
        }
    }
}

fn disturbance(source: Engine, target: Engine, random: &mut StdRng) -> Disturbance {
    let has_server = !source.is_sqlite() || !target.is_sqlite();
    loop {
        let drawn = match random.random_range(0..100) {
            0..46 => {
                let point = *POINTS.choose(random).unwrap_or(&POINTS[0]);
                Disturbance::KillPoint {
                    point,
                    count: random.random_range(1..=often(point)),
                }
            }
            46..59 => Disturbance::KillAfter(random.random_range(0..3_000)),
            59..62 => Disturbance::InterruptAfter(random.random_range(0..3_000)),
            62..65 => Disturbance::FreezeFor(random.random_range(100..2_000)),
            65..74 if has_server => Disturbance::Server {
                side: side(source, target, random),
                how: *[Down::Kill, Down::Immediate, Down::Fast]
                    .choose(random)
                    .unwrap_or(&Down::Kill),
                away: random.random_range(0..1_500),
            },
            74..80 if has_server => Disturbance::Sessions(side(source, target, random)),
            80..83 if has_server => Disturbance::CutOff {
                side: side(source, target, random),
                away: random.random_range(100..8_000),
            },
            83..86 if has_server => Disturbance::Dropped(side(source, target, random)),
            86..90 if source.is_sqlite() => Disturbance::KillWriter,
            // the disk of a whole server cannot be filled alone
            90..95 if !target.is_mysql() => Disturbance::FullDisk,
            95..100 => Disturbance::LoseCapture,
            _ => continue,
        };
        return drawn;
    }
}

/// How often a process surely passes a point, if it passes it at all.
fn often(point: &str) -> u32 {
    match point.split('.').next() {
        Some("capture" | "tables" | "foreign_keys") => 1,
        Some("key" | "unique" | "spill" | "reread" | "part") => 2,
        _ => 10,
    }
}

/// Puts the kill points into the order in which a migration passes them; the others stay where they are.
fn in_order_of_life(disturbances: &mut [Disturbance]) {
    let place = |one: &Disturbance| match one {
        Disturbance::KillPoint { point, .. } => POINTS.iter().position(|known| known == point),
        _ => None,
    };
    let places: Vec<usize> = (0..disturbances.len())
        .filter(|i| place(&disturbances[*i]).is_some())
        .collect();
    let mut points: Vec<Disturbance> = places.iter().map(|i| disturbances[*i]).collect();
    points.sort_by_key(place);
    for (i, point) in places.into_iter().zip(points) {
        disturbances[i] = point;
    }
}

/// A side that has a server.
fn side(source: Engine, target: Engine, random: &mut StdRng) -> Side {
    match (source.is_sqlite(), target.is_sqlite()) {
        (false, true) => Side::Source,
        (true, false) => Side::Target,
        _ if random.random() => Side::Source,
        _ => Side::Target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_thousand_seeds_pass_every_point_in_every_direction() {
        let plans: Vec<Plan> = (0..2_000).map(Plan::new).collect();
        for (source, target) in DIRECTIONS {
            let points: Vec<&str> = plans
                .iter()
                .filter(|plan| (plan.source, plan.target) == (*source, *target))
                .flat_map(|plan| &plan.disturbances)
                .filter_map(|one| match one {
                    Disturbance::KillPoint { point, .. } => Some(*point),
                    _ => None,
                })
                .collect();
            for point in POINTS {
                assert!(points.contains(point), "{source:?} to {target:?}: {point}");
            }
            let of_servers = plans
                .iter()
                .filter(|plan| (plan.source, plan.target) == (*source, *target))
                .flat_map(|plan| &plan.disturbances)
                .filter(|one| matches!(one, Disturbance::Server { .. }));
            let has_server = !source.is_sqlite() || !target.is_sqlite();
            assert_eq!(of_servers.count() > 0, has_server, "{source:?} {target:?}");
        }
        assert!(
            plans
                .iter()
                .any(|plan| plan.disturbances.contains(&Disturbance::LoseCapture))
        );
        assert!(
            plans
                .iter()
                .any(|plan| plan.disturbances.contains(&Disturbance::FullDisk))
        );
    }
}
