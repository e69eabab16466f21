//! Where a table is cut into chunks.

use crossfade_model::TableMapping;
use crossfade_plan::RunOptions;
use crossfade_store::{Bound, Source};

use crate::error::EngineError;

/// Chunks of one table at most: each has a durable row.
const MOST_CHUNKS: u64 = 4096;

/// How many chunks (or physical parts) a table is cut into, by its estimated size and the budgets.
pub(crate) fn chunk_count(mapping: &TableMapping, options: &RunOptions) -> usize {
    let table = &mapping.source;
    let by_bytes = table.estimated_bytes.div_ceil(options.chunk_bytes.max(1));
    let by_rows = table.estimated_rows.div_ceil(options.chunk_rows.max(1));
    by_bytes.max(by_rows).clamp(1, MOST_CHUNKS) as usize
}

/// The bounds between the chunks of an ordered table; none for one that is a single chunk.
pub(crate) async fn splits(
    source: &dyn Source,
    mapping: &TableMapping,
    options: &RunOptions,
) -> Result<Vec<Bound>, EngineError> {
    let chunks = chunk_count(mapping, options);
    if !mapping.source.is_ordered() || chunks < 2 {
        return Ok(Vec::new());
    }
    let mut snapshot = source.open_snapshot(&[mapping.source_table()]).await?;
    let bounds = snapshot.bounds(mapping, chunks).await?;
    snapshot.close().await?;
    Ok(bounds)
}
