//! What a seed stands for: a direction, a switch or a rollback, a point in it, and what happens there.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::points::POINTS;
use crate::bank::Side;
use crate::database::Engine;
use crate::seed::generator;

/// The pairs of stores.
pub const PAIRS: &[(Engine, Engine)] = &[
    (Engine::Pg15, Engine::Pg17),
    (Engine::Sqlite, Engine::Sqlite),
    (Engine::Pg17, Engine::Sqlite),
    (Engine::Sqlite, Engine::Pg18),
    (Engine::Mysql97, Engine::Maria118),
    (Engine::Maria1011, Engine::Pg18),
    (Engine::Sqlite, Engine::Mysql97),
    (Engine::Mysql97, Engine::Mysql97),
];

/// What happens at the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The process is killed.
    Killed,
    /// It is killed, and the control store is set back to what it was before the order.
    ControlSetBack,
    /// It stands still; another, with a control store of its own, does the next command; the first goes on then.
    TakenOver,
    /// The same under its own control store, by `take-over`.
    TakenOverHere,
    /// Its sessions on one side are ended by the server.
    Sessions(Side),
    /// The one session that holds the fence is ended by the server, and nothing else.
    Holder(Side),
    /// The server of one side crashes and comes back.
    Crash(Side),
    /// Nothing comes through between it and one side for a while, and no connection is closed. `second`: another, which does reach
    /// both, does the next command meanwhile.
    CutOff {
        /// Which side.
        side: Side,
        /// Another takes over.
        second: bool,
    },
    /// The pooler before the applications, which is the route: this happens to it.
    Pooler(Pooler),
}

/// What happens to a pooler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooler {
    /// `kill -9`; it comes back as its configuration is then.
    Killed,
    /// It stands still for a while.
    Frozen,
    /// Nothing comes through between it and the process for a while; applications reach it.
    CutOff,
}

/// What ends a half-done order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// `run --until followed`.
    Run,
    /// The same order again.
    Again,
}

/// A whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Its seed.
    pub seed: u64,
    /// The migration's source.
    pub source: Engine,
    /// Its target.
    pub target: Engine,
    /// The order is a rollback, after a switch.
    pub rollback: bool,
    /// `run` does what the order says; else the order's own process.
    pub by_run: bool,
    /// Where it happens.
    pub point: &'static str,
    /// What happens.
    pub how: How,
    /// What ends it.
    pub ending: Ending,
    /// Authority goes the other way after it, and comes back.
    pub onward: bool,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let random = &mut generator(seed, 3_000);
        // neighbouring seeds take each pair in turn, so that a few of them see all
        let (source, target) = PAIRS[usize::try_from(seed).unwrap_or(0) % PAIRS.len()];
        let point = *POINTS.choose(random).unwrap_or(&POINTS[0]);
        let rollback = random.random();
        Self {
            seed,
            source,
            target,
            rollback,
            by_run: random.random(),
            point,
            how: how(source, target, rollback, random),
            ending: if random.random() {
                Ending::Run
            } else {
                Ending::Again
            },
            onward: random.random_range(0..3) > 0,
        }
    }
}

fn how(source: Engine, target: Engine, rollback: bool, random: &mut StdRng) -> How {
    let fenced = if rollback { Side::Target } else { Side::Source };
    let servers: Vec<Side> = [(Side::Source, source), (Side::Target, target)]
        .into_iter()
        .filter_map(|(side, engine)| (!engine.is_sqlite()).then_some(side))
        .collect();
    // it stands before servers of PostgreSQL, and leads from one to the other
    let pooled = [source, target].map(|engine| !engine.is_sqlite() && !engine.is_mysql());
    if pooled == [true, true] && random.random_range(0..4) == 0 {
        let poolers = [Pooler::Killed, Pooler::Frozen, Pooler::CutOff];
        return How::Pooler(*poolers.choose(random).unwrap_or(&Pooler::Killed));
    }
    loop {
        let side = servers.choose(random).copied();
        let drawn = match (random.random_range(0..100), side) {
            (0..30, _) => How::Killed,
            (30..40, _) => How::ControlSetBack,
            (40..52, _) => How::TakenOver,
            (52..60, _) => How::TakenOverHere,
            (60..67, Some(side)) => How::Sessions(side),
            (67..73, Some(_)) if servers.contains(&fenced) => How::Holder(fenced),
            (67..73, Some(side)) => How::Sessions(side),
            (73..86, Some(side)) => How::Crash(side),
            (86..100, Some(side)) => How::CutOff {
                side,
                second: random.random(),
            },
            _ => continue,
        };
        return drawn;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_hundred_seeds_do_everything_to_a_pooler() {
        for pooler in [Pooler::Killed, Pooler::Frozen, Pooler::CutOff] {
            let seen = (0..600).filter(|seed| Plan::new(*seed).how == How::Pooler(pooler));
            assert!(seen.count() >= 3, "{pooler:?}");
        }
    }

    #[test]
    fn some_hundred_seeds_see_every_point_in_every_pair() {
        let plans: Vec<Plan> = (0..600).map(Plan::new).collect();
        for (source, target) in PAIRS {
            for point in POINTS {
                let seen = plans.iter().any(|plan| {
                    (plan.source, plan.target) == (*source, *target) && plan.point == *point
                });
                assert!(seen, "{source:?} to {target:?}: {point}");
            }
        }
    }
}
