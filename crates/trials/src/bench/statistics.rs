//! Medians, spreads and ratios of what was measured.

/// The figures of all rounds, in the order of the rounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series(pub Vec<f64>);

impl Series {
    /// The middle one; of an even number the mean of the middle two; not a number where there is none.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            length if length % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    pub fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub fn most(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// One series by another: the ratio of the medians, and the least and greatest ratio within a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    pub of_medians: f64,
    pub least: f64,
    pub most: f64,
}

impl Ratio {
    pub fn new(of: &Series, by: &Series) -> Self {
        let each = Series(of.0.iter().zip(&by.0).map(|(of, by)| of / by).collect());
        Self {
            of_medians: of.median() / by.median(),
            least: each.least(),
            most: each.most(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_do_not_follow_outliers() {
        assert!((Series(vec![3.0, 1.0, 100.0]).median() - 3.0).abs() < 1e-9);
        assert!((Series(vec![4.0, 1.0, 2.0, 100.0]).median() - 3.0).abs() < 1e-9);
        assert!(Series::default().median().is_nan());
    }

    #[test]
    fn a_ratio_is_of_medians_and_its_spread_of_rounds() {
        let ratio = Ratio::new(&Series(vec![2.0, 3.0, 9.0]), &Series(vec![2.0, 2.0, 3.0]));
        assert!((ratio.of_medians - 1.5).abs() < 1e-9);
        assert!((ratio.least - 1.0).abs() < 1e-9 && (ratio.most - 3.0).abs() < 1e-9);
    }
}
