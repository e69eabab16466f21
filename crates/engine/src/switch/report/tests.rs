#![allow(clippy::unwrap_used)]

use crossfade_rules::gates::{Gate, State, Trend};
use serde_json::{Value, json};

use super::*;

fn example() -> SwitchReport {
    let gate = |name, state, evidence: &str| GateResult {
        name,
        state,
        evidence: evidence.to_owned(),
        trend: None,
        fix: String::new(),
        overridden: None,
    };
    let step = |step: &str, at_ms, took_ms, detail: &str| Step {
        step: step.to_owned(),
        at_ms,
        took_ms,
        detail: detail.to_owned(),
    };
    let mut lag = gate(Gate::Lag, State::Met, "p99 40 ms over the last 60 s");
    lag.trend = Some(Trend::Better);
    let mut rehearsal = gate(Gate::Rehearsal, State::Unmet, "it was never rehearsed");
    rehearsal.fix = "`crossfade rehearse` does it on a copy".to_owned();
    rehearsal.overridden = Some("rehearsed by hand | see\nOPS-7".to_owned());
    SwitchReport {
        migration: "shop".to_owned(),
        plan: "9f2c".to_owned(),
        act: Act::Switch,
        traffic: Traffic::Writes,
        owner: "ada".to_owned(),
        by: "deploy@ops1".to_owned(),
        began: 1_700_000_060_000,
        ended: 1_700_000_061_870,
        outcome: Outcome::Done,
        from: Side {
            part: Part::Source,
            store: "postgres://old/shop".to_owned(),
        },
        to: Side {
            part: Part::Target,
            store: "postgres://new/shop".to_owned(),
        },
        epoch: 3,
        gates: vec![
            lag,
            rehearsal,
            gate(Gate::DdlFrozen, State::Met, "refused by others' sessions"),
        ],
        pause: Pause {
            predicted_ms: Some(90),
            measured_ms: Some(112),
            within_ms: 30_000,
        },
        fence_cost_us: Some(14),
        steps: vec![
            step("arm", 3, 1_204, "4 tables"),
            step("fire", 1_300, 4, ""),
            step("given", 1_402, 2, "given@3"),
        ],
        barrier: Some("0/16B3748".to_owned()),
        beginning: Some("0/2A000028".to_owned()),
        proof: Some(ProofSummary {
            equal: true,
            position: "0/16B3748".to_owned(),
            keys: 31,
            ranges: 12,
            differences: 0,
        }),
        sequences: vec![
            Raised {
                name: "public.orders_id_seq".to_owned(),
                from: Some(1),
                to: 20_033,
            },
            Raised {
                name: "public.items_id_seq".to_owned(),
                from: None,
                to: 33,
            },
        ],
        routes: vec![
            RouteChange {
                route: "pgbouncer pool".to_owned(),
                agreed_ms: Some(1_412),
                attempts: 1,
                detail: "RESUME".to_owned(),
            },
            RouteChange {
                route: "webhook".to_owned(),
                agreed_ms: None,
                attempts: 4,
                detail: "answers 503".to_owned(),
            },
        ],
        ended_sessions: Vec::new(),
        accepted_loss_after: None,
        way_back: "`crossfade rollback m.toml --owner NAME` gives authority back; nothing is lost."
            .to_owned(),
        audit_head: Some("ab12".to_owned()),
    }
}

const MARKDOWN: &str = r"# Switch of writes: migration shop

**Done.**

| | |
| --- | --- |
| owner | ada |
| done by | deploy@ops1 |
| when | 2023-11-14 22:14:20 UTC to 2023-11-14 22:14:21 UTC (1,870 ms) |
| from | source, postgres://old/shop |
| to | target, postgres://new/shop |
| epoch | 3 |
| writers waited | 112 ms measured, 90 ms predicted, 30,000 ms allowed |
| armed fence | 14 µs for each statement that writes |
| barrier | 0/16B3748 |
| beginning | 0/2A000028 |

## Gates

| gate | state | evidence | trend |
| --- | --- | --- | --- |
| lag | met | p99 40 ms over the last 60 s | better |
| rehearsal | unmet, **overridden**: rehearsed by hand \| see OPS-7 | it was never rehearsed |  |
| ddl\_frozen | met | refused by others' sessions |  |

## Steps

| at | took | step | what |
| --- | --- | --- | --- |
| +3 ms | 1,204 ms | arm | 4 tables |
| +1,300 ms | 4 ms | fire |  |
| +1,402 ms | 2 ms | given | given@3 |

## Proof inside the fence

Both sides were equal at 0/16B3748: 31 keys were read on both sides, 12 ranges were proven before and not touched since.

## Sequences raised

| sequence | from | to |
| --- | --- | --- |
| public.orders\_id\_seq | 1 | 20033 |
| public.items\_id\_seq | never used | 33 |

## Routes

| route | state | attempts | detail |
| --- | --- | --- | --- |
| pgbouncer pool | agreed at +1,412 ms | 1 | RESUME |
| webhook | **does not agree yet** | 4 | answers 503 |

## The way back

\`crossfade rollback m.toml --owner NAME\` gives authority back; nothing is lost.

Plan 9f2c. Audit log up to here: `ab12`.
";

#[test]
fn a_report_reads_as_it_always_did() {
    assert_eq!(example().markdown(), MARKDOWN);
}

#[test]
fn a_release_a_loss_and_what_is_not_known_are_said() {
    let mut report = example();
    report.act = Act::Rollback;
    report.traffic = Traffic::Reads {
        percent: Some(10),
        tenant: None,
    };
    report.outcome = Outcome::Released {
        why: "the time box ended: <b>7</b> transactions were open".to_owned(),
    };
    report.pause = Pause::default();
    report.accepted_loss_after = Some("0/3".to_owned());
    report.ended_sessions = vec!["app at 10.0.0.1".to_owned()];
    (report.gates, report.steps) = (Vec::new(), Vec::new());
    report.proof.as_mut().unwrap().equal = false;
    report.proof.as_mut().unwrap().differences = 2;
    let markdown = report.markdown();
    for said in [
        "# Rollback of reads (10 %): migration shop",
        "**Released**, nothing has changed: the time box ended: &lt;b&gt;7&lt;/b&gt; transactions were open",
        "not measured, not predicted, 0 ms allowed",
        "| **accepted loss** | what was written on the destroyed target after 0/3 is lost, as ada attests |",
        "- app at 10.0.0.1",
        "None were judged.",
        "None were taken.",
        "**Both sides differed** in 2 rows",
    ] {
        assert!(markdown.contains(said), "{said}\n{markdown}");
    }
}

#[test]
fn fields_keep_their_names() {
    let value = serde_json::to_value(example()).unwrap();
    let Value::Object(fields) = &value else {
        panic!("{value}")
    };
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "accepted_loss_after",
            "act",
            "audit_head",
            "barrier",
            "began",
            "beginning",
            "by",
            "ended",
            "ended_sessions",
            "epoch",
            "fence_cost_us",
            "from",
            "gates",
            "migration",
            "outcome",
            "owner",
            "pause",
            "plan",
            "proof",
            "routes",
            "sequences",
            "steps",
            "to",
            "traffic",
            "way_back"
        ]
    );
    assert_eq!(value["outcome"], "done");
    assert_eq!(value["act"], "switch");
    assert_eq!(value["traffic"], "writes");
    assert_eq!(value["from"]["part"], "source");
    assert_eq!(value["gates"][1]["name"], "rehearsal");
    assert_eq!(value["gates"][1]["state"], "unmet");
    let mut released = example();
    released.outcome = Outcome::Released {
        why: "w".to_owned(),
    };
    let value = serde_json::to_value(&released).unwrap();
    assert_eq!(
        (&value["outcome"], &value["why"]),
        (&json!("released"), &json!("w"))
    );
    for report in [example(), released] {
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<SwitchReport>(&text).unwrap(), report);
    }
}
