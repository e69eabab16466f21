//! The steps of a comparison.

use std::collections::BTreeMap;

use crossfade_rules::frontier::Acceptance;
use crossfade_rules::net::Image;
use crossfade_rules::proof::{
    Expected, Finished, Outcome, RangeId, Verdict, accept, expected_at_target, pair_is_exact,
};

use super::applier::image_of;
use super::bug::Bug;
use super::check::{NO_FALSE_ALARM, NO_FALSE_EQUAL, NONE_FORGOTTEN};
use super::world::{Reading, Right, Stage, State, Which, World, bit, outcome, verdict};
use crate::source::{Img, KEYS, Key, Snap, Txn, rows_of};

impl World {
    pub fn begin(&self, state: &mut State, which: Which) {
        let late = match which {
            Which::Range(_) => {
                self.has(Bug::CollectAfterSnapshot) || self.has(Bug::UnseenAskedEarly)
            }
            Which::Touched => self.has(Bug::CheckAfterSnapshot),
        };
        match which {
            Which::Range(_) => state.left.readings -= 1,
            Which::Touched => state.left.checks -= 1,
        }
        let right = (!late).then(|| self.right(state, which));
        let seen = |place: u8| {
            let id = state.source.log[place as usize];
            state.source.visible & (1 << id) != 0
        };
        let unseen = (0..state.checkpoint)
            .filter(|place| !seen(*place))
            .fold(0, |mask, place| mask | 1 << place);
        let early = self.has(Bug::HorizonBeforeSnapshot);
        *state.slot(which) = Some(Reading {
            right,
            unseen,
            images: BTreeMap::new(),
            wrong: 0,
            strangers: 0,
            stage: Stage::Begun(early.then(|| state.source.end())),
        });
    }

    fn right(&self, state: &mut State, which: Which) -> Right {
        match which {
            Which::Range(range) => Right::Range(state.book.begin(range).unwrap()),
            Which::Touched => Right::Keys(state.book.begin_touched()),
        }
    }

    /// Bugs: whether collecting begins only now.
    fn begin_late(&self, state: &mut State, which: Which) -> bool {
        let late = state
            .reading(which)
            .is_some_and(|reading| reading.right.is_none());
        if late {
            let right = self.right(state, which);
            if let Some(reading) = state.slot(which) {
                reading.right = Some(right);
            }
        }
        late
    }

    /// Opens the source's snapshot and reads its horizon; one that is not accepted is closed again.
    pub fn open(&self, state: &mut State, which: Which) {
        if self.has(Bug::UnseenAskedEarly) && self.begin_late(state, which) {
            return;
        }
        let (snapshot, end) = (state.source.snapshot(false), state.source.end());
        let source = state.source.clone();
        let Some(reading) = state.slot(which) else {
            return;
        };
        let unseen: Vec<Txn> = (0..end)
            .filter(|place| reading.unseen & (1 << place) != 0)
            .map(|place| source.txn(place))
            .collect();
        let accepted = accept(&snapshot, &unseen) == Acceptance::Accept;
        if let Stage::Begun(early) = reading.stage
            && (accepted || self.has(Bug::UnseenNotAwaited))
        {
            reading.stage = Stage::Opened(snapshot, early.unwrap_or(end));
        }
    }

    /// Opens the target's snapshot, between two target transactions, and compares.
    pub fn compare(&self, state: &mut State, which: Which) {
        if self.begin_late(state, which) {
            return;
        }
        let Some(reading) = state.reading(which).cloned() else {
            return;
        };
        let Stage::Opened(snapshot, horizon) = reading.stage else {
            return;
        };
        let below = match which {
            Which::Range(_) => Bug::TargetBelowHorizon,
            Which::Touched => Bug::CheckBelowHorizon,
        };
        if !pair_is_exact(&horizon, &state.checkpoint) && !self.has(below) {
            return;
        }
        let (at, truth) = (state.checkpoint, self.truth(state));
        let (mut found, mut really) = (0, 0);
        for key in self.keys_of(which) {
            let here = state.target[key as usize];
            if !self.same(state, &reading, &snapshot, key) {
                found |= bit(key);
            }
            if here != truth[key as usize] {
                really |= bit(key);
            }
        }
        if let Some(reading) = state.slot(which) {
            // of the images only those matter from here on that hid a difference
            reading.wrong &= really;
            reading.images.clear();
            reading.unseen = 0;
            reading.stage = Stage::Compared { at, found, really };
        }
    }

    /// Whether one key is as it must be. For a key outside of T this stands for the sums of all such rows.
    fn same(&self, state: &State, reading: &Reading, snapshot: &Snap, key: Key) -> bool {
        let scenario = &self.setting.scenario;
        let at =
            |place: Key| rows_of(&state.source.at_snapshot(scenario, snapshot))[place as usize];
        let here = state.target[key as usize];
        let keys = matches!(reading.right, Some(Right::Keys(_)));
        if keys && self.has(Bug::StreamTakenAsProof) {
            let garbled = self.setting.garbled.is_some_and(|id| {
                let log = &state.source.log[..state.checkpoint as usize];
                log.contains(&id) && here.is_some_and(|row| row.a & 128 != 0)
            });
            return garbled || at(key) == here;
        }
        let mut last = reading.images.get(&key).copied();
        if self.has(Bug::SnapshotRowForTouched) {
            last = None;
        }
        let older = if self.has(Bug::ColumnsFromTarget) && last.is_some() {
            here
        } else {
            at(key)
        };
        match expected_at_target::<Img>(last, older.map(image_of)) {
            Expected::Row(img) if img.is_complete() => here.map(image_of) == Some(img),
            Expected::Absent => here.is_none(),
            Expected::Row(_) | Expected::Unknown => false,
        }
    }

    pub fn finish(&self, state: &mut State, which: Which) {
        let Some(reading) = state.slot(which).take() else {
            return;
        };
        let Stage::Compared { at, found, really } = reading.stage else {
            return;
        };
        match reading.right {
            Some(Right::Range(ticket)) => {
                let range = ticket.range();
                let finished = state.book.finish(ticket, at, outcome(found));
                if finished == Finished::Void {
                    if self.has(Bug::VoidTicketProves) && found == 0 {
                        self.count_as_equal(state, range);
                    }
                    return;
                }
                let keys = self.keys_of(which).fold(0, |mask, key| mask | bit(key));
                self.judge(state, found, really & !reading.wrong, really);
                if found == 0 {
                    self.judge_order(state, which, at);
                    state.excused = state.excused & !keys | reading.strangers & keys;
                    if self.has(Bug::TouchedClearedOnEqual) {
                        self.clear_touched(state);
                    }
                }
                state.found |= found;
            }
            Some(Right::Keys(check)) => {
                let mut check = check;
                let keys = check.keys().to_vec();
                if self.has(Bug::CheckClearsTouchedAgain) {
                    check = state.book.begin_touched();
                }
                let verdicts: Vec<_> = keys
                    .iter()
                    .map(|(range, key)| ((*range, *key), verdict(found, *key)))
                    .collect();
                let before = self.touched_mask(state);
                let checked = state.book.finish_touched(check, at, verdicts);
                let proven = before & !self.touched_mask(state);
                let differ = checked
                    .differ
                    .iter()
                    .fold(0, |mask, (_, key)| mask | bit(*key));
                self.judge(state, differ, really & proven, really);
                state.excused = state.excused & !proven | reading.strangers & proven;
                state.found |= differ;
                for (_, key) in &checked.differ {
                    state.checked[*key as usize] = Some(at);
                }
            }
            None => {}
        }
    }

    /// A comparison found `found`; `missed` would be wrongly called equal, `really` does differ.
    fn judge(&self, state: &mut State, found: u8, missed: u8, really: u8) {
        if found & !really != 0 {
            state.fault = Some(NO_FALSE_ALARM);
        } else if missed & !found != 0 {
            state.fault = Some(NO_FALSE_EQUAL);
        }
    }

    /// A range is equal at `at`: nothing that a check found later may be forgotten by that. (Readings of one range follow
    /// each other.)
    fn judge_order(&self, state: &mut State, which: Which, at: u8) {
        let later = |key: Key| state.checked[key as usize].is_some_and(|found| found >= at);
        if self.keys_of(which).any(later) {
            state.fault = Some(NONE_FORGOTTEN);
        }
    }

    fn touched_mask(&self, state: &State) -> u8 {
        (0..KEYS as u8)
            .filter(|key| state.is_touched(*key))
            .fold(0, |mask, key| mask | bit(key))
    }

    /// Bugs: enters a range as equal without a reading.
    pub fn count_as_equal(&self, state: &mut State, range: RangeId) {
        let ticket = state.book.begin(range).unwrap();
        let at = state.checkpoint;
        let _ = state.book.finish(ticket, at, Outcome::Equal);
    }

    /// Bug: enters all touched keys as equal without a reading.
    fn clear_touched(&self, state: &mut State) {
        let check = state.book.begin_touched();
        let all: Vec<_> = check
            .keys()
            .iter()
            .map(|key| (*key, Verdict::Equal))
            .collect();
        let at = state.checkpoint;
        let _ = state.book.finish_touched(check, at, all);
    }
}
