//! Flags of a start by which a run is watched.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::Result;

use crate::{files::folder_of, numbers, usage};

/// By what this start of a run is watched while it trains.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Watching")]
pub struct Watching {
    /// Serve a page that follows the run, and its numbers for Prometheus under /metrics, e.g. 127.0.0.1:9400.
    /// Port 0 takes any free port. An address that other machines can reach needs --listen-token
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// File with the token that readers of --listen have to present. If there is no such file, it is made
    /// with a random token
    #[arg(long, value_name = "FILE")]
    pub listen_token: Option<PathBuf>,
    /// Write what every thread does in the first steps of this start to a file, which ui.perfetto.dev shows
    #[arg(long, value_name = "FILE.json")]
    pub trace: Option<PathBuf>,
    /// Steps in the file of --trace (default: 50)
    #[arg(long, value_name = "N", value_parser = numbers::COUNT.parser::<u64>())]
    pub trace_steps: Option<u64>,
}

impl Watching {
    /// The steps of a trace, unless their number is given.
    pub(crate) const TRACED: u64 = 50;

    /// Checks that other machines can only read with a token, that the trace can be written, and that no flag is without
    /// the one that it belongs to.
    ///
    /// # Errors
    ///
    /// If they could read without one, there is no folder for the trace, or a flag is alone.
    pub(crate) fn check(&self) -> Result<()> {
        if self.listen_token.is_some() && self.listen.is_none() {
            return Err(usage!(
                "--listen-token is for the readers of --listen, which is not given";
                "add --listen ADDR, or leave out --listen-token"
            ));
        }
        if self.trace_steps.is_some() && self.trace.is_none() {
            return Err(usage!(
                "--trace-steps is for the file of --trace, which is not given";
                "add --trace FILE.json, or leave out --trace-steps"
            ));
        }
        if let Some(file) = self.trace.as_deref()
            && (file.is_dir() || !folder_of(file).is_dir())
        {
            return Err(usage!(
                "cannot write the trace `{}`", file.display();
                "name a file in an existing folder with --trace"
            ));
        }
        match self.listen {
            Some(address) if !address.ip().is_loopback() && self.listen_token.is_none() => Err(usage!(
                "anyone who reaches this machine could read the page at {address}";
                "name a file for a token with --listen-token FILE, or listen at 127.0.0.1:{}", address.port()
            )),
            _ => Ok(()),
        }
    }
}

/// Parses an address with a port, or a port of this machine.
fn address(text: &str) -> Result<SocketAddr, String> {
    let local = |port: &str| Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?));
    let named = text.strip_prefix("localhost:").or_else(|| text.strip_prefix(':')).unwrap_or(text);
    let parsed = local(named).or_else(|| text.parse().ok());
    parsed.ok_or_else(|| "expected an address with a port, such as 127.0.0.1:9400, or a port".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_this_machine() {
        let parsed = |text| address(text).map(|address| address.to_string());
        for text in ["9400", ":9400", "localhost:9400", "127.0.0.1:9400"] {
            assert_eq!(parsed(text).as_deref(), Ok("127.0.0.1:9400"), "{text}");
        }
        assert_eq!(parsed("[::1]:80").as_deref(), Ok("[::1]:80"));
        for text in ["", "localhost", "127.0.0.1", "70000", "example.org:80", "http://127.0.0.1:9400"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_flag_without_the_one_that_it_belongs_to_is_refused_with_both_names() {
        let token = Watching { listen_token: Some(PathBuf::from("token")), ..Watching::default() };
        let steps = Watching { trace_steps: Some(9), ..Watching::default() };
        for (watching, hint) in [
            (token, "hint: add --listen ADDR, or leave out --listen-token"),
            (steps, "hint: add --trace FILE.json, or leave out --trace-steps"),
        ] {
            let error = crate::hint::render(&watching.check().unwrap_err());
            assert!(error.contains(hint), "{error}");
        }
        Watching::default().check().unwrap();
    }

    #[test]
    fn an_address_that_others_can_reach_needs_a_token() {
        let watching = |text: &str, token: Option<&str>| Watching {
            listen: Some(text.parse().unwrap()),
            listen_token: token.map(PathBuf::from),
            ..Watching::default()
        };
        for text in ["127.0.0.1:9400", "[::1]:9400", "127.0.0.2:1"] {
            watching(text, None).check().unwrap();
        }
        for text in ["0.0.0.0:9400", "[::]:9400", "10.0.0.1:9400"] {
            let error = crate::hint::render(&watching(text, None).check().unwrap_err());
            assert!(error.contains("hint: name a file for a token with --listen-token"), "{error}");
            watching(text, Some("token")).check().unwrap();
        }
    }
}
