#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// Evidence by which every gate of the defaults is met.
fn good() -> Evidence {
    Evidence {
        lag: Some(LagEvidence {
            p99_ms: Some(40),
            covered_ms: 60_000,
            samples: 60,
        }),
        proof: Some(ProofEvidence {
            touched: 3,
            oldest_age_ms: Some(1_000),
            position: Some("0/16B3748".to_owned()),
            ..ProofEvidence::default()
        }),
        quarantine: Some(QuarantineEvidence::default()),
        strangers: Some(StrangersEvidence::default()),
        mapping: Some(MappingEvidence {
            columns: 12,
            lossy: Vec::new(),
        }),
        rehearsal: Some(RehearsalEvidence::Last(REHEARSED)),
        shadow: None,
        ddl: Some(DdlFreeze::Frozen),
    }
}

const REHEARSED: Rehearsal = Rehearsal {
    age_ms: 3_600_000,
    passed: true,
    same_plan: true,
    same_schema: true,
    same_servers: true,
};

fn state(limits: &GateLimits, evidence: &Evidence, gate: Gate) -> State {
    let results = judge(limits, evidence, None);
    results.into_iter().find(|r| r.name == gate).unwrap().state
}

/// The gate's state after one thing was changed in good evidence; no other gate may move.
fn changed(gate: Gate, change: impl FnOnce(&mut Evidence)) -> State {
    let limits = GateLimits::default();
    let mut evidence = good();
    change(&mut evidence);
    for (one, other) in judge(&limits, &good(), None)
        .iter()
        .zip(judge(&limits, &evidence, None))
    {
        if one.name != gate {
            assert_eq!(*one, other, "{gate} moves {}", one.name);
        }
    }
    state(&limits, &evidence, gate)
}

#[test]
fn all_is_met_and_nothing_refuses() {
    let results = judge(&GateLimits::default(), &good(), None);
    let names: Vec<Gate> = results.iter().map(|r| r.name).collect();
    assert_eq!(names, Gate::ALL);
    assert_eq!(refusing(&results).count(), 0);
    let shadow = results.iter().find(|r| r.name == Gate::Shadow).unwrap();
    assert_eq!(shadow.state, State::NotConfigured);
    assert!(
        results
            .iter()
            .all(|r| r.fix.is_empty() && !r.evidence.is_empty())
    );
}

#[test]
fn what_nobody_knows_is_never_met() {
    for result in judge(&GateLimits::default(), &Evidence::default(), None) {
        if result.name == Gate::Shadow {
            assert_eq!(result.state, State::NotConfigured);
        } else {
            assert_eq!(result.state, State::Unknown, "{}", result.name);
            assert!(result.refuses() && !result.fix.is_empty());
        }
    }
}

#[test]
fn the_lag_is_judged_over_the_whole_window() {
    let with = |p99_ms, covered_ms| {
        changed(Gate::Lag, |e| {
            e.lag = Some(LagEvidence {
                p99_ms,
                covered_ms,
                samples: 9,
            });
        })
    };
    assert_eq!(with(Some(5_000), 60_000), State::Met);
    assert_eq!(with(Some(5_001), 60_000), State::Unmet);
    assert_eq!(with(Some(5_001), 1), State::Unmet);
    assert_eq!(with(Some(0), 59_999), State::Unknown);
    assert_eq!(with(None, 60_000), State::Unknown);
}

#[test]
fn a_proof_covers_everything_shows_no_difference_and_is_young() {
    let with = |change: fn(&mut ProofEvidence)| {
        changed(Gate::Proof, |e| change(e.proof.as_mut().unwrap()))
    };
    assert_eq!(with(|p| p.touched = 1_000_000), State::Met);
    assert_eq!(with(|p| p.oldest_age_ms = Some(86_400_000)), State::Met);
    assert_eq!(with(|p| p.oldest_age_ms = Some(86_400_001)), State::Unmet);
    assert_eq!(with(|p| p.oldest_age_ms = None), State::Unmet);
    assert_eq!(with(|p| p.unproven = 1), State::Unmet);
    assert_eq!(with(|p| p.different = 1), State::Unmet);
}

#[test]
fn only_expected_rows_may_wait_in_quarantine() {
    let with = |change: fn(&mut QuarantineEvidence)| {
        changed(Gate::Quarantine, |e| change(e.quarantine.as_mut().unwrap()))
    };
    assert_eq!(with(|q| q.expected = 7), State::Met);
    assert_eq!(with(|q| q.open = 1), State::Unmet);
    assert_eq!(with(|q| q.bugs = 1), State::Unmet);
    assert_eq!(with(|q| q.retrying = 1), State::Unmet);
    assert_eq!(with(|q| q.unlisted = 1), State::Unmet);
}

#[test]
fn a_strangers_write_refuses_and_so_does_a_place_where_it_could_hide() {
    let with = |change: fn(&mut StrangersEvidence)| {
        changed(Gate::Strangers, |e| change(e.strangers.as_mut().unwrap()))
    };
    assert_eq!(with(|s| s.untold = 1), State::Unmet);
    assert_eq!(with(|s| s.unresolved = 1), State::Unmet);
    assert_eq!(with(|s| s.unseen_tables = 1), State::Unmet);
}

#[test]
fn what_the_way_back_loses_is_declared_column_by_column() {
    let column = |name: &str, declared| LossyColumn {
        table: "orders".to_owned(),
        column: name.to_owned(),
        loses: "beyond 255 characters".to_owned(),
        declared,
    };
    let mut evidence = good();
    let with = |evidence: &mut Evidence, lossy| {
        evidence.mapping.as_mut().unwrap().lossy = lossy;
        judge(&GateLimits::default(), evidence, None).remove(4)
    };
    let declared = with(&mut evidence, vec![column("note", true)]);
    assert_eq!(declared.state, State::Met);
    assert_eq!(
        declared.evidence,
        "a rollback loses, as declared: orders.note (beyond 255 characters)"
    );
    let both = with(
        &mut evidence,
        vec![column("note", true), column("at", false)],
    );
    assert_eq!(both.state, State::Unmet);
    assert!(both.evidence.contains("orders.at") && !both.evidence.contains("note"));
    let many = (0..50).map(|n| column(&format!("c{n}"), false)).collect();
    let many = with(&mut evidence, many);
    assert!(many.evidence.ends_with("and 40 more"), "{}", many.evidence);
}

#[test]
fn a_rehearsal_counts_for_the_plan_schema_and_servers_that_it_was_of() {
    let with = |change: fn(&mut Rehearsal)| {
        changed(Gate::Rehearsal, |e| {
            let mut last = REHEARSED;
            change(&mut last);
            e.rehearsal = Some(RehearsalEvidence::Last(last));
        })
    };
    assert_eq!(with(|r| r.age_ms = 14 * 86_400_000), State::Met);
    assert_eq!(with(|r| r.age_ms = 14 * 86_400_000 + 1), State::Unmet);
    assert_eq!(with(|r| r.passed = false), State::Unmet);
    assert_eq!(with(|r| r.same_plan = false), State::Unmet);
    assert_eq!(with(|r| r.same_schema = false), State::Unmet);
    assert_eq!(with(|r| r.same_servers = false), State::Unmet);
    let never = |e: &mut Evidence| e.rehearsal = Some(RehearsalEvidence::Never);
    assert_eq!(changed(Gate::Rehearsal, never), State::Unmet);
    let off = GateLimits {
        rehearsal_days: None,
        ..GateLimits::default()
    };
    assert_eq!(
        state(&off, &Evidence::default(), Gate::Rehearsal),
        State::NotConfigured
    );
}

#[test]
fn shadow_reads_count_only_where_they_are_configured() {
    let limits = GateLimits {
        shadow: Some(ShadowLimits {
            least_reads: 1000,
            most_different_per_million: 1000,
        }),
        ..GateLimits::default()
    };
    let with = |compared, different| {
        let mut evidence = good();
        evidence.shadow = Some(ShadowEvidence {
            compared,
            different,
        });
        state(&limits, &evidence, Gate::Shadow)
    };
    assert_eq!(with(1000, 1), State::Met);
    assert_eq!(with(1000, 2), State::Unmet);
    assert_eq!(with(999, 0), State::Unknown);
    assert_eq!(with(0, 1), State::Unmet);
    assert_eq!(state(&limits, &good(), Gate::Shadow), State::Unknown);
}

#[test]
fn shapes_are_frozen_or_watched() {
    let with = |ddl| changed(Gate::DdlFrozen, |e| e.ddl = Some(ddl));
    assert_eq!(with(DdlFreeze::Watched), State::Met);
    assert_eq!(with(DdlFreeze::Open), State::Unmet);
}

#[test]
fn a_trend_needs_two_numbers() {
    let trend = |before: &Evidence, now: &Evidence, gate: Gate| {
        let results = judge(&GateLimits::default(), now, Some(before));
        results.into_iter().find(|r| r.name == gate).unwrap().trend
    };
    let mut slower = good();
    slower.lag.as_mut().unwrap().p99_ms = Some(41);
    assert_eq!(trend(&good(), &slower, Gate::Lag), Some(Trend::Worse));
    assert_eq!(trend(&slower, &good(), Gate::Lag), Some(Trend::Better));
    assert_eq!(trend(&good(), &good(), Gate::Lag), Some(Trend::Same));
    assert_eq!(trend(&Evidence::default(), &good(), Gate::Lag), None);
    assert_eq!(trend(&good(), &good(), Gate::Rehearsal), None);
    // a difference weighs more than an age
    let mut differs = good();
    let proof = differs.proof.as_mut().unwrap();
    (proof.different, proof.oldest_age_ms) = (1, Some(0));
    assert_eq!(trend(&good(), &differs, Gate::Proof), Some(Trend::Worse));
}

#[test]
fn an_override_is_marked_with_its_reason_and_only_where_it_is_needed() {
    let over = |gate, reason: &str| GateOverride {
        gate,
        reason: reason.to_owned(),
    };
    let mut evidence = good();
    evidence.rehearsal = Some(RehearsalEvidence::Never);
    evidence.strangers = None;
    let judged = judge(&GateLimits::default(), &evidence, None);
    let results = overridden(
        judged.clone(),
        &[
            over(Gate::Rehearsal, "first"),
            over(Gate::Rehearsal, " rehearsed by hand "),
            over(Gate::Strangers, " "),
            over(Gate::Lag, "it is met anyway"),
        ],
    );
    let of = |gate| results.iter().find(|r| r.name == gate).unwrap();
    let rehearsal = of(Gate::Rehearsal);
    assert_eq!(rehearsal.overridden.as_deref(), Some("rehearsed by hand"));
    assert_eq!(rehearsal.state, State::Unmet);
    assert_eq!(of(Gate::Lag).overridden, None);
    let left: Vec<Gate> = refusing(&results).map(|r| r.name).collect();
    assert_eq!(left, [Gate::Strangers]);
    assert_eq!(refusing(&judged).count(), 2);
}

#[test]
fn words_are_read_back() {
    for gate in Gate::ALL {
        assert_eq!(gate.word().parse(), Ok(gate));
    }
    assert_eq!("ddl".parse::<Gate>(), Err(()));
}

#[test]
fn a_window_is_covered_only_without_a_gap() {
    let mut window = LagWindow::new(60_000);
    assert_eq!(window.evidence(5), LagEvidence::default());
    for second in 0..=59 {
        window.add(second * 1000, second);
    }
    assert_eq!(window.evidence(59_000).covered_ms, 59_000);
    window.add(60_000, 60);
    let full = window.evidence(60_000);
    assert_eq!((full.covered_ms, full.samples), (60_000, 61));
    assert_eq!(full.p99_ms, Some(60));
    // the tool was stopped for a while
    assert_eq!(window.evidence(75_001), LagEvidence::default());
    window.add(75_001, 1);
    let anew = window.evidence(75_001);
    assert_eq!(
        (anew.covered_ms, anew.samples, anew.p99_ms),
        (0, 1, Some(1))
    );
    // the clock went back
    window.add(10, 7);
    assert_eq!(window.evidence(11).covered_ms, 1);
}

#[test]
fn one_of_a_hundred_may_be_late_and_old_samples_are_forgotten() {
    let mut window = LagWindow::new(1_000);
    for at in 0..200 {
        window.add(at * 10, if at == 150 { 9_999 } else { 5 });
    }
    let found = window.evidence(1_990);
    assert_eq!((found.samples, found.p99_ms), (101, Some(5)));
    window.add(2_000, 9_999);
    assert_eq!(window.evidence(2_000).p99_ms, Some(9_999));
    for at in 201..400 {
        window.add(at * 10, 5);
    }
    assert_eq!(window.evidence(3_990).p99_ms, Some(5));
}

fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![0..5_u64, any::<u64>(), Just(u64::MAX)]
}

prop_compose! {
    fn any_evidence()(
        n in prop::collection::vec(numbers(), 16), b in prop::collection::vec(any::<bool>(), 16),
        text in ".{0,12}", columns in 0..30_usize,
    ) -> Evidence {
        let lossy = LossyColumn { table: text.clone(), column: text.clone(), loses: text.clone(), declared: b[4] };
        Evidence {
            lag: b[0].then_some(LagEvidence { p99_ms: b[1].then_some(n[0]), covered_ms: n[1], samples: n[2] }),
            proof: b[2].then_some(ProofEvidence {
                unproven: n[3], different: n[4], touched: n[5], oldest_age_ms: b[3].then_some(n[6]), position: Some(text),
            }),
            quarantine: b[5].then_some(QuarantineEvidence {
                open: n[7], bugs: n[8], retrying: n[9], expected: n[10], unlisted: n[11],
            }),
            strangers: b[6].then_some(StrangersEvidence { untold: n[12], unresolved: n[13], unseen_tables: n[14] }),
            mapping: b[7].then_some(MappingEvidence { columns: n[15], lossy: vec![lossy; columns] }),
            rehearsal: b[8].then_some(if b[9] { RehearsalEvidence::Never } else {
                RehearsalEvidence::Last(Rehearsal {
                    age_ms: n[0], passed: b[10], same_plan: b[11], same_schema: b[12], same_servers: b[13],
                })
            }),
            shadow: b[14].then_some(ShadowEvidence { compared: n[1], different: n[2] }),
            ddl: b[15].then_some(if b[0] { DdlFreeze::Open } else { DdlFreeze::Watched }),
        }
    }
}

prop_compose! {
    fn any_limits()(
        n in prop::collection::vec(numbers(), 5), days in any::<Option<u32>>(), shadow in any::<bool>(),
    ) -> GateLimits {
        GateLimits {
            lag_ms: n[0], lag_window_ms: n[1], proof_age_ms: n[2], rehearsal_days: days,
            shadow: shadow.then_some(ShadowLimits { least_reads: n[3], most_different_per_million: n[4] }),
        }
    }
}

proptest! {
    #[test]
    fn judgement_is_total(limits in any_limits(), evidence in any_evidence(), before in any_evidence()) {
        let results = judge(&limits, &evidence, Some(&before));
        prop_assert_eq!(results.len(), Gate::ALL.len());
        for result in &results {
            prop_assert_eq!(result.refuses(), !result.fix.is_empty());
            prop_assert!(!result.evidence.is_empty() && result.evidence.len() < 4_000);
        }
    }

    /// Knowing less never meets a gate.
    #[test]
    fn what_is_taken_away_from_evidence_meets_nothing(limits in any_limits(), evidence in any_evidence()) {
        let less = Evidence { lag: None, proof: None, quarantine: None, ..evidence };
        for gate in [Gate::Lag, Gate::Proof, Gate::Quarantine] {
            prop_assert_eq!(state(&limits, &less, gate), State::Unknown);
        }
    }

    #[test]
    fn an_override_for_every_gate_leaves_nothing_in_the_way(limits in any_limits(), evidence in any_evidence()) {
        let judged = judge(&limits, &evidence, None);
        let all: Vec<GateOverride> =
            Gate::ALL.into_iter().map(|gate| GateOverride { gate, reason: "r".to_owned() }).collect();
        let results = overridden(judged.clone(), &all);
        prop_assert_eq!(refusing(&results).count(), 0);
        for (judged, marked) in judged.iter().zip(&results) {
            prop_assert_eq!(judged.state, marked.state);
            prop_assert_eq!(marked.overridden.is_some(), judged.refuses());
        }
    }

    /// However samples come: no panic, bounded, never a percentile below what nine of ten samples reach, never covered too early.
    #[test]
    fn a_window_is_bounded_and_never_says_too_little(
        length in prop_oneof![1..5_000_u64, any::<u64>()],
        steps in prop::collection::vec((prop_oneof![0..30_u64, any::<u64>()], numbers()), 0..3_000),
        backwards in any::<bool>(),
    ) {
        let mut window = LagWindow::new(length);
        let mut at = if backwards { u64::MAX } else { 0_u64 };
        let first = at;
        for (step, lag) in &steps {
            at = if backwards { at.saturating_sub(*step) } else { at.saturating_add(*step) };
            window.add(at, *lag);
            let found = window.evidence(at);
            prop_assert!(found.samples <= 2 * 1024 + 2);
            prop_assert!(found.p99_ms.is_some());
            prop_assert!(found.covered_ms <= length.max(1));
            prop_assert!(found.covered_ms <= at.abs_diff(first));
        }
    }

    /// Taking samples together never makes the percentile smaller than that of all samples within the window.
    #[test]
    fn samples_taken_together_do_not_look_better(lags in prop::collection::vec(0..1000_u64, 1..4_000)) {
        let mut window = LagWindow::new(100_000);
        for (at, lag) in lags.iter().enumerate() {
            window.add(at as u64 * 10, *lag);
        }
        let mut sorted = lags.clone();
        sorted.sort_unstable();
        let exact = sorted[(sorted.len() * 99).div_ceil(100) - 1];
        prop_assert!(window.evidence(lags.len() as u64 * 10).p99_ms >= Some(exact));
    }
}
