//! The output on terminals of several widths, in pipes, and after signals.
//!
//! `tests/golden_terminal` contains the output of a short run that is interrupted, with numbers masked. After
//! an intended change, `AMDIM_WRITE_GOLDEN=1 cargo test --test it terminal` writes the files again.

mod capture;
mod output;
mod resized;
mod screen;
