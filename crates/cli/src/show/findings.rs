//! Findings for people, the ones that block first.

use crossfade_model::{Finding, Severity};

/// All findings, by severity.
pub fn text(findings: &[Finding]) -> String {
    let mut lines = Vec::new();
    for (severity, word) in [
        (Severity::Blocks, "blocks"),
        (Severity::Warning, "warning"),
        (Severity::Note, "note"),
    ] {
        for finding in findings.iter().filter(|f| f.severity == severity) {
            let place = match &finding.table {
                Some(table) => format!("{}, {table}", finding.place),
                None => finding.place.clone(),
            };
            lines.push(format!(
                "  {word:<8}{place}: {} [{}]",
                finding.what, finding.code
            ));
            if let Some(fix) = &finding.fix {
                for (index, part) in fix.lines().enumerate() {
                    let lead = if index == 0 { "do: " } else { "    " };
                    lines.push(format!("          {lead}{part}"));
                }
            }
        }
    }
    lines.join("\n")
}

/// How many of each severity, in words.
pub fn summary(findings: &[Finding]) -> String {
    let of = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let (blocks, warnings, notes) = (
        of(Severity::Blocks),
        of(Severity::Warning),
        of(Severity::Note),
    );
    if blocks + warnings + notes == 0 {
        return "none".to_owned();
    }
    let mut parts = Vec::new();
    for (number, word) in [(blocks, "blocking"), (warnings, "warning"), (notes, "note")] {
        if number > 0 {
            parts.push(format!("{number} {word}"));
        }
    }
    parts.join(", ")
}
