//! A linear classifier that is fitted until nothing changes any more: multinomial logistic regression by L-BFGS.

mod fit;
mod lbfgs;
mod objective;

pub(super) use self::fit::Logistic;
