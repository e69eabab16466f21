//! Comparisons under full load, none of which may find a difference. `cargo xtask soak` starts servers for it and runs it.

fn main() -> std::process::ExitCode {
    crossfade_trials::soak::main(std::env::args().skip(1))
}
