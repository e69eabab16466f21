//! The applier, and what it tells the book and those who collect.

use crossfade_rules::net::Image;
use crossfade_rules::proof::{LastImage, Repair, may_repair};

use super::bug::Bug;
use super::world::{Stage, State, Touch, Which, World, bit};
use crate::source::{Change, Img, KEYS, Key, Row};

/// How the decoder of a garbled transaction is wrong.
fn garble(img: Img) -> Img {
    Img {
        a: img.a | 128,
        b: img.b.map(|b| b | 128),
    }
}

pub fn image_of(row: Row) -> Img {
    Img {
        a: row.a,
        b: Some(row.b),
    }
}

impl World {
    /// Applies the next transaction: one target transaction, and its critical section.
    pub fn apply(&self, state: &mut State) {
        let touches = self.next_touches(state);
        if self.has(Bug::TouchedEarly) {
            self.tell(state, &touches);
            state.outside = touches;
            return;
        }
        self.write_next(state);
        if self.has(Bug::TouchedLate) {
            state.outside = touches;
        } else {
            self.tell(state, &touches);
        }
    }

    /// Bugs: the other half of applying.
    pub fn touch_outside(&self, state: &mut State) {
        let touches = std::mem::take(&mut state.outside);
        if self.has(Bug::TouchedEarly) {
            self.write_next(state);
        } else {
            self.tell(state, &touches);
        }
    }

    /// The next transaction's changes as they are decoded, and whether that is wrong.
    fn decoded(&self, state: &State) -> (Vec<Change>, bool) {
        let id = state.source.txn(state.checkpoint).id;
        let garbled = self.setting.garbled == Some(id);
        let mut changes = state.source.changes(&self.setting.scenario, id).to_vec();
        for change in changes.iter_mut().filter(|_| garbled) {
            match change {
                Change::Put(_, row, _) => {
                    let wrong = garble(image_of(*row));
                    *row = Row {
                        a: wrong.a,
                        b: wrong.b.unwrap(),
                    };
                }
                Change::Update { img, .. } => *img = garble(*img),
                _ => {}
            }
        }
        (changes, garbled)
    }

    /// One target transaction.
    pub fn write_next(&self, state: &mut State) {
        for change in self.decoded(state).0 {
            match change {
                Change::Put(key, row, _) => state.target[key as usize] = Some(row),
                Change::Delete(key) => state.target[key as usize] = None,
                Change::Update { old, new, img, .. } => {
                    let before = state.target[old as usize].take();
                    let b = img.b.or(before.map(|row| row.b)).unwrap_or(0);
                    state.target[new as usize] = Some(Row { a: img.a, b });
                }
                _ => state.target = [None; KEYS],
            }
        }
        state.checkpoint += 1;
    }

    fn next_touches(&self, state: &State) -> Vec<Touch> {
        let (changes, garbled) = self.decoded(state);
        let mut touches = Vec::new();
        for change in changes {
            match change {
                Change::Put(key, row, _) => {
                    let image = LastImage::Row(image_of(row));
                    touches.push(Touch::Key(key, image, garbled));
                }
                Change::Delete(key) => {
                    touches.push(Touch::Key(key, LastImage::Gone, false));
                }
                Change::Update { old, new, img, .. } => {
                    if old != new {
                        touches.push(Touch::Moved(old));
                    }
                    touches.push(Touch::Key(new, LastImage::Row(img), garbled));
                }
                _ => touches.push(Touch::All),
            }
        }
        touches
    }

    fn tell(&self, state: &mut State, touches: &[Touch]) {
        for touch in touches {
            match touch {
                Touch::Key(key, image, wrong) => self.touch(state, *key, *image, *wrong),
                Touch::Moved(key) if !self.has(Bug::KeyChangeTouchesNew) => {
                    self.touch(state, *key, LastImage::Gone, false);
                }
                Touch::All if !self.has(Bug::TruncateNotTouched) => {
                    for range in state.book.ranges() {
                        state.book.touch_all(range);
                    }
                }
                _ => {}
            }
        }
    }

    fn touch(&self, state: &mut State, key: Key, image: LastImage<Img>, wrong: bool) {
        let range = self.range_of(key);
        let kept = state.book.touched().filter(|(of, _)| *of == range).count();
        let forgets =
            self.has(Bug::OverflowForgets) && kept >= self.setting.bound && !state.is_touched(key);
        let reading = state.reading(Which::Range(range));
        let ended = self.has(Bug::CollectEndsAtTarget)
            && reading.is_some_and(|reading| matches!(reading.stage, Stage::Compared { .. }));
        if !forgets && !ended {
            state.book.touch(range, &key);
        }
        self.collect(state, key, image, wrong);
    }

    /// Each comparison that has not compared yet keeps the last image of each key.
    fn collect(&self, state: &mut State, key: Key, image: LastImage<Img>, wrong: bool) {
        for which in state.book.ranges().map(Which::Range) {
            let here = self.keys_of(which).any(|other| other == key);
            let Some(reading) = state.slot(which).as_mut().filter(|_| here) else {
                continue;
            };
            if matches!(reading.stage, Stage::Compared { .. }) || reading.right.is_none() {
                continue;
            }
            let before = reading.images.get(&key).copied();
            let (image, kept) = match (before, image) {
                (Some(LastImage::Row(mut before)), LastImage::Row(thin)) if thin.b.is_none() => {
                    before.overlay(thin);
                    (LastImage::Row(before), reading.wrong & bit(key) != 0)
                }
                _ => (image, false),
            };
            reading.images.insert(key, image);
            reading.wrong &= !bit(key);
            if wrong || kept {
                reading.wrong |= bit(key);
            }
        }
    }

    /// Whether a repair can be made now: a row that was found to differ, under the cap, read at a snapshot that shows the
    /// checkpoint. (Snapshots that show another are the frontier's matter.)
    pub fn may_repair(&self, state: &State, key: Key) -> bool {
        let log = &state.source.log[..state.checkpoint as usize];
        let applied = log.iter().fold(0, |mask, id| mask | 1_u8 << id);
        state.found & bit(key) != 0
            && state.outside.is_empty()
            && may_repair(state.left.repaired + 1, self.setting.repairs) == Repair::Repair
            && state.source.visible == applied
    }

    pub fn repair(&self, state: &mut State, key: Key, row: Option<Row>) {
        let range = self.range_of(key);
        let wrong = row != self.truth(state)[key as usize];
        state.target[key as usize] = row;
        state.left.repaired += 1;
        state.found &= !bit(key);
        state.checked[key as usize] = None;
        if !self.has(Bug::RepairedNotTouched) {
            state.book.repaired(range, &key);
        }
        if !self.has(Bug::RepairNotCollected) {
            let image = row.map_or(LastImage::Gone, |row| LastImage::Row(image_of(row)));
            self.collect(state, key, image, wrong);
        }
        if self.has(Bug::RepairedCountsAsEqual) {
            self.count_as_equal(state, range);
        }
    }
}
