//! The switch and its way back.

pub mod report;
