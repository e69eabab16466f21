//! What a snapshot sees, from the server's own words.

use crossfade_model::Snapshot;

/// Reads a `pg_snapshot`'s text, `xmin:xmax:xip,xip,…` (PostgreSQL documentation, "Transaction ID and Snapshot Information
/// Functions"). Ids are 64 bits wide.
///
/// Of a snapshot that a slot exports, `xmax` may lie below `xmin`: the one is behind the last commit that the slot counted, the other is
/// the oldest transaction that ran later, and all in between have ended. The server itself counts whatever is below `xmin` as ended.
#[must_use]
pub fn parse_snapshot(text: &str) -> Option<Snapshot> {
    let mut parts = text.split(':');
    let xmin: u64 = parts.next()?.parse().ok()?;
    let xmax: u64 = parts.next()?.parse().ok()?;
    let mut in_progress = match parts.next()? {
        "" => Vec::new(),
        list => list
            .split(',')
            .map(|x| x.parse::<u64>().ok())
            .collect::<Option<Vec<_>>>()?,
    };
    if parts.next().is_some() {
        return None;
    }
    let xmax = xmax.max(xmin);
    in_progress.retain(|xid| *xid >= xmin);
    in_progress.sort_unstable();
    Some(Snapshot::Transactions {
        xmin,
        xmax,
        in_progress,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_read_and_nothing_else() {
        assert_eq!(
            parse_snapshot("4294968000:4294968010:4294968000,4294968005"),
            Some(Snapshot::Transactions {
                xmin: 4_294_968_000,
                xmax: 4_294_968_010,
                in_progress: vec![4_294_968_000, 4_294_968_005],
            })
        );
        assert_eq!(
            parse_snapshot("7:7:"),
            Some(Snapshot::Transactions {
                xmin: 7,
                xmax: 7,
                in_progress: Vec::new(),
            })
        );
        assert_eq!(parse_snapshot("9:7:"), parse_snapshot("9:9:"));
        for text in ["", "7", "7:8", "7:8:9:", "7:8:a", "7:8:,", "-1:8:"] {
            assert_eq!(parse_snapshot(text), None, "{text}");
        }
    }
}
