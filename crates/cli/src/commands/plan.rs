//! `plan`: what would be done, what speaks against it, and the way back of each phase. Makes nothing.

use std::path::Path;

use crossfade_engine::preview;
use crossfade_model::TableMapping;
use crossfade_plan::{LIFECYCLE, Phase, Plan};
use crossfade_store::CaptureSpec;
use serde_json::json;

use crate::args;
use crate::failure::{Failure, REFUSED};
use crate::load::{Loaded, load};
use crate::show::table::{self, Side};
use crate::show::{Output, findings, number, omissions, phases, previews};

/// Shows the plan.
///
/// # Errors
/// A file that is wrong, a store that cannot be read. Findings are no error; one that blocks makes the exit code 2.
pub async fn plan(arguments: &args::Plan, output: &Output) -> Result<u8, Failure> {
    let Some(file) = arguments.file.clone().filter(|_| !arguments.phases) else {
        phases::tell(output);
        return Ok(0);
    };
    let loaded = load(&args::File {
        file,
        control: arguments.control.clone(),
    })?;
    let prepared = loaded.prepare().await?;
    let begun = prepared.has_begun();
    let mut plan = prepared.plan;
    let warnings =
        crossfade_engine::switch_findings(&loaded.sides, &plan, &loaded.file.standbys).await?;
    plan.findings.extend(warnings);
    let spec = CaptureSpec {
        replanned: None,
        migration: plan.migration.clone(),
        tables: plan.tables.clone(),
    };
    let grants = (
        loaded.source.grants(&spec),
        loaded.target.grants(&plan.migration, &plan.tables),
    );
    let previews = match arguments.preview {
        Some(rows) => preview(&plan, loaded.source.as_ref(), usize::from(rows)).await?,
        None => Vec::new(),
    };
    if output.json {
        let mut json = as_json(&loaded, &plan, begun, arguments.grants.then_some(&grants));
        if arguments.preview.is_some() {
            json["preview"] = previews::json(&previews);
        }
        output.tell(&json);
    } else {
        previews::tell(&previews, output);
        text(&loaded, &plan, begun, arguments, &grants, output);
    }
    Ok(if plan.is_blocked() { REFUSED } else { 0 })
}

fn as_json(
    loaded: &Loaded,
    plan: &Plan,
    begun: bool,
    grants: Option<&(String, String)>,
) -> serde_json::Value {
    let tables: Vec<_> = plan
        .tables
        .iter()
        .map(|t| {
            json!({
                "source": t.source.name.to_string(),
                "target": t.target.name.to_string(),
                "estimated_rows": t.source.estimated_rows,
                "estimated_bytes": t.source.estimated_bytes,
                "present": plan.present.contains(&t.id),
                "key": t.source.key_columns().iter().map(|c| c.name.clone()).collect::<Vec<_>>(),
                "where": t.origin.as_ref().and_then(|o| o.filter.clone()),
                "way_back": way_back(t),
                "columns": t.columns.iter().enumerate().map(|(at, c)| json!({
                    "source": c.source, "target": c.target, "compared": c.canonical.claim(),
                    "made_of": t.origin.as_ref().and_then(|o| o.columns.get(at)),
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    let phases: Vec<_> = planned_phases().map(|p| json!(p)).collect();
    json!({
        "migration": plan.migration,
        "hash": plan.hash(),
        "begun": begun,
        "blocked": plan.is_blocked(),
        "source": loaded.source.label(),
        "target": loaded.target.label(),
        "findings": plan.findings,
        "tables": tables,
        "not_carried": plan.omissions,
        "statements": plan.statements,
        "phases": phases,
        "grants": grants.map(|(source, target)| json!({ "source": source, "target": target })),
    })
}

/// What leads back from a table that is not carried as it is; null where it is read the other way round.
fn way_back(mapping: &TableMapping) -> serde_json::Value {
    let Some(back) = &mapping.back else {
        return serde_json::Value::Null;
    };
    let columns = back
        .columns
        .iter()
        .map(|(column, made)| json!({ "column": column, "made_of": made }));
    let lost = back
        .lost
        .iter()
        .map(|l| json!({ "column": l.column, "why": l.why, "declared": l.declared }));
    json!({
        "where": back.filter,
        "columns": columns.collect::<Vec<_>>(),
        "kept": back.kept,
        "lost": lost.collect::<Vec<_>>(),
    })
}

/// The phases that a migration goes through when all is well.
fn planned_phases() -> impl Iterator<Item = &'static crossfade_plan::PhaseFacts> {
    LIFECYCLE.iter().filter(|p| p.phase != Phase::Aborted)
}

fn text(
    loaded: &Loaded,
    plan: &Plan,
    begun: bool,
    arguments: &args::Plan,
    grants: &(String, String),
    output: &Output,
) {
    output.say(format!(
        "Migration {}  (plan {})",
        plan.migration,
        &plan.hash()[..12]
    ));
    output.say(format!("  source  {}", loaded.source.label()));
    output.say(format!("  target  {}", loaded.target.label()));
    if begun {
        output.say("  It has begun: `run` goes on by the plan that is kept in the target.");
    }
    output.say(format!("\nFindings: {}", findings::summary(&plan.findings)));
    if !plan.findings.is_empty() {
        output.say(findings::text(&plan.findings));
    }
    tables(plan, output);
    mapped(plan, output);
    if !plan.omissions.is_empty() {
        output.say("\nNot carried:");
        for line in omissions::lines(&plan.omissions) {
            output.say(line);
        }
    }
    made(loaded, plan, begun, arguments.sql, output);
    output.say("\nPhases:");
    for facts in planned_phases() {
        output.say(phases::line(facts));
    }
    if arguments.grants {
        print_grants(grants, output);
    }
    let file = arguments.file.as_deref().unwrap_or(Path::new("FILE"));
    let file = file.display();
    output.say(if plan.is_blocked() {
        format!("\nBlocked. Resolve the findings that block, then `crossfade plan {file}` again.")
    } else {
        format!("\nNothing blocks. Next: `crossfade run {file}`")
    });
}

fn tables(plan: &Plan, output: &Output) {
    output.say(format!(
        "\n{}, about {} rows, {}:",
        number::of(plan.tables.len() as u64, "table", "tables"),
        number::count(plan.tables.iter().map(|t| t.source.estimated_rows).sum()),
        number::bytes(plan.tables.iter().map(|t| t.source.estimated_bytes).sum()),
    ));
    let rows: Vec<Vec<String>> = plan
        .tables
        .iter()
        .map(|t| {
            vec![
                t.source.name.to_string(),
                t.target.name.to_string(),
                number::count(t.source.estimated_rows),
                number::bytes(t.source.estimated_bytes),
                how(plan, t),
            ]
        })
        .collect();
    if !rows.is_empty() {
        output.say(table::text(
            &[
                ("from", Side::Left),
                ("to", Side::Left),
                ("rows", Side::Right),
                ("size", Side::Right),
                ("", Side::Left),
            ],
            &rows,
        ));
    }
}

fn how(plan: &Plan, mapping: &TableMapping) -> String {
    let key = match &mapping.source.key {
        Some(_) => {
            let names: Vec<&str> = mapping
                .source
                .key_columns()
                .iter()
                .map(|c| c.name.as_str())
                .collect();
            format!("key {}", names.join(", "))
        }
        None => "no key: followed by whole rows".to_owned(),
    };
    let mut words = vec![key];
    if plan.present.contains(&mapping.id) {
        words.push("into the table that is there".to_owned());
    }
    if let Some(filter) = mapping.origin.as_ref().and_then(|o| o.filter.as_ref()) {
        words.push(format!("where {filter}"));
    }
    words.join("; ")
}

/// The columns that are not carried under their own names, and what the way back makes of them.
fn mapped(plan: &Plan, output: &Output) {
    for mapping in &plan.tables {
        let lines = mapped_columns(mapping);
        if lines.is_empty() {
            continue;
        }
        output.say(format!(
            "\n{} -> {}:",
            mapping.source.name, mapping.target.name
        ));
        for line in lines {
            output.say(format!("  {line}"));
        }
    }
}

fn mapped_columns(mapping: &TableMapping) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, column) in mapping.columns.iter().enumerate() {
        let made = mapping.origin.as_ref().and_then(|o| o.columns.get(at));
        let made = made.map_or(column.source.as_str(), String::as_str);
        if made.trim_matches('"') != column.target {
            lines.push(format!("{} = {made}", column.target));
        }
    }
    let Some(back) = &mapping.back else {
        return lines;
    };
    if !back.kept.is_empty() {
        lines.push(format!(
            "way back: {} stay as they are on the source",
            back.kept.join(", ")
        ));
    }
    for lost in &back.lost {
        let forward = if lost.declared {
            " (declared forward-only)"
        } else {
            ""
        };
        lines.push(format!(
            "way back: {} is lost: {}{forward}",
            lost.column, lost.why
        ));
    }
    lines
}

fn made(loaded: &Loaded, plan: &Plan, begun: bool, sql: bool, output: &Output) {
    if begun {
        return;
    }
    output.say(if loaded.source.capabilities().captures_in_place {
        "\nNothing will be made on the source before a switch is prepared: its own log is read."
    } else {
        "\nWill be made on the source: what captures changes, under names that begin with `crossfade`; `abort` removes \
         it, and `status` lists it."
    });
    let own = plan.own_tables().len();
    output.say(format!(
        "Will be made on the target: {}, and crossfade's own tables for checkpoint and records.",
        number::of(own as u64, "table", "tables")
    ));
    if sql {
        output.say("\nStatements on the target:");
        for statement in &plan.statements {
            output.say(format!("{};", statement.trim_end().trim_end_matches(';')));
        }
    } else if !plan.statements.is_empty() {
        output.say("`--sql` prints the statements, `--grants` the SQL for least-privileged roles.");
    }
}

fn print_grants((source, target): &(String, String), output: &Output) {
    for (side, grants) in [("source", source), ("target", target)] {
        output.say(format!("\n-- Roles on the {side}"));
        output.say(if grants.is_empty() {
            format!("-- the {side} has no roles")
        } else {
            grants.clone()
        });
    }
}
