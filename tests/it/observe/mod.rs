//! Everything by which a run is watched while it trains.

mod board;
mod events;
mod http;
mod killed;
mod live;
mod page;
mod prometheus;
mod promtool;
mod reader;
mod server;
mod trace;

/// Returns whether tests take their long form, as in `make soak`.
fn is_long() -> bool {
    std::env::var_os("AMDIM_SOAK").is_some_and(|value| value == "1")
}
