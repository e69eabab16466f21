//! The application of the bank trials: moves money, and writes down what was acknowledged.

fn main() {
    crossfade_trials::bank::teller_main();
}
