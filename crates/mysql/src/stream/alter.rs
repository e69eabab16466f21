//! What stands behind the name in an `ALTER TABLE`.

use super::tokens::Token;

/// Whether another table may take the place of the named one, or its rows, or give it some.
pub(super) fn exchanges(rest: &[Token]) -> bool {
    let pairs = rest.iter().zip(rest.iter().skip(1));
    let of = |next: &Token, words: &[&str]| words.iter().any(|word| next.is(word));
    pairs.into_iter().any(|(one, next)| {
        (one.is("EXCHANGE") && next.is("PARTITION"))
            || (one.is("RENAME") && !of(next, &["COLUMN", "INDEX", "KEY"]))
            || (one.is("CONVERT") && of(next, &["TABLE", "PARTITION"]))
            || (of(one, &["DISCARD", "IMPORT"]) && of(next, &["PARTITION", "TABLESPACE"]))
    })
}

/// Whether partitions go with their rows, or lose them.
pub(super) fn empties(rest: &[Token]) -> bool {
    let mut pairs = rest.iter().zip(rest.iter().skip(1));
    pairs.any(|(one, next)| (one.is("TRUNCATE") || one.is("DROP")) && next.is("PARTITION"))
}

/// The actions, which commas part.
fn actions(rest: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0_usize;
    let actions = rest.split(|token| {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *token == Token::Sign(',')
    });
    // nothing at all rebuilds the table as it is
    actions.filter(|action| !action.is_empty()).collect()
}

fn word(action: &[Token], at: usize) -> &str {
    match action.get(at) {
        Some(Token::Word(upper, _)) => upper,
        _ => "",
    }
}

/// Whether indexes alone are added and taken, or it is said how that is done. `key`: the index that identifies a row, which must stay.
pub(super) fn only_indexes(rest: &[Token], key: &str) -> bool {
    actions(rest)
        .into_iter()
        .all(|action| is_index(action, key))
}

fn is_index(action: &[Token], key: &str) -> bool {
    let second = word(action, 1);
    match word(action, 0) {
        "ADD" => matches!(second, "INDEX" | "KEY" | "UNIQUE" | "FULLTEXT" | "SPATIAL"),
        "DROP" | "RENAME" => {
            let named = (2..5).any(|at| {
                action
                    .get(at)
                    .and_then(Token::name)
                    .is_some_and(|name| name.eq_ignore_ascii_case(key))
            });
            matches!(second, "INDEX" | "KEY") && !named
        }
        "ALTER" => second == "INDEX",
        "ALGORITHM" | "LOCK" | "AUTO_INCREMENT" | "COMMENT" | "FORCE" => true,
        _ => false,
    }
}

/// Whether every row of the table is there afterwards as it was before: what is added, constraints and indexes that go, options, partitions that are
/// cut otherwise. What is not known is not. Everything that crossfade itself does to a target's tables is among it ([`crate::ddl`]).
pub(super) fn keeps_rows(rest: &[Token]) -> bool {
    let mut lists = false;
    actions(rest).into_iter().all(|action| {
        // `REORGANIZE PARTITION p, q INTO (…)`
        if lists && (action.len() == 1 || word(action, 1) == "INTO") {
            return true;
        }
        lists = word(action, 1) == "PARTITION";
        let first = word(action, 0);
        match first {
            "ADD" => true,
            "DROP" => matches!(
                word(action, 1),
                "INDEX" | "KEY" | "PRIMARY" | "FOREIGN" | "CONSTRAINT" | "CHECK"
            ),
            "RENAME" => matches!(word(action, 1), "INDEX" | "KEY"),
            // defaults, what is shown, what is enforced
            "ALTER" | "ENABLE" | "DISABLE" | "WITH" | "WITHOUT" | "ORDER" => true,
            "ALGORITHM" | "LOCK" | "FORCE" => true,
            "PARTITION" | "REMOVE" | "UPGRADE" => true,
            "COALESCE" | "REORGANIZE" | "REBUILD" | "OPTIMIZE" | "ANALYZE" | "CHECK" => lists,
            "AUTO_INCREMENT" | "AVG_ROW_LENGTH" | "CHARACTER" | "CHARSET" | "CHECKSUM"
            | "COLLATE" | "COMMENT" | "COMPRESSION" | "DEFAULT" | "ENCRYPTION" | "ENGINE"
            | "KEY_BLOCK_SIZE" | "MAX_ROWS" | "MIN_ROWS" | "PACK_KEYS" | "ROW_FORMAT"
            | "STATS_AUTO_RECALC" | "STATS_PERSISTENT" | "STATS_SAMPLE_PAGES" | "TABLESPACE" => {
                keeps_engine(action)
            }
            _ => false,
        }
    })
}

/// Options of a table stand beside each other. Another engine may keep no rows at all.
fn keeps_engine(options: &[Token]) -> bool {
    let Some(at) = options.iter().position(|option| option.is("ENGINE")) else {
        return true;
    };
    let mut behind = options.iter().skip(at + 1);
    let name = behind.find(|token| **token != Token::Sign('='));
    let name = name.and_then(Token::name);
    name.is_some_and(|name| name.eq_ignore_ascii_case("InnoDB"))
}
