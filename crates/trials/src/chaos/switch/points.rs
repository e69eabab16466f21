//! The named points of a switch: `kill::SWITCH_POINTS` of the engine, written down once more, since trials share no code with it.

/// In the order in which a switch passes them.
pub const POINTS: &[&str] = &[
    "switch.laid",
    "switch.armed",
    "switch.fired",
    "switch.barrier",
    "switch.drained",
    "switch.proved",
    "switch.fenced",
    "switch.sequences",
    "switch.noted",
    "switch.given",
    "switch.opened",
    "switch.routed",
];
