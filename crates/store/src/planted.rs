//! Defects that tests plant in the program itself, to show that a comparison finds what its own reading of the log cannot.
//!
//! `CROSSFADE_PLANTED=decoder` switches one on, in debug builds only: a release has no code that looks at the variable.

/// A defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// A value of the log that is longer than 20 bytes loses its last one.
    Decoder,
    /// The last two columns of a logged row stand in each other's place.
    Mapping,
    /// The last row of each block of a copy is lost, where it is handed over as cells.
    Copier,
}

/// Whether this defect is switched on.
#[cfg(debug_assertions)]
#[must_use]
pub fn planted(defect: Planted) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<Planted>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| match std::env::var("CROSSFADE_PLANTED").ok()?.as_str() {
        "decoder" => Some(Planted::Decoder),
        "mapping" => Some(Planted::Mapping),
        "copier" => Some(Planted::Copier),
        _ => None,
    });
    *chosen == Some(defect)
}

/// Never, in a release.
#[cfg(not(debug_assertions))]
#[must_use]
pub const fn planted(_: Planted) -> bool {
    false
}
