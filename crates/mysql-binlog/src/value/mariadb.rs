//! Types that MariaDB's log shows as mere bytes: who knows the column's type from the catalog can ask for the text.

use std::net::{Ipv4Addr, Ipv6Addr};

use crossfade_model::hex;

/// The text of a `UUID` column's 16 bytes, in lower case with hyphens.
///
/// The segments are stored last to first, so that times sort, unless the bytes are those of a version that sorts by itself
/// (6 to 8): then as they are written (MariaDB knowledge base, "UUID Data Type"; `sql_type_uuid.h`).
pub fn uuid_text(stored: &[u8]) -> Option<String> {
    let stored: &[u8; 16] = stored.try_into().ok()?;
    // in the stored order of versions 1 to 5 the variant's bits stand at the seventh byte and the version's at the ninth
    let swapped = stored[6] & 0x80 != 0 && stored[8] & 0xf0 < 0x60 || stored == &[0; 16];
    let order: [usize; 16] = match swapped {
        true => [12, 13, 14, 15, 10, 11, 8, 9, 6, 7, 0, 1, 2, 3, 4, 5],
        false => std::array::from_fn(|place| place),
    };
    let written: Vec<u8> = order
        .iter()
        .filter_map(|place| stored.get(*place))
        .copied()
        .collect();
    let segment = |from: usize, to: usize| hex::encode(written.get(from..to).unwrap_or_default());
    Some(format!(
        "{}-{}-{}-{}-{}",
        segment(0, 4),
        segment(4, 6),
        segment(6, 8),
        segment(8, 10),
        segment(10, 16)
    ))
}

/// The text of an `INET6` column's 16 bytes.
pub fn inet6_text(stored: &[u8]) -> Option<String> {
    let stored: [u8; 16] = stored.try_into().ok()?;
    Some(Ipv6Addr::from(stored).to_string())
}

/// The text of an `INET4` column's 4 bytes.
pub fn inet4_text(stored: &[u8]) -> Option<String> {
    let stored: [u8; 4] = stored.try_into().ok()?;
    Some(Ipv4Addr::from(stored).to_string())
}
