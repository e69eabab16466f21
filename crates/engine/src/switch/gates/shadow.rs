//! What shadow reads have shown, from the file that whoever compares them keeps.

use std::io::Read as _;
use std::time::Duration;

use crossfade_plan::shadow::Shadow;
use crossfade_rules::gates::ShadowEvidence;
use serde::Deserialize;

/// Bytes that such a file has at most.
const LONGEST: u64 = 64 << 10;

/// The file: what else stands in it is somebody else's.
#[derive(Debug, Deserialize)]
struct Numbers {
    compared: u64,
    different: u64,
}

/// The numbers of now; `None` where the file is not there, is too old or cannot be read: the gate is then unknown.
pub(super) fn read(shadow: &Shadow) -> Option<ShadowEvidence> {
    match numbers(shadow) {
        Ok(numbers) => Some(ShadowEvidence {
            compared: numbers.compared,
            different: numbers.different,
        }),
        Err(why) => {
            tracing::warn!(file = %shadow.file.display(), why, "the numbers of shadow reads are not known");
            None
        }
    }
}

fn numbers(shadow: &Shadow) -> Result<Numbers, String> {
    let told = |error: std::io::Error| error.to_string();
    let about = std::fs::metadata(&shadow.file).map_err(told)?;
    // a pipe would be waited for
    if !about.is_file() {
        return Err("it is no file".to_owned());
    }
    let age = about.modified().map_err(told)?.elapsed();
    // one from the future is of a clock that was set
    if age.is_ok_and(|age| age > Duration::from_secs(shadow.age_seconds.into())) {
        return Err("it was not written for too long".to_owned());
    }
    let mut text = Vec::new();
    let file = std::fs::File::open(&shadow.file).map_err(told)?;
    file.take(LONGEST).read_to_end(&mut text).map_err(told)?;
    let numbers: Numbers = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    if numbers.different > numbers.compared {
        return Err("more reads differ than were compared".to_owned());
    }
    Ok(numbers)
}
