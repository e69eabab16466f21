//! The named points at which the product can be told to die.

/// As `crates/engine/src/kill.rs` names them; a test keeps the two lists the same.
pub const POINTS: &[&str] = &[
    "capture.created",
    "capture.recorded",
    "tables.created",
    "chunk.snapshot",
    "chunk.rows",
    "chunk.before_commit",
    "chunk.after_commit",
    "part.before_commit",
    "part.after_commit",
    "key.before",
    "key.after",
    "apply.decided",
    "apply.rows",
    "apply.before_commit",
    "apply.after_commit",
    "apply.before_confirm",
    "spill.written",
    "spill.half",
    "reread.read",
    "unique.before",
    "unique.after",
    "foreign_keys.after",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_the_product_s() {
        let text = include_str!("../../../engine/src/kill.rs");
        let (_, rest) = text
            .split_once("POINTS: &[&str] = &[")
            .expect("a list of points");
        let (list, _) = rest.split_once("];").expect("its end");
        let named: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
        assert_eq!(named, POINTS);
    }
}
