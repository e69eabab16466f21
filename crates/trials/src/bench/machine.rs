//! What the figures were measured on, and whether something else was using it.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a measurement waits for other work on the machine to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Over how long the processors are watched.
const SAMPLE: Duration = Duration::from_millis(400);
/// The share of the processors that must be idle before a measurement.
const QUIET: f64 = 0.85;

/// Processors, memory and load, in one line.
pub fn description() -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let model = first_value("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = first_value("/proc/meminfo", "MemTotal").unwrap_or_default();
    format!(
        "machine: {processors} x {model}, {memory} memory, load {:.2}",
        load()
    )
}

/// Runnable processes, mean of the last minute.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next().unwrap_or_default();
    first.parse().unwrap_or(f64::NAN)
}

/// Waits until the processors are mostly idle; gives up after a while. Returns the idle share that was seen last.
pub fn wait_until_quiet() -> f64 {
    let begun = Instant::now();
    loop {
        let idle = idle_share();
        if idle >= QUIET || begun.elapsed() > PATIENCE {
            return idle;
        }
    }
}

/// Whether a measurement that began with this idle share was alone on the machine.
pub fn is_quiet(idle: f64) -> bool {
    idle >= QUIET
}

fn idle_share() -> f64 {
    let (idle, all) = processor_times();
    sleep(SAMPLE);
    let (idle_now, all_now) = processor_times();
    idle_now.saturating_sub(idle) as f64 / all_now.saturating_sub(all).max(1) as f64
}

/// Ticks that all processors were idle or waiting for a disk, and all ticks, since the start of the machine.
fn processor_times() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in user already
    let idle = ticks.iter().skip(3).take(2).sum();
    (idle, ticks.iter().take(8).sum())
}

fn first_value(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
