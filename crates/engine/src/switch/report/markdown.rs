//! A report as Markdown.

use crossfade_control::Traffic;
use crossfade_model::time::utc;
use crossfade_rules::gates::{GateResult, Trend};

use super::{Act, Outcome, Part, Side, SwitchReport};

pub(super) fn render(report: &SwitchReport) -> String {
    let mut parts = vec![head(report), gates(&report.gates), steps(report)];
    parts.extend(proof(report));
    parts.extend(sequences(report));
    parts.extend(routes(report));
    parts.extend(ended(report));
    parts.push(format!("## The way back\n\n{}", text(&report.way_back)));
    parts.push(foot(report));
    parts.join("\n\n") + "\n"
}

fn head(report: &SwitchReport) -> String {
    let act = match report.act {
        Act::Switch => "Switch",
        Act::Rollback => "Rollback",
    };
    let mut lines = vec![
        format!(
            "# {act} of {}: migration {}",
            traffic(&report.traffic),
            text(&report.migration)
        ),
        String::new(),
        outcome(&report.outcome),
        String::new(),
        "| | |".to_owned(),
        "| --- | --- |".to_owned(),
        row(&["owner".to_owned(), text(&report.owner)]),
        row(&["done by".to_owned(), text(&report.by)]),
        row(&[
            "when".to_owned(),
            format!(
                "{} to {} ({})",
                utc(report.began),
                utc(report.ended),
                ms(report.ended.abs_diff(report.began))
            ),
        ]),
        row(&["from".to_owned(), side(&report.from)]),
        row(&["to".to_owned(), side(&report.to)]),
        row(&["epoch".to_owned(), report.epoch.to_string()]),
        row(&[
            "writers waited".to_owned(),
            format!(
                "{} measured, {} predicted, {} allowed",
                known(report.pause.measured_ms),
                known(report.pause.predicted_ms),
                ms(report.pause.within_ms)
            ),
        ]),
    ];
    if let Some(cost) = report.fence_cost_us {
        lines.push(row(&[
            "armed fence".to_owned(),
            format!("{cost} µs for each statement that writes"),
        ]));
    }
    for (name, position) in [
        ("barrier", &report.barrier),
        ("beginning", &report.beginning),
    ] {
        if let Some(position) = position {
            lines.push(row(&[name.to_owned(), text(position)]));
        }
    }
    if let Some(position) = &report.accepted_loss_after {
        lines.push(row(&[
            "**accepted loss**".to_owned(),
            format!(
                "what was written on the destroyed target after {} is lost, as {} attests",
                text(position),
                text(&report.owner)
            ),
        ]));
    }
    lines.join("\n")
}

fn traffic(traffic: &Traffic) -> String {
    match traffic {
        Traffic::Writes => "writes".to_owned(),
        Traffic::Reads { percent, tenant } => {
            let share = percent.map_or_else(String::new, |p| format!(" ({p} %)"));
            let whose = tenant
                .as_ref()
                .map_or_else(String::new, |t| format!(" of tenant {}", text(t)));
            format!("reads{share}{whose}")
        }
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "**Done.**".to_owned(),
        Outcome::DryRun => "**Dry run:** nothing was changed.".to_owned(),
        Outcome::Refused { why } => format!("**Refused**, nothing was begun: {}", text(why)),
        Outcome::Released { why } => format!("**Released**, nothing has changed: {}", text(why)),
        Outcome::Blocked { why } => format!("**Blocked**, no store takes writes: {}", text(why)),
    }
}

fn side(side: &Side) -> String {
    let part = match side.part {
        Part::Source => "source",
        Part::Target => "target",
    };
    format!("{part}, {}", text(&side.store))
}

fn gates(gates: &[GateResult]) -> String {
    if gates.is_empty() {
        return "## Gates\n\nNone were judged.".to_owned();
    }
    let rows = gates.iter().map(|gate| {
        let state = gate.state.word().replace('_', " ");
        let state = match &gate.overridden {
            Some(reason) => format!("{state}, **overridden**: {}", text(reason)),
            None => state,
        };
        let trend = match gate.trend {
            Some(Trend::Better) => "better",
            Some(Trend::Same) => "same",
            Some(Trend::Worse) => "worse",
            None => "",
        };
        vec![
            text(gate.name.word()),
            state,
            text(&gate.evidence),
            trend.to_owned(),
        ]
    });
    table("Gates", &["gate", "state", "evidence", "trend"], rows)
}

fn steps(report: &SwitchReport) -> String {
    if report.steps.is_empty() {
        return "## Steps\n\nNone were taken.".to_owned();
    }
    let rows = report.steps.iter().map(|step| {
        vec![
            format!("+{}", ms(step.at_ms)),
            ms(step.took_ms),
            text(&step.step),
            text(&step.detail),
        ]
    });
    table("Steps", &["at", "took", "step", "what"], rows)
}

fn proof(report: &SwitchReport) -> Option<String> {
    let proof = report.proof.as_ref()?;
    let verdict = if proof.equal {
        "Both sides were equal".to_owned()
    } else {
        format!("**Both sides differed** in {} rows", proof.differences)
    };
    Some(format!(
        "## Proof inside the fence\n\n{verdict} at {}: {} keys were read on both sides, {} ranges were proven before and not touched since.",
        text(&proof.position),
        proof.keys,
        proof.ranges
    ))
}

fn sequences(report: &SwitchReport) -> Option<String> {
    let rows = report.sequences.iter().map(|raised| {
        let from = raised
            .from
            .map_or_else(|| "never used".to_owned(), |from| from.to_string());
        vec![text(&raised.name), from, raised.to.to_string()]
    });
    (!report.sequences.is_empty())
        .then(|| table("Sequences raised", &["sequence", "from", "to"], rows))
}

fn routes(report: &SwitchReport) -> Option<String> {
    let rows = report.routes.iter().map(|route| {
        let agreed = match route.agreed_ms {
            Some(at) => format!("agreed at +{}", ms(at)),
            None => "**does not agree yet**".to_owned(),
        };
        vec![
            text(&route.route),
            agreed,
            route.attempts.to_string(),
            text(&route.detail),
        ]
    });
    (!report.routes.is_empty())
        .then(|| table("Routes", &["route", "state", "attempts", "detail"], rows))
}

fn ended(report: &SwitchReport) -> Option<String> {
    if report.ended_sessions.is_empty() {
        return None;
    }
    let lines: Vec<String> = report
        .ended_sessions
        .iter()
        .map(|who| format!("- {}", text(who)))
        .collect();
    Some(format!("## Sessions ended\n\n{}", lines.join("\n")))
}

fn foot(report: &SwitchReport) -> String {
    let head = report.audit_head.as_ref().map_or_else(String::new, |head| {
        format!(
            " Audit log up to here: `{}`.",
            head.replace(|c: char| !c.is_ascii_hexdigit(), "")
        )
    });
    format!("Plan {}.{head}", text(&report.plan))
}

fn table(title: &str, heading: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let heading: Vec<String> = heading.iter().map(|h| (*h).to_owned()).collect();
    let rule = vec!["---".to_owned(); heading.len()];
    let lines: Vec<String> = [row(&heading), row(&rule)]
        .into_iter()
        .chain(rows.map(|cells| row(&cells)))
        .collect();
    format!("## {title}\n\n{}", lines.join("\n"))
}

fn row(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

/// Milliseconds, in groups of three digits.
fn ms(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    format!("{out} ms")
}

fn known(value: Option<u64>) -> String {
    value.map_or_else(|| "not".to_owned(), ms)
}

/// Others' text (names, reasons): on one line, and nothing in it that Markdown or HTML obeys.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c if c.is_whitespace() || c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
