//! Histograms of many numbers.

/// The distribution of many numbers over buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// The least number.
    pub min: f64,
    /// The largest number.
    pub max: f64,
    /// The sum of the numbers.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
    /// The upper end of each bucket, in ascending order. A bucket begins where the one before it ends.
    pub ends: Vec<f64>,
    /// How many numbers are in each bucket.
    pub counts: Vec<f64>,
}
