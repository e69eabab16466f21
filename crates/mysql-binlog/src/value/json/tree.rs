//! Differences of JSON documents (MySQL worklog 2955, "RBR replication of partial JSON updates"; `Json_diff_vector` in
//! `sql/json_diff.cc`): an operation, a path and, but for removals, a value in binary form.

use bytes::Bytes;

use super::{Container, DEEPEST, MOST_GROWTH, Writer, broken};
use crate::cursor::Cursor;
use crate::error::Result;

/// A document.
enum Tree {
    /// Members in the server's order: by the length of their keys, then by bytes.
    Object(Vec<(Vec<u8>, Tree)>),
    Array(Vec<Tree>),
    /// As text.
    Scalar(Vec<u8>),
}

/// One step of a path.
enum Leg {
    Member(Vec<u8>),
    Cell(usize),
}

/// Appends the text of a document after its differences.
pub(in crate::value) fn write_changed(
    document: &[u8],
    differences: Bytes,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut tree = Tree::document(document)?;
    let mut cursor = Cursor::new(differences);
    while !cursor.is_empty() {
        const WHAT: &str = "a difference of JSON";
        let operation = cursor.u8(WHAT)?;
        let path = path(&cursor.lenenc_bytes(WHAT)?).ok_or_else(broken)?;
        let value = match operation {
            2 => None,
            _ => Some(Tree::document(&cursor.lenenc_bytes(WHAT)?)?),
        };
        match (operation, value) {
            (0, Some(value)) => *tree.find(&path).ok_or_else(broken)? = value,
            (1, Some(value)) => tree.insert(&path, value).ok_or_else(broken)?,
            (2, None) => tree.remove(&path).ok_or_else(broken)?,
            _ => return Err(broken()),
        }
    }
    tree.write(out);
    Ok(())
}

impl Tree {
    fn document(document: &[u8]) -> Result<Tree> {
        let (kind, body) = document.split_first().ok_or_else(broken)?;
        // a limit for all of it, as parts of a broken one may overlap
        let mut budget = document.len() * MOST_GROWTH + 64;
        Tree::read(*kind, body, 0, &mut budget)
    }

    fn read(kind: u8, body: &[u8], depth: usize, budget: &mut usize) -> Result<Tree> {
        if depth > DEEPEST {
            return Err(broken());
        }
        *budget = budget.checked_sub(1).ok_or_else(broken)?;
        let width = if matches!(kind, 0 | 2) { 2 } else { 4 };
        match kind {
            0 | 1 => {
                let container = Container::read(body, width, true)?;
                let member = |index| {
                    let (kind, body) = container.value(index)?;
                    let value = Tree::read(kind, body, depth + 1, budget)?;
                    Ok((container.key(index)?.to_vec(), value))
                };
                (0..container.count)
                    .map(member)
                    .collect::<Result<_>>()
                    .map(Tree::Object)
            }
            2 | 3 => {
                let container = Container::read(body, width, false)?;
                let cell = |index| {
                    let (kind, body) = container.value(index)?;
                    Tree::read(kind, body, depth + 1, budget)
                };
                (0..container.count)
                    .map(cell)
                    .collect::<Result<_>>()
                    .map(Tree::Array)
            }
            _ => {
                let mut out = Vec::new();
                let limit = *budget;
                Writer {
                    out: &mut out,
                    limit,
                }
                .value(kind, body, depth)?;
                *budget = budget.checked_sub(out.len()).ok_or_else(broken)?;
                Ok(Tree::Scalar(out))
            }
        }
    }

    /// What a path leads to.
    fn find(&mut self, path: &[Leg]) -> Option<&mut Tree> {
        path.iter().try_fold(self, |tree, leg| match (tree, leg) {
            (Tree::Object(members), Leg::Member(name)) => members
                .iter_mut()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value),
            (Tree::Array(cells), Leg::Cell(index)) => cells.get_mut(*index),
            _ => None,
        })
    }

    /// Adds a member or a cell.
    fn insert(&mut self, path: &[Leg], value: Tree) -> Option<()> {
        let (last, parent) = path.split_last()?;
        match (self.find(parent)?, last) {
            (Tree::Object(members), Leg::Member(name)) => {
                let order = |key: &[u8]| (key.len(), key.to_vec());
                let place = members.partition_point(|(key, _)| order(key) < order(name));
                members.insert(place, (name.clone(), value));
            }
            // a place behind the end is the end
            (Tree::Array(cells), Leg::Cell(index)) => cells.insert(cells.len().min(*index), value),
            _ => return None,
        }
        Some(())
    }

    /// Takes a member or a cell out.
    fn remove(&mut self, path: &[Leg]) -> Option<()> {
        let (last, parent) = path.split_last()?;
        match (self.find(parent)?, last) {
            (Tree::Object(members), Leg::Member(name)) => {
                let place = members.iter().position(|(key, _)| key == name)?;
                members.remove(place);
            }
            (Tree::Array(cells), Leg::Cell(index)) if *index < cells.len() => {
                cells.remove(*index);
            }
            _ => return None,
        }
        Some(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        let between = |index: usize, out: &mut Vec<u8>| {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
        };
        match self {
            Tree::Scalar(text) => out.extend_from_slice(text),
            Tree::Array(cells) => {
                out.push(b'[');
                for (index, cell) in cells.iter().enumerate() {
                    between(index, out);
                    cell.write(out);
                }
                out.push(b']');
            }
            Tree::Object(members) => {
                out.push(b'{');
                for (index, (key, value)) in members.iter().enumerate() {
                    between(index, out);
                    Writer {
                        out,
                        limit: usize::MAX,
                    }
                    .string(key);
                    out.extend_from_slice(b": ");
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }
}

/// `$`, then `.name`, `."any name"` or `[3]` (reference manual, "JSON Path Syntax"); differences have no wildcards.
fn path(text: &[u8]) -> Option<Vec<Leg>> {
    let mut left = text.strip_prefix(b"$")?;
    let mut legs = Vec::new();
    while let Some((first, rest)) = left.split_first() {
        let leg = match first {
            b'[' => {
                let end = rest.iter().position(|c| *c == b']')?;
                let index = std::str::from_utf8(rest.get(..end)?).ok()?;
                left = rest.get(end + 1..)?;
                Leg::Cell(index.trim().parse().ok()?)
            }
            b'.' if rest.first() == Some(&b'"') => {
                let end = quoted_end(rest)?;
                let (quoted, after) = rest.split_at_checked(end)?;
                left = after;
                Leg::Member(unquoted(quoted)?)
            }
            b'.' => {
                let stop = rest.iter().position(|c| matches!(c, b'.' | b'['));
                let (name, after) = rest.split_at_checked(stop.unwrap_or(rest.len()))?;
                left = after;
                Leg::Member(name.to_vec())
            }
            _ => return None,
        };
        if legs.len() > DEEPEST {
            return None;
        }
        legs.push(leg);
    }
    Some(legs)
}

/// Where a quoted name ends.
fn quoted_end(text: &[u8]) -> Option<usize> {
    let mut escaped = true;
    for (index, c) in text.iter().enumerate() {
        match c {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(index + 1),
            _ => {}
        }
    }
    None
}

/// A JSON string's content.
fn unquoted(quoted: &[u8]) -> Option<Vec<u8>> {
    let mut left = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut name = Vec::with_capacity(left.len());
    while let Some((first, rest)) = left.split_first() {
        left = rest;
        if *first != b'\\' {
            name.push(*first);
            continue;
        }
        let (escape, rest) = left.split_first()?;
        left = rest;
        name.push(match escape {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                // the server escapes so only control characters
                let (digits, rest) = left.split_at_checked(4)?;
                left = rest;
                let digits = std::str::from_utf8(digits).ok()?;
                u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)?
            }
            other => *other,
        });
    }
    Some(name)
}
