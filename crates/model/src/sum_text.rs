//! The lanes of a sum as 16 hexadecimal digits each: many readers of JSON round numbers beyond 2^53.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::BucketSum;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    rows: u64,
    first: String,
    second: String,
}

/// Writes a sum, for serde's `with`.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(sum: &BucketSum, serializer: S) -> Result<S::Ok, S::Error> {
    Text {
        rows: sum.rows,
        first: format!("{:016x}", sum.first),
        second: format!("{:016x}", sum.second),
    }
    .serialize(serializer)
}

/// Reads a sum, for serde's `with`.
///
/// # Errors
/// An unknown field, a lane that is no hexadecimal number of 64 bits.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BucketSum, D::Error> {
    let text = Text::deserialize(deserializer)?;
    let lane = |digits: &str| u64::from_str_radix(digits, 16).map_err(serde::de::Error::custom);
    Ok(BucketSum {
        rows: text.rows,
        first: lane(&text.first)?,
        second: lane(&text.second)?,
    })
}
