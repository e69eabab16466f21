//! Names of what a migration makes on a source.

use crate::table_info::OWN_PREFIX;

/// Suffixes of triggers: after insert, after update, after delete, before insert, before update.
pub(crate) const TRIGGER_SUFFIXES: [&str; 5] = ["ai", "au", "ad", "bi", "bu"];

/// Who the file is; shared by all migrations.
pub(crate) const IDENTITY_TABLE: &str = "_crossfade_identity";

/// The change table: one row a logged key.
pub(crate) fn change_table(migration: &str) -> String {
    format!("{OWN_PREFIX}{migration}_change")
}

/// The state table: one row.
pub(crate) fn state_table(migration: &str) -> String {
    format!("{OWN_PREFIX}{migration}_state")
}

/// A trigger on table number `id`.
pub(crate) fn trigger(migration: &str, id: u32, suffix: &str) -> String {
    format!("{OWN_PREFIX}{migration}_t{id}_{suffix}")
}

/// True for the name of a trigger of this migration, and not for one of `shop_t1_x` when asked for `shop`.
pub(crate) fn is_trigger_of(migration: &str, name: &str) -> bool {
    let parts = || {
        let rest = name
            .strip_prefix(OWN_PREFIX)?
            .strip_prefix(migration)?
            .strip_prefix("_t")?;
        let (id, suffix) = rest.split_once('_')?;
        let whole = id.parse::<u32>().is_ok() && TRIGGER_SUFFIXES.contains(&suffix);
        whole.then_some(())
    };
    parts().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_do_not_take_each_others_triggers() {
        assert!(is_trigger_of("shop", &trigger("shop", 12, "bi")));
        assert!(!is_trigger_of("shop", &trigger("shop_t1", 2, "ai")));
        assert!(!is_trigger_of("shop_t1", &trigger("shop", 1, "ai")));
        assert!(!is_trigger_of("shop", &change_table("shop")));
    }
}
