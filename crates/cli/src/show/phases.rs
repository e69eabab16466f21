//! The lifecycle of every migration and the steps of its switch, for people and as JSON.

use crossfade_plan::{LIFECYCLE, PhaseFacts, PhaseMove};
use crossfade_rules::gates::Gate;
use crossfade_rules::switch::{ORDER, OnError, StepFacts};
use serde_json::json;

use super::Output;

/// Prints phases, moves and steps.
pub fn tell(output: &Output) {
    if output.json {
        output.tell(&as_json());
    } else {
        output.say(text());
    }
}

/// One phase: authority, what happens, the way back.
pub fn line(facts: &PhaseFacts) -> String {
    format!(
        "  {:<15} reads {}, writes {}: {}\n                  way back: {}",
        facts.phase, facts.reads, facts.writes, facts.what, facts.way_back
    )
}

fn gates(gates: &[Gate]) -> String {
    match gates {
        [] => "no gate".to_owned(),
        gates => {
            let words: Vec<&str> = gates.iter().map(|gate| gate.word()).collect();
            format!("gates: {}", words.join(", "))
        }
    }
}

fn move_line(allowed: &PhaseMove) -> String {
    format!(
        "                  to {} by `{}`, {}",
        allowed.to,
        allowed.by,
        gates(allowed.gates)
    )
}

fn step_line(facts: &StepFacts) -> String {
    let ends = match facts.on_error {
        OnError::Release => "an error releases",
        OnError::Ask => "after an error the registers say whether to release or to finish",
        OnError::Finish => "an error is tried again until it is done",
    };
    let waits = if facts.writers_wait {
        "; writers wait"
    } else {
        ""
    };
    let no_return = if facts.step.is_point_of_no_return() {
        "; the point of no return"
    } else {
        ""
    };
    format!(
        "  {:<15} {}\n                  {ends}{waits}{no_return}\n                  if the process dies right after it: {}",
        facts.step, facts.what, facts.if_dies_after
    )
}

fn text() -> String {
    let mut lines = vec!["Phases:".to_owned()];
    for facts in LIFECYCLE {
        lines.push(line(facts));
        lines.extend(facts.phase.moves().map(move_line));
    }
    lines.push(
        "\nThe switch of writes, from X (has authority) to Y (takes it). `rollback` is the same with X and Y exchanged."
            .to_owned(),
    );
    lines.extend(ORDER.iter().map(step_line));
    lines.join("\n")
}

fn as_json() -> serde_json::Value {
    let phases: Vec<_> = LIFECYCLE
        .iter()
        .map(|facts| {
            let mut value = json!(facts);
            let moves = facts.phase.moves().map(
                |allowed| json!({ "to": allowed.to, "by": allowed.by, "gates": allowed.gates }),
            );
            value["moves"] = moves.collect();
            value
        })
        .collect();
    let steps: Vec<_> = ORDER
        .iter()
        .map(|facts| {
            let mut value = json!(facts);
            value["before_given"] = facts.step.before_given().into();
            value["point_of_no_return"] = facts.step.is_point_of_no_return().into();
            value
        })
        .collect();
    json!({ "phases": phases, "switch": steps })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_show_every_phase_and_step() {
        let (text, json) = (text(), as_json());
        for facts in LIFECYCLE {
            assert!(text.contains(&line(facts)), "{}", facts.phase);
        }
        for facts in ORDER {
            assert!(text.contains(facts.if_dies_after), "{}", facts.step);
        }
        assert_eq!(
            json["phases"].as_array().map(Vec::len),
            Some(LIFECYCLE.len())
        );
        assert_eq!(json["switch"].as_array().map(Vec::len), Some(ORDER.len()));
        assert_eq!(json["phases"][0]["moves"][0]["to"], "copying");
        assert_eq!(json["switch"][13]["point_of_no_return"], true);
    }
}
