//! Finding the machine's own package mirror in apt's sources, in either of their two formats:
//! one-line (`deb [options] URI suite component…`) and deb822 (`URIs:` fields in stanzas).

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// One place that binary packages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
}

/// The mirror that serves the machine's own release, as apt would read it now.
///
/// # Errors
/// When apt has no source that looks like one of Debian's mirrors.
pub fn debian_mirror() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let codename = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .unwrap_or_default();
    let sources: Vec<Source> = source_files()
        .iter()
        .flat_map(|path| read_sources(path))
        .collect();
    choose(&sources, &codename).ok_or_else(|| {
        Failure::new("apt's sources name no Debian mirror: add one to /etc/apt/sources.list.d")
    })
}

fn source_files() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    files
}

/// Files that cannot be read or have another ending are ignored, as apt does.
fn read_sources(path: &Path) -> Vec<Source> {
    let Ok(text) = fs::read_to_string(path) else {
        return Vec::new();
    };
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("list") => text.lines().filter_map(one_line).collect(),
        Some("sources") => stanzas(&text)
            .iter()
            .filter_map(|fields| deb822(fields))
            .collect(),
        _ => Vec::new(),
    }
}

fn one_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t', '[']) {
        return None; // deb-src, or another word
    }
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
    })
}

/// The stanzas of a deb822 file as lists of (field in lower case, value); continuation lines are joined.
fn stanzas(text: &str) -> Vec<Vec<(String, String)>> {
    let mut stanzas = vec![Vec::<(String, String)>::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let continues = line.starts_with([' ', '\t']);
        let Some(stanza) = stanzas.last_mut() else {
            break;
        };
        if line.trim().is_empty() {
            stanzas.push(Vec::new());
        } else if continues {
            if let Some((_, value)) = stanza.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((field, value)) = line.split_once(':') {
            stanza.push((field.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    stanzas
}

fn deb822(fields: &[(String, String)]) -> Option<Source> {
    let words = |name: &str| -> Vec<String> {
        fields
            .iter()
            .filter(|(field, _)| field == name)
            .flat_map(|(_, value)| value.split_whitespace())
            .map(str::to_owned)
            .collect()
    };
    let disabled = words("enabled").first().is_some_and(|value| value == "no");
    let binary = words("types").iter().any(|kind| kind == "deb");
    (binary && !disabled).then(|| Source {
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
    })
}

/// The first web mirror with the machine's own release in it; else any that ends like Debian's.
fn choose(sources: &[Source], codename: &str) -> Option<String> {
    let aliases = [codename, "stable", "oldstable", "oldoldstable"];
    let is_web = |uri: &&String| uri.starts_with("http://") || uri.starts_with("https://");
    let main = || {
        sources
            .iter()
            .filter(|source| source.components.iter().any(|name| name == "main"))
    };
    let exact = main()
        .filter(|source| {
            source
                .suites
                .iter()
                .any(|suite| aliases.contains(&suite.as_str()))
        })
        .flat_map(|source| &source.uris)
        .filter(is_web)
        .find(|uri| uri.contains("/debian"));
    let similar = || {
        main()
            .flat_map(|source| &source.uris)
            .filter(is_web)
            .find(|uri| uri.trim_end_matches('/').ends_with("/debian"))
    };
    exact
        .or_else(similar)
        .map(|uri| uri.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn from_deb822(text: &str) -> Vec<Source> {
        stanzas(text)
            .iter()
            .filter_map(|fields| deb822(fields))
            .collect()
    }

    #[test]
    fn reads_deb822_with_comments_between_fields() {
        let text = "Types: deb\n# http://old.example/archive\nURIs: http://mirror.example/debian\n\
                    Suites: bookworm bookworm-updates\nComponents: main\n\n\
                    Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main\n";
        assert_eq!(
            choose(&from_deb822(text), "bookworm").as_deref(),
            Some("http://mirror.example/debian")
        );
    }

    #[test]
    fn a_disabled_or_source_only_stanza_is_no_mirror() {
        let text = "Types: deb-src\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main\n\n\
                    Types: deb\nEnabled: no\nURIs: http://b.example/debian\nSuites: bookworm\nComponents: main\n\n\
                    Types: deb\nURIs:\n http://c.example/debian/\n http://d.example/debian\nSuites: bookworm\nComponents: main contrib\n";
        assert_eq!(
            choose(&from_deb822(text), "bookworm").as_deref(),
            Some("http://c.example/debian")
        );
    }

    #[test]
    fn reads_one_line_sources_with_options() {
        let lines = [
            "# deb http://commented.example/debian bookworm main",
            "deb-src http://source.example/debian bookworm main",
            "deb [arch=amd64] https://vendor.example/apt nodistro main",
            "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ bookworm main # own",
        ];
        let sources: Vec<Source> = lines.iter().filter_map(|line| one_line(line)).collect();
        assert_eq!(
            choose(&sources, "bookworm").as_deref(),
            Some("http://mirror.example/debian")
        );
    }

    #[test]
    fn security_and_vendor_sources_alone_are_no_mirror() {
        let lines = [
            "deb http://mirror.example/debian-security bookworm-security main",
            "deb https://vendor.example/apt nodistro main",
        ];
        let sources: Vec<Source> = lines.iter().filter_map(|line| one_line(line)).collect();
        assert_eq!(choose(&sources, "bookworm"), None);
    }

    #[test]
    fn an_unknown_release_falls_back_to_a_debian_mirror() {
        let sources: Vec<Source> = one_line("deb http://mirror.example/debian testing main")
            .into_iter()
            .collect();
        assert_eq!(
            choose(&sources, "").as_deref(),
            Some("http://mirror.example/debian")
        );
    }
}
