//! Serves a folder as an object store until it is ended.

use std::{
    env,
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
    thread,
    time::Duration,
};

use store_server::Server;

const USAGE: &str = "usage: store-server FOLDER [--port N] [--delay-ms N] [--rate BYTES] [--log FILE]

Serves the files in FOLDER on 127.0.0.1 as S3, Google Cloud Storage, Azure and plain HTTP do.
Prints its address, and serves until it is ended.

  --port N        a port; otherwise a free one
  --delay-ms N    wait so many milliseconds before each answer
  --rate BYTES    send so many bytes a second and connection at most
  --log FILE      append a line of JSON for each request";

/// What the command line says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    folder: PathBuf,
    port: u16,
    delay: Duration,
    rate: Option<u64>,
    log: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments. Fails with what is wrong.
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(name) = arguments.next() {
            if !name.starts_with("--") {
                if !options.folder.as_os_str().is_empty() {
                    return Err(format!("`{name}` is a second folder"));
                }
                options.folder = name.into();
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("`{name}` lacks its value"))?;
            match name.as_str() {
                "--port" => options.port = number(&name, &value)?,
                "--delay-ms" => options.delay = Duration::from_millis(number(&name, &value)?),
                "--rate" => options.rate = Some(number(&name, &value)?),
                "--log" => options.log = Some(value.into()),
                _ => return Err(format!("`{name}` is not known")),
            }
        }
        if options.folder.as_os_str().is_empty() {
            Err("the folder is missing".to_owned())
        } else {
            Ok(options)
        }
    }

    fn start(&self) -> io::Result<Server> {
        let server = Server::start_on(&self.folder, self.port)?;
        server.set_delay(self.delay);
        server.set_rate(self.rate);
        if let Some(path) = &self.log {
            server.set_log(OpenOptions::new().create(true).append(true).open(path)?);
        }
        Ok(server)
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{name}` is `{value}`, which is no number that it can be"))
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a program")]
fn main() -> ExitCode {
    let options = match Options::read(env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match options.start() {
        Ok(server) => {
            println!("{}", server.url(""));
            loop {
                // Only the log's lines are of use here.
                thread::sleep(Duration::from_secs(60));
                server.forget_requests();
            }
        }
        Err(error) => {
            eprintln!("{}: {error}", Path::display(&options.folder));
            ExitCode::FAILURE
        }
    }
}
