//! What shadow reads have shown, from the file that whoever compares them keeps.

use std::io::Read as _;
use std::time::Duration;

use crossfade_plan::shadow::Shadow;
use crossfade_rules::gates::ShadowEvidence;
use serde::Deserialize;

/// Bytes that such a file has at most.
const LONGEST: u64 = 64 << 10;

/// How far the clock of whoever writes the file may be ahead.
const SKEW: Duration = Duration::from_secs(60);

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
    // a pipe would be waited for
    if !std::fs::metadata(&shadow.file).map_err(told)?.is_file() {
        return Err("it is no file".to_owned());
    }
    let file = std::fs::File::open(&shadow.file).map_err(told)?;
    // of the file that is read: another one may have taken its place
    let written = file.metadata().and_then(|about| about.modified());
    let most = Duration::from_secs(shadow.age_seconds.into());
    match written.map_err(told)?.elapsed() {
        Ok(age) if age <= most => {}
        Ok(_) => return Err("it was not written for too long".to_owned()),
        // clocks of two machines may differ a little
        Err(ahead) if ahead.duration() <= SKEW => {}
        Err(_) => return Err("it was written in the future: a clock was set".to_owned()),
    }
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).map_err(told)?;
    let numbers: Numbers = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    if numbers.different > numbers.compared {
        return Err("more reads differ than were compared".to_owned());
    }
    Ok(numbers)
}
