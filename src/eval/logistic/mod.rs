//! Multinomial logistic regression, a linear classifier that L-BFGS fits to convergence.

mod fit;
mod lbfgs;
mod objective;

pub(super) use self::fit::Logistic;
