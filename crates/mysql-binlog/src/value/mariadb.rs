//! Types that MariaDB's log shows as mere bytes: who knows the column's type from the catalog can ask for the text.

use std::net::{Ipv4Addr, Ipv6Addr};

use crossfade_model::hex;

/// The text of a `UUID` column's 16 bytes, in lower case with hyphens.
///
/// The segments are stored last to first, so that times sort, unless the bytes are those of a version that sorts by itself
/// (from 6 on), or of none that the standard knows: then as they are written (MariaDB knowledge base, "UUID Data Type"; `sql_type_uuid.h`).
/// Tables of before MariaDB 10.11.5 may store all of them swapped: rebuild them (`ALTER TABLE … FORCE`) first.
pub fn uuid_text(stored: &[u8]) -> Option<String> {
    let stored: &[u8; 16] = stored.try_into().ok()?;
    // in the stored order of versions 1 to 5 the variant's bits stand at the seventh byte and the version's at the ninth
    let swapped = stored[6] & 0x80 != 0 && matches!(stored[8], 0x01..=0x5f);
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

/// The text of an `INET6` column's 16 bytes: the first longest run of zero groups is left out, also where it is a single one, and
/// an IPv4 address at the end is written as one (`Inet6::to_string` in `sql_type_inet.cc`).
pub fn inet6_text(stored: &[u8]) -> Option<String> {
    let stored: [u8; 16] = stored.try_into().ok()?;
    let groups = Ipv6Addr::from(stored).segments();
    let (gap, length) = longest_zeros(&groups);
    let [.., a, b, c, d] = stored;
    match (gap, length, groups[5]) {
        (0, 6, _) => return Some(format!("::{}", Ipv4Addr::new(a, b, c, d))),
        (0, 5, 0xffff) => return Some(format!("::ffff:{}", Ipv4Addr::new(a, b, c, d))),
        _ => {}
    }
    let written = |groups: &[u16]| {
        let groups: Vec<String> = groups.iter().map(|group| format!("{group:x}")).collect();
        groups.join(":")
    };
    let (before, rest) = groups.split_at_checked(gap)?;
    Some(match length {
        0 => written(&groups),
        _ => format!("{}::{}", written(before), written(rest.get(length..)?)),
    })
}

/// Where the first of the longest runs of zeros begins, and its length.
fn longest_zeros(groups: &[u16; 8]) -> (usize, usize) {
    let mut best = (0, 0);
    let mut length = 0;
    for (place, group) in groups.iter().enumerate() {
        length = if *group == 0 { length + 1 } else { 0 };
        if length > best.1 {
            best = (place + 1 - length, length);
        }
    }
    best
}

/// The text of an `INET4` column's 4 bytes.
pub fn inet4_text(stored: &[u8]) -> Option<String> {
    let stored: [u8; 4] = stored.try_into().ok()?;
    Some(Ipv4Addr::from(stored).to_string())
}
