//! crossfade and its rivals, in turn, on the same data. `cargo xtask bench` starts servers for it and runs it.

fn main() -> std::process::ExitCode {
    crossfade_trials::bench::main(std::env::args().skip(1))
}
