//! Trains image encoders without labels, fast.
