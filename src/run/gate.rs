//! Gates: conditions on the numbers of a run.

use std::{cmp::Ordering, collections::BTreeMap, fmt, str::FromStr};

use crate::metrics::ValidationRecord;

/// Numbers of a run by name.
pub type Metrics = BTreeMap<String, f64>;

/// The names of the numbers that a gate can be on: those of the validation at the promoted step, and the
/// training loss.
pub const METRICS: [&str; 6] = {
    let [(linear, _), (mlp, _), (knn, _), (rankme, _), (cosine, _)] = ValidationRecord::NUMBERS;
    [linear, mlp, knn, rankme, cosine, LOSS]
};

/// The name of the training loss.
pub const LOSS: &str = "loss";

/// A condition such as `knn>=0.95*previous`: a number of this run, compared with that of the previous
/// promotion or with a constant.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    text: String,
    metric: &'static str,
    comparison: Comparison,
    bound: Bound,
}

/// The bound `factor` · previous + `constant`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bound {
    factor: f64,
    constant: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    AtLeast,
    Above,
    AtMost,
    Below,
}

impl Comparison {
    /// All signs; the longer ones come first, since `>` is a prefix of `>=`.
    const ALL: [(&str, Self); 4] =
        [(">=", Self::AtLeast), ("<=", Self::AtMost), (">", Self::Above), ("<", Self::Below)];

    /// Returns whether the comparison holds. It is false if `value` or `bound` is not a number.
    fn holds(self, value: f64, bound: f64) -> bool {
        let order = value.partial_cmp(&bound);
        match self {
            Self::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Self::Above => order == Some(Ordering::Greater),
            Self::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Below => order == Some(Ordering::Less),
        }
    }
}

impl Bound {
    /// Parses a sum of numbers and multiples of `previous`. Returns `None` if the text is not such a sum.
    fn parse(text: &str) -> Option<Self> {
        let mut bound = Self { factor: 0.0, constant: 0.0 };
        let mut rest = text;
        let mut sign = 1.0;
        loop {
            // A sign after the `e` of a number belongs to the number.
            let end = rest.char_indices().find(|&(at, char)| {
                let exponent =
                    rest[..at].ends_with(['e', 'E']) && rest.starts_with(|char: char| char.is_ascii_digit());
                at > 0 && matches!(char, '+' | '-') && !exponent
            });
            let term = &rest[..end.map_or(rest.len(), |(at, _)| at)];
            let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
            match term.split_once('*') {
                Some(("previous", number_) | (number_, "previous")) => {
                    bound.factor += sign * number(number_)?;
                }
                Some(_) => return None,
                None if term == "previous" => bound.factor += sign,
                None => bound.constant += sign * number(term)?,
            }
            let Some((at, char)) = end else { return Some(bound) };
            sign = if char == '+' { 1.0 } else { -1.0 };
            rest = &rest[at + 1..];
        }
    }
}

impl Gate {
    /// Returns the name of the number that the gate is on.
    pub fn metric(&self) -> &'static str {
        self.metric
    }

    /// Checks the numbers of a run. A gate that refers to a previous promotion holds if there is none.
    ///
    /// # Errors
    ///
    /// The reason, as a clause, if the gate does not hold.
    pub fn judge(&self, metrics: &Metrics, previous: Option<&Metrics>) -> Result<(), String> {
        let name = self.metric;
        let value = metrics.get(name).ok_or_else(|| format!("`{self}`: this run measured no `{name}`"))?;
        let base = match previous {
            _ if self.bound.factor == 0.0 => 0.0,
            None => return Ok(()),
            Some(previous) => {
                let base = previous.get(name);
                *base.ok_or_else(|| format!("`{self}`: the previous promotion has no `{name}` on record"))?
            }
        };
        let bound = self.bound.factor * base + self.bound.constant;
        if self.comparison.holds(*value, bound) {
            return Ok(());
        }
        Err(format!("`{self}` does not hold: {name} is {value:.4}, the bound {bound:.4}"))
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Gate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "write a condition as 'knn>=0.95*previous', 'loss<previous+0.1' or 'linear>0.6'";
        let compact: String = text.chars().filter(|char| !char.is_whitespace()).collect();
        let found = Comparison::ALL.iter().find_map(|(sign, comparison)| {
            let (metric, bound) = compact.split_once(sign)?;
            Some((metric, *comparison, bound))
        });
        let (metric, comparison, bound) = found.ok_or(FORM)?;
        let metric = METRICS.into_iter().find(|known| *known == metric);
        let metric = metric.ok_or_else(|| format!("the numbers are {}", METRICS.join(", ")))?;
        let bound = Bound::parse(bound).ok_or(FORM)?;
        let is_share = ["linear", "mlp", "knn"].contains(&metric);
        if is_share && bound.factor == 0.0 && !(0.0..=1.0).contains(&bound.constant) {
            return Err(format!("{metric} is a share from 0 to 1: write 0.6 for 60 %"));
        }
        Ok(Self { text: text.to_owned(), metric, comparison, bound })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(gate: &str, value: f64, previous: Option<f64>) -> bool {
        let metrics = |value| Metrics::from([("knn".to_owned(), value)]);
        gate.parse::<Gate>().unwrap().judge(&metrics(value), previous.map(metrics).as_ref()).is_ok()
    }

    #[test]
    fn a_gate_compares_with_the_previous_promotion() {
        for (gate, value, passed) in [
            ("knn>=0.95*previous", 0.57, true),
            ("knn>=0.95*previous", 0.5699, false),
            ("knn > previous*0.5 + 0.1", 0.4, false),
            ("knn > previous*0.5 + 0.1", 0.41, true),
            ("knn<=previous-0.1", 0.5, true),
            ("knn<previous-1e-1", 0.5, false),
            ("knn>=0.7", 0.6, false),
        ] {
            assert_eq!(passes(gate, value, Some(0.6)), passed, "{gate} {value}");
        }
    }

    #[test]
    fn without_a_previous_promotion_only_constants_count() {
        assert!(passes("knn>=0.95*previous", 0.0, None));
        assert!(!passes("knn>=0.7", 0.6, None));
        assert!(passes("knn>=0.5", 0.6, None));
    }

    #[test]
    fn a_number_that_was_not_measured_or_is_nan_does_not_pass() {
        assert!(!passes("knn<1", f64::NAN, None));
        let gate: Gate = "linear>0".parse().unwrap();
        assert!(gate.judge(&Metrics::new(), None).unwrap_err().contains("no `linear`"));
        let old = Metrics::from([("knn".to_owned(), 0.5)]);
        let now = Metrics::from([("linear".to_owned(), 0.5)]);
        let gate: Gate = "linear>=previous".parse().unwrap();
        assert!(gate.judge(&now, Some(&old)).unwrap_err().contains("on record"));
    }

    #[test]
    fn texts_that_are_not_conditions_are_refused() {
        for text in [
            "",
            "knn",
            "knn>=",
            "knn=0.5",
            "accuracy>0.5",
            "knn>0.5*before",
            "knn>previous*previous",
            "knn>inf",
            "linear>60",
            "knn>=-1",
        ] {
            assert!(text.parse::<Gate>().is_err(), "{text}");
        }
    }
}
