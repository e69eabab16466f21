//! Sums of the digests of a query's rows: hashed by the thread that reads them, from SQLite's own memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossfade_model::{BucketSums, Cell, Digester, TableMapping, Value};
use crossfade_store::Result;
use crossfade_store::pace::{Pace, Rests};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::blocks::bind;
use crate::conn::{Place, blocking};

/// Rows after which a reading that nobody waits for is noticed.
const ROWS_AT_ONCE: usize = 1024;

/// Sums all rows of a query of the mapped columns. The connection is held until it ends; a dropped future ends it soon.
pub(crate) async fn sum_query(
    place: &Place,
    connection: Arc<Mutex<Connection>>,
    sql: String,
    parameters: Vec<Cell>,
    mapping: &TableMapping,
    digester: &Digester,
    pace: Option<&Pace>,
) -> Result<BucketSums> {
    let dropped = Arc::new(AtomicBool::new(false));
    let mut rests = Rests::new(pace);
    let _drop = SetOnDrop(Arc::clone(&dropped));
    let (at, mapping, mut digester) = (place.clone(), mapping.clone(), digester.clone());
    blocking(place, move || {
        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = at.failed("cannot read rows");
        let mut statement = connection.prepare_cached(&sql).map_err(&failed)?;
        bind(&mut statement, 1, &parameters).map_err(&failed)?;
        let mut rows = statement.raw_query();
        let mut sums = BucketSums::default();
        for number in 1.. {
            let Some(row) = rows.next().map_err(&failed)? else {
                break;
            };
            digester.begin();
            for (index, column) in mapping.columns.iter().enumerate() {
                let value = value(row.get_ref(index).map_err(&failed)?);
                digester.value(column.canonical, value);
            }
            sums.add(digester.end());
            if number % ROWS_AT_ONCE == 0 {
                if dropped.load(Ordering::Relaxed) {
                    break;
                }
                rests.take_blocking();
            }
        }
        Ok(sums)
    })
    .await
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn value(value: ValueRef<'_>) -> Option<Value<'_>> {
    Some(match value {
        ValueRef::Null => return None,
        ValueRef::Integer(i) => Value::Integer(i),
        ValueRef::Real(r) => Value::Real(r),
        ValueRef::Text(t) => Value::Text(t),
        ValueRef::Blob(b) => Value::Blob(b),
    })
}
