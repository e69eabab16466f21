//! The application that writes to a SQLite file while a trial migrates it.

fn main() {
    crossfade_trials::workload::writer_main();
}
