//! Corruption that `verify` must find. `cargo xtask mutations` starts servers for it and runs it.

fn main() -> std::process::ExitCode {
    crossfade_trials::mutations::main(std::env::args().skip(1))
}
