//! URLs of SQLite stores: `sqlite:PATH`.

use std::path::{Path, PathBuf};

use crossfade_store::{ErrorKind, Result, StoreError};

/// The file that a URL names, absolute. `sqlite:relative`, `sqlite:/absolute` and `sqlite:///absolute` are understood.
///
/// # Errors
/// [`ErrorKind::Usage`] for anything else.
pub(crate) fn path_of(url: &str) -> Result<PathBuf> {
    let usage = |what: &str| {
        StoreError::new(ErrorKind::Usage, "sqlite.url", url, what)
            .fix("Write sqlite:PATH, such as sqlite:/var/lib/shop.db")
    };
    let rest = url
        .strip_prefix("sqlite:")
        .ok_or_else(|| usage("the URL does not begin with sqlite:"))?;
    let path = match rest.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(_) => return Err(usage("a SQLite URL has no host")),
        None => rest,
    };
    if path.is_empty() {
        return Err(usage("the URL names no file"));
    }
    if path.contains(":memory:") || path.contains('\0') {
        return Err(usage(
            "a database in memory cannot be shared with an application",
        ));
    }
    if path.ends_with('/') || Path::new(path).is_dir() {
        return Err(usage("the URL names a directory"));
    }
    absolute(Path::new(path)).map_err(|e| usage("the path cannot be resolved").cause(e))
}

/// The path without links in its directory part, so that one file has one name and one lock.
fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    if let Ok(whole) = std::fs::canonicalize(path) {
        return Ok(whole);
    }
    let path = std::path::absolute(path)?;
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            Ok(std::fs::canonicalize(parent).map_or_else(|_| path.clone(), |p| p.join(name)))
        }
        _ => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_are_absolute_and_wrong_urls_are_usage_errors() {
        assert_eq!(
            path_of("sqlite:/no/such/x.db").unwrap(),
            Path::new("/no/such/x.db")
        );
        assert_eq!(
            path_of("sqlite:///no/such/x y?.db").unwrap(),
            Path::new("/no/such/x y?.db")
        );
        assert!(path_of("sqlite:x.db").unwrap().is_absolute());
        for url in [
            "x.db",
            "sqlite:",
            "sqlite://host/x.db",
            "sqlite::memory:",
            "sqlite:/tmp",
            "sqlite:x/",
            "postgres://a/b",
        ] {
            let error = path_of(url).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Usage, "{url}");
            assert!(error.fix.is_some());
        }
    }
}
