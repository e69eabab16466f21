//! The gates of a switch for people.

use crossfade_engine::{Direction, Gates};
use crossfade_rules::gates::{GateResult, Trend, refusing};

use super::number::of;

/// All gates, then what to do.
pub fn text(found: &Gates) -> String {
    let act = match found.direction {
        Direction::Forward => "switch writes",
        Direction::Reverse => "rollback",
    };
    let mut parts = vec![format!("Gates of `crossfade {act}`")];
    if !found.running {
        parts.push(
            "No run is active: what only a run gathers is unknown, and refuses until one has."
                .to_owned(),
        );
    }
    parts.push(found.gates.iter().map(lines).collect::<Vec<_>>().join("\n"));
    let refuse = refusing(&found.gates).count() as u64;
    parts.push(match refuse {
        0 => "Nothing stands in the way.".to_owned(),
        n => format!(
            "{} in the way. To pass one all the same: --override GATE --reason \"…\", which is recorded.",
            of(n, "gate stands", "gates stand")
        ),
    });
    parts.join("\n\n")
}

fn lines(gate: &GateResult) -> String {
    let state = gate.state.word().replace('_', " ");
    let trend = match gate.trend {
        Some(Trend::Better) => " (better than before)",
        Some(Trend::Worse) => " (worse than before)",
        Some(Trend::Same) | None => "",
    };
    let mut text = format!("  {:<11} {state:<14}  {}{trend}", gate.name, gate.evidence);
    if gate.refuses() && !gate.fix.is_empty() {
        text.push_str(&format!("\n  {:<11} {:<14}  do: {}", "", "", gate.fix));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossfade_rules::gates::{Evidence, GateLimits, judge};

    #[test]
    fn what_stands_in_the_way_is_counted_and_told_what_to_do() {
        let found = Gates {
            direction: Direction::Forward,
            running: false,
            gates: judge(&GateLimits::default(), &Evidence::default(), None),
        };
        let shown = text(&found);
        assert!(shown.contains("No run is active"), "{shown}");
        assert!(shown.contains("7 gates stand in the way"), "{shown}");
        assert!(shown.contains("do: keep `crossfade run` active"), "{shown}");
        assert!(shown.contains("not configured"), "{shown}");
    }
}
