//! Certificates for people.

use crossfade_certificate::{
    Body, Difference, DifferenceKind, Layer, Place, Signed, StoreIdentity, TableProof, Verdict,
};

use super::number::{count, of, utc};
use super::table::{self, Side};
use super::text::visible;

/// What a valid certificate states, and who signed it. `known`: the caller named the signer's key.
pub fn text(signed: &Signed, known: bool) -> String {
    let body = signed.body();
    let mut lines = vec![
        "The certificate is valid: not a byte was changed since it was signed, and its statements agree.".to_owned(),
        format!(
            "  signed by    {}{}",
            signed.signer().fingerprint(),
            signer(known)
        ),
    ];
    lines.extend(head(body));
    lines.extend(tables(body));
    lines.extend(around(body));
    lines.push(verdict(body));
    lines.join("\n")
}

fn signer(known: bool) -> &'static str {
    if known {
        ", the key that was given"
    } else {
        "\n               THE SIGNER IS UNKNOWN: anybody can make a key and sign. Give the signer's public key with --key."
    }
}

fn head(body: &Body) -> Vec<String> {
    vec![
        format!(
            "  migration    {}, plan {}",
            visible(&body.migration),
            body.plan_hash
        ),
        format!("  source       {}", store(&body.source)),
        format!("  target       {}", store(&body.target)),
        format!("  position     {}", visible(&body.position)),
        format!(
            "  compared     {} to {}, by crossfade {}",
            utc(body.started),
            utc(body.finished),
            visible(&body.crossfade)
        ),
        format!(
            "  how much     {}",
            match body.layer {
                Layer::Full => "every row of every table",
                Layer::Sample => "A SAMPLE of the rows",
                Layer::Aggregate => "COUNTS AND TOTALS only",
                Layer::Touched => "only THE ROWS THAT CHANGED since an earlier comparison",
            }
        ),
    ]
}

fn store(store: &StoreIdentity) -> String {
    format!(
        "{} ({}; identity {})",
        visible(&store.label),
        visible(&store.version),
        visible(&store.identity)
    )
}

fn tables(body: &Body) -> Vec<String> {
    if body.tables.is_empty() {
        return Vec::new();
    }
    let rows: Vec<Vec<String>> = body.tables.iter().map(row).collect();
    let heading = [
        ("table", Side::Left),
        ("rows", Side::Right),
        ("", Side::Left),
        ("digests", Side::Left),
        ("by the stream alone", Side::Right),
    ];
    let mut lines = vec![String::new(), table::text(&heading, &rows), String::new()];
    lines.extend(body.tables.iter().flat_map(details));
    lines
}

fn row(table: &TableProof) -> Vec<String> {
    let name = if table.source_name == table.target_name {
        visible(&table.source_name)
    } else {
        format!(
            "{} → {}",
            visible(&table.source_name),
            visible(&table.target_name)
        )
    };
    let place = |place| match place {
        Place::Program => "program",
        Place::Server => "server",
    };
    vec![
        name,
        count(table.rows),
        if table.equal { "equal" } else { "DIFFERENT" }.to_owned(),
        format!(
            "{} / {}",
            place(table.source_computed),
            place(table.target_computed)
        ),
        of(table.stream_proven_keys, "key", "keys"),
    ]
}

/// What is claimed, what is left out, what differs.
fn details(table: &TableProof) -> Vec<String> {
    let mut lines = vec![format!("  {}", visible(&table.source_name))];
    lines.extend(claims(table));
    for excluded in &table.excluded {
        lines.push(format!(
            "    not compared: {} ({})",
            visible(&excluded.column),
            visible(&excluded.why)
        ));
    }
    lines.extend(table.differences.iter().map(difference));
    if table.more {
        lines.push("    … and more rows that differ".to_owned());
    }
    lines
}

/// Columns by what is claimed of them, in the order of the claims' first columns.
fn claims(table: &TableProof) -> Vec<String> {
    let mut claims: Vec<(&str, Vec<String>)> = Vec::new();
    for column in &table.columns {
        let name = visible(&column.source);
        match claims.iter_mut().find(|(claim, _)| *claim == column.claim) {
            Some((_, names)) => names.push(name),
            None => claims.push((&column.claim, vec![name])),
        }
    }
    claims
        .iter()
        .map(|(claim, names)| format!("    {claim}: {}", names.join(", ")))
        .collect()
}

fn difference(difference: &Difference) -> String {
    let key = visible(&difference.key);
    let mut line = match difference.kind {
        DifferenceKind::Missing => format!("    key {key}: on the source only"),
        DifferenceKind::Extra => format!("    key {key}: on the target only"),
        DifferenceKind::Changed => {
            let columns: Vec<String> = difference.columns.iter().map(|c| visible(c)).collect();
            format!("    key {key}: differs in {}", columns.join(", "))
        }
    };
    if let Some(cause) = &difference.cause {
        line.push_str(&format!(" (likely cause: {})", visible(cause)));
    }
    match &difference.classification {
        Some(said) => line.push_str(&format!(
            "; {}, says {} ({}): {}",
            match said.verdict {
                Verdict::Expected => "expected",
                Verdict::Bug => "A BUG",
            },
            visible(&said.by),
            utc(said.at),
            visible(&said.reason)
        )),
        None => line.push_str("; NOT CLASSIFIED"),
    }
    line
}

/// Projections, sequences, reads, overrides.
fn around(body: &Body) -> Vec<String> {
    let mut lines = Vec::new();
    for projection in &body.projections {
        let outcome = if projection.equal {
            "equal"
        } else {
            "DIFFERENT"
        };
        lines.push(format!(
            "  projection {}: {outcome}, {} on the source, {} on the target",
            visible(&projection.name),
            of(projection.source.rows, "row", "rows"),
            of(projection.target.rows, "row", "rows")
        ));
    }
    let value = |value: Option<i64>| value.map_or_else(|| "not used".to_owned(), |v| v.to_string());
    for sequence in &body.sequences {
        lines.push(format!(
            "  sequence {}: {} on the source, {} on the target",
            visible(&sequence.name),
            value(sequence.source),
            value(sequence.target)
        ));
    }
    for read in &body.independent {
        lines.push(format!("  independent read: {}", visible(read)));
    }
    for decided in &body.overrides {
        lines.push(format!(
            "  OVERRIDE by {} ({}): {}; because: {}",
            visible(&decided.by),
            utc(decided.at),
            visible(&decided.what),
            visible(&decided.reason)
        ));
    }
    lines
}

fn verdict(body: &Body) -> String {
    let part = match body.layer {
        Layer::Full => "",
        _ => " as far as was compared",
    };
    let listed: usize = body.tables.iter().map(|t| t.differences.len()).sum();
    let but = match (body.equal, listed) {
        (true, n) if n > 0 => format!(
            ", but for {} that a person expects",
            of(n as u64, "difference", "differences")
        ),
        _ => String::new(),
    };
    format!(
        "{}{part} at position {}{but}: {}, {} rows",
        if body.equal { "EQUAL" } else { "NOT EQUAL" },
        visible(&body.position),
        of(body.tables.len() as u64, "table", "tables"),
        count(
            body.tables
                .iter()
                .fold(0, |sum, t| sum.saturating_add(t.rows))
        )
    )
}
