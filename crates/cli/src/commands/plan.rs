//! `plan`: what would be done, what speaks against it, and the way back of each phase. Makes nothing.

use std::path::Path;

use crossfade_model::TableMapping;
use crossfade_plan::{LIFECYCLE, Phase, Plan};
use crossfade_store::CaptureSpec;
use serde_json::json;

use crate::args;
use crate::failure::{Failure, REFUSED};
use crate::load::{Loaded, load};
use crate::show::table::{self, Side};
use crate::show::{Output, findings, number, omissions, phases};

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
        migration: plan.migration.clone(),
        tables: plan.tables.clone(),
    };
    let grants = (
        loaded.source.grants(&spec),
        loaded.target.grants(&plan.migration, &plan.tables),
    );
    if output.json {
        output.tell(&as_json(
            &loaded,
            &plan,
            begun,
            arguments.grants.then_some(&grants),
        ));
    } else {
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
                "columns": t.columns.iter().map(|c| json!({
                    "source": c.source, "target": c.target, "compared": c.canonical.claim(),
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
    if plan.present.contains(&mapping.id) {
        format!("{key}; into the table that is there")
    } else {
        key
    }
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
