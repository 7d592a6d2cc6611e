//! A place whose shards a server has.

use std::{fs, process::Command};

use store_server::Server;

use crate::support::Place;

/// A place with the shards `bucket/train-000.tar` and so on, and their server.
pub(super) struct Served {
    pub(super) place: Place,
    pub(super) server: Server,
    shards: usize,
}

impl Served {
    pub(super) fn new(shards: usize, per_shard: usize) -> Self {
        let place = Place::new();
        fs::create_dir(place.path("bucket")).unwrap();
        place.shards("bucket/train", shards, per_shard);
        fs::write(place.path("bucket/classes.txt"), "cat\ndog\nbird\n").unwrap();
        let server = Server::start(place.path("")).unwrap();
        let served = Self { place, server, shards };
        fs::write(served.place.path("stores.toml"), served.stores()).unwrap();
        served
    }

    /// Returns a file of settings with the options that lead to the server.
    fn stores(&self) -> String {
        let base = self.server.url("");
        let base = base.trim_end_matches('/');
        format!(
            "[data.stores.\"s3://bucket\"]\nendpoint = '{base}'\nallow_http = 'true'\nregion = 'us-east-1'\n\
             [data.stores.\"gs://bucket\"]\nbase_url = '{base}'\nallow_http = 'true'\n\
             [data.stores.\"az://bucket\"]\nendpoint = '{base}/devstoreaccount1'\nallow_http = 'true'\n\
             account_name = 'devstoreaccount1'\n"
        )
    }

    /// Returns the pattern of all shards under a scheme, or that of the files.
    pub(super) fn pattern(&self, scheme: &str) -> String {
        let name = format!("train-<000..{:03}>.tar", self.shards - 1);
        match scheme {
            "file" => self.place.path(&format!("bucket/{name}")).display().to_string(),
            "http" => self.server.url(&format!("bucket/{name}")),
            _ => format!("{scheme}://bucket/{name}"),
        }
    }

    /// Returns a command that trains on the shards, with a cache of its own.
    pub(super) fn train(&self, scheme: &str, out: &str, more: &[&str]) -> Command {
        let mut command = self.place.train(&self.pattern(scheme), out, more);
        command.arg("--config").arg(self.place.path("stores.toml"));
        command.arg("--cache-dir").arg(self.place.path(&format!("parts-{out}")));
        command.args(["--seed", "3", "--workers", "2", "--threads", "1"]);
        command
    }

    /// Returns the bytes of all shards.
    pub(super) fn bytes(&self) -> u64 {
        let path = |shard| self.place.path(&format!("bucket/train-{shard:03}.tar"));
        (0..self.shards).map(|shard| path(shard).metadata().unwrap().len()).sum()
    }
}
