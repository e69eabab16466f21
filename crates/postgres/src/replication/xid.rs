//! Transaction identities: the log carries 32 bits, snapshots carry 64.

/// Widens a 32-bit transaction id to 64 bits: of all numbers with these low bits, the one nearest to `reference`.
///
/// PostgreSQL never lets two live transaction ids be 2^31 or more apart (PostgreSQL documentation, "Preventing Transaction
/// ID Wraparound Failures"), and a slot holds back the horizon for what it has yet to decode, so a reference that is any
/// id between the slot's start and now gives the right number. Ids below the first epoch do not exist: near zero the
/// number is never negative.
#[must_use]
pub fn widen(xid: u32, reference: u64) -> u64 {
    // the distance as a signed 32-bit number is the shortest way round the circle
    let distance = xid.wrapping_sub(reference as u32) as i32;
    match reference.checked_add_signed(i64::from(distance)) {
        Some(widened) => widened,
        None => u64::from(xid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EPOCH: u64 = 1 << 32;

    #[test]
    fn ids_around_a_wraparound_go_to_their_own_epoch() {
        assert_eq!(widen(5, EPOCH - 10), EPOCH + 5);
        assert_eq!(widen(u32::MAX, EPOCH + 10), EPOCH - 1);
        assert_eq!(widen(0, EPOCH - 1), EPOCH);
        assert_eq!(widen(0, EPOCH), EPOCH);
        assert_eq!(widen(3, 7 * EPOCH + 3), 7 * EPOCH + 3);
    }

    #[test]
    fn the_first_epoch_has_nothing_below_it() {
        assert_eq!(widen(u32::MAX, 5), u64::from(u32::MAX));
        assert_eq!(widen(3, 0), 3);
    }

    proptest! {
        #[test]
        fn any_id_less_than_half_a_circle_away_is_found(
            reference in (EPOCH..1_000 * EPOCH),
            distance in -(i64::from(i32::MAX))..=i64::from(i32::MAX),
        ) {
            let id = reference.checked_add_signed(distance).unwrap_or(0);
            prop_assert_eq!(widen(id as u32, reference), id);
        }
    }
}
