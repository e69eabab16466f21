//! How much of what is durable on the target the server is told.

/// The furthest place that a stream's server may be told of, as confirmations and what it has read come in.
///
/// It reads what lay behind once more, from the slot's restart position; what it found there for an earlier reader
/// moves that position as soon as the confirmation goes beyond it (`logical.c`, `LogicalConfirmReceivedLocation`).
/// A checkpoint then removes log that this stream has yet to read. So a confirmation is held until the server has read that far.
#[derive(Debug, Default)]
pub struct Confirming {
    /// How far the server has read its log for this stream, as it said.
    read_up_to: u64,
    /// The confirmed position that it was told.
    told: u64,
}

impl Confirming {
    /// The server has read its log up to here, while this was `confirmed`; true where what was held may go out now.
    pub fn read(&mut self, at: u64, confirmed: u64) -> bool {
        let held = self.read_up_to < confirmed;
        self.read_up_to = self.read_up_to.max(at);
        held && self.read_up_to >= confirmed
    }

    /// What to tell the server of a confirmed position. Never goes back: servers before 18 would follow.
    pub fn tell(&mut self, confirmed: u64) -> u64 {
        if confirmed <= self.read_up_to {
            self.told = self.told.max(confirmed);
        }
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_server_has_not_read_is_held_until_it_has() {
        let mut confirming = Confirming::default();
        assert_eq!(confirming.tell(100), 0);
        assert!(!confirming.read(60, 100), "it is not there yet");
        assert_eq!(confirming.tell(100), 0);
        assert_eq!(confirming.tell(50), 50);
        assert!(confirming.read(100, 100), "told at once");
        assert_eq!(confirming.tell(100), 100);
        assert!(!confirming.read(200, 100), "nothing is held");
        assert_eq!(confirming.tell(150), 150);
    }

    #[test]
    fn one_that_is_held_takes_nothing_back() {
        let mut confirming = Confirming::default();
        confirming.read(100, 0);
        assert_eq!(confirming.tell(100), 100);
        assert_eq!(confirming.tell(120), 100);
        assert_eq!(confirming.tell(90), 100);
    }

    proptest! {
        #[test]
        fn it_is_told_nothing_that_was_not_read_or_not_confirmed_and_never_less(
            steps in proptest::collection::vec((any::<bool>(), 0..50_u64), 1..60)
        ) {
            let mut confirming = Confirming::default();
            let (mut confirmed, mut read, mut before) = (0, 0, 0);
            for (reads, to) in steps {
                if reads {
                    let free = confirming.read(to, confirmed);
                    prop_assert_eq!(free, read < confirmed && to >= confirmed);
                    read = read.max(to);
                } else {
                    confirmed = confirmed.max(to);
                }
                let told = confirming.tell(confirmed);
                prop_assert!(told <= read && told <= confirmed && told >= before);
                prop_assert!(told == confirmed || confirmed > read);
                before = told;
            }
        }
    }
}
