//! Texts of the log, which are in their columns' own character sets, as UTF-8: what snapshots read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use crossfade_store::{CaptureSpec, Result};

use crate::connect::Client;
use crate::names::literal;
use crate::server::Flavor;

/// Asked of the server for each of the 256 characters of a set that has no more.
type Characters = Vec<Option<String>>;

/// How a column's bytes are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Charset {
    /// As they are.
    Utf8,
    /// One byte, one character.
    Single(Arc<Characters>),
    /// Units of two bytes; the high one first, or the low one.
    Utf16 { low_first: bool },
    /// Units of four bytes, the high one first.
    Utf32,
}

impl Charset {
    /// The text as UTF-8; `None` where it is none.
    pub fn decode(&self, bytes: &Bytes) -> Option<Bytes> {
        match self {
            Charset::Utf8 => Some(bytes.clone()),
            Charset::Single(characters) if bytes.is_ascii() && is_ascii(characters) => {
                Some(bytes.clone())
            }
            Charset::Single(characters) => {
                let mut out = String::with_capacity(bytes.len() * 2);
                for byte in bytes {
                    out.push_str(characters.get(usize::from(*byte))?.as_deref()?);
                }
                Some(out.into())
            }
            Charset::Utf16 { low_first } => {
                let pairs = bytes.chunks_exact(2);
                if !pairs.remainder().is_empty() {
                    return None;
                }
                let units = pairs.map(|pair| match (pair, low_first) {
                    (&[low, high], true) | (&[high, low], false) => u16::from_be_bytes([high, low]),
                    // chunks are pairs
                    _ => 0,
                });
                let text: std::result::Result<String, _> = char::decode_utf16(units).collect();
                text.ok().map(Bytes::from)
            }
            Charset::Utf32 => {
                let units = bytes.chunks_exact(4);
                if !units.remainder().is_empty() {
                    return None;
                }
                let text: Option<String> = units
                    .map(|unit| char::from_u32(u32::from_be_bytes(unit.try_into().ok()?)))
                    .collect();
                text.map(Bytes::from)
            }
        }
    }
}

/// Whether the first 128 characters are ASCII's (not so in `swe7`).
fn is_ascii(characters: &Characters) -> bool {
    characters.iter().take(128).enumerate().all(|(code, text)| {
        text.as_ref()
            .is_some_and(|text| text.as_bytes() == [code as u8])
    })
}

/// The character sets of the mapped tables, by collations' numbers.
#[derive(Debug, Default)]
pub(super) struct Charsets {
    names: BTreeMap<u16, String>,
    sets: BTreeMap<String, Charset>,
}

const DOING: &str = "reading the server's character sets";

impl Charsets {
    /// Asks the server. Sets that cannot be read here are left out: `plan` refuses their columns.
    pub async fn read(client: &mut Client, spec: &CaptureSpec) -> Result<Charsets> {
        let mut out = Charsets {
            names: collations(client).await?,
            sets: BTreeMap::new(),
        };
        for name in used(client, spec).await? {
            if let Some(set) = charset(client, &name).await? {
                out.sets.insert(name, set);
            }
        }
        Ok(out)
    }

    /// The character set of a collation, or its name, where it cannot be read.
    pub fn of(&self, collation: u16) -> std::result::Result<Charset, String> {
        let name = self
            .names
            .get(&collation)
            .ok_or_else(|| format!("of collation {collation}"))?;
        self.sets.get(name).cloned().ok_or_else(|| name.clone())
    }

    /// UTF-8 alone, as collation 45 (`utf8mb4_general_ci`).
    #[cfg(test)]
    pub fn utf8() -> Charsets {
        Charsets {
            names: [(45, "utf8mb4".to_owned())].into(),
            sets: [("utf8mb4".to_owned(), Charset::Utf8)].into(),
        }
    }
}

/// Names of character sets by the numbers of their collations.
async fn collations(client: &mut Client) -> Result<BTreeMap<u16, String>> {
    // collations of several character sets have no row of their own there (MariaDB 10.10 and later)
    let sql = match client.server.flavor {
        Flavor::Mariadb if client.server.version >= 101_000 => {
            "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY"
        }
        _ => "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS",
    };
    let rows = client.texts(DOING, sql).await?;
    Ok(rows
        .iter()
        .filter_map(|row| Some((row.number(0)?, row.text(1).to_owned())))
        .collect())
}

/// The character sets that the mapped tables use.
async fn used(client: &mut Client, spec: &CaptureSpec) -> Result<BTreeSet<String>> {
    let names: Vec<String> = spec
        .tables
        .iter()
        .map(|mapping| literal(&mapping.source.name.name))
        .collect();
    if names.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows = client
        .texts(
            DOING,
            &format!(
                "SELECT DISTINCT CHARACTER_SET_NAME FROM information_schema.COLUMNS
                 WHERE TABLE_SCHEMA = DATABASE() AND CHARACTER_SET_NAME IS NOT NULL AND TABLE_NAME IN ({})",
                names.join(", ")
            ),
        )
        .await?;
    Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
}

/// How a set is read; `None` where it has characters of several bytes in a form that is not known here.
pub(super) async fn charset(client: &mut Client, name: &str) -> Result<Option<Charset>> {
    Ok(match name {
        "utf8mb4" | "utf8mb3" | "utf8" | "ascii" => Some(Charset::Utf8),
        "ucs2" | "utf16" => Some(Charset::Utf16 { low_first: false }),
        "utf16le" => Some(Charset::Utf16 { low_first: true }),
        "utf32" => Some(Charset::Utf32),
        _ if is_single(client, name).await? => {
            Some(Charset::Single(Arc::new(characters(client, name).await?)))
        }
        _ => None,
    })
}

async fn is_single(client: &mut Client, name: &str) -> Result<bool> {
    let row = client
        .text_row(
            DOING,
            &format!(
                "SELECT MAXLEN FROM information_schema.CHARACTER_SETS WHERE CHARACTER_SET_NAME = {}",
                literal(name)
            ),
        )
        .await?;
    // only a name that the server has listed is put into a statement
    Ok(row.is_some_and(|row| row.text(0) == "1")
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_'))
}

async fn characters(client: &mut Client, name: &str) -> Result<Characters> {
    let all: Vec<String> = (0..=255_u8)
        .map(|byte| format!("CONVERT(_{name} x'{byte:02x}' USING utf8mb4)"))
        .collect();
    let row = client
        .text_row(DOING, &format!("SELECT {}", all.join(", ")))
        .await?;
    Ok((0..256)
        .map(|place| {
            let text = row.as_ref()?.get(place)?;
            // what has no character is shown as one
            let absent = text.is_empty() || (text == "?" && place != usize::from(b'?'));
            (!absent).then(|| text.to_owned())
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(charset: &Charset, bytes: &[u8]) -> Option<String> {
        let text = charset.decode(&Bytes::copy_from_slice(bytes))?;
        String::from_utf8(text.to_vec()).ok()
    }

    #[test]
    fn units_of_several_bytes_are_read_and_halves_are_not() {
        let big = Charset::Utf16 { low_first: false };
        let little = Charset::Utf16 { low_first: true };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            decoded(&big, &[0, 0x61, 0xd8, 0x3d, 0xde, 0]),
            some("a\u{1f600}")
        );
        assert_eq!(decoded(&little, &[0x61, 0, 0xe9, 0]), some("aé"));
        assert_eq!(
            decoded(&Charset::Utf32, &[0, 1, 0xf6, 0]),
            some("\u{1f600}")
        );
        for wrong in [&[0_u8][..], &[0xd8, 0x3d]] {
            assert_eq!(decoded(&big, wrong), None);
        }
        assert_eq!(decoded(&Charset::Utf32, &[0, 0, 0]), None);
        assert_eq!(decoded(&Charset::Utf32, &[0xff, 0, 0, 0]), None);
    }

    #[test]
    fn characters_of_one_byte_are_looked_up() {
        let mut characters: Characters = (0..=255_u8)
            .map(|byte| Some(char::from(byte).to_string()))
            .collect();
        characters[0x81] = None;
        let set = Charset::Single(Arc::new(characters.clone()));
        assert_eq!(decoded(&set, b"caf\xe9"), Some("café".to_owned()));
        assert_eq!(decoded(&set, b"plain"), Some("plain".to_owned()));
        assert_eq!(decoded(&set, b"\x81"), None);
        // a set whose `a` is another character
        characters[0x61] = Some("ä".to_owned());
        let other = Charset::Single(Arc::new(characters));
        assert_eq!(decoded(&other, b"a"), Some("ä".to_owned()));
    }
}
