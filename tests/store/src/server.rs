//! The server.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    asked::Asked,
    fault::Fault,
    listener::Listener,
    log::Logged,
    store::{Script, Store},
};

/// How long a port that another program took during an outage is waited for.
const PORT_PATIENCE: Duration = Duration::from_secs(10);

/// An object store on a port of loopback. It serves the files of a folder, which may change under way. Dropping
/// it closes all connections and joins their threads.
///
/// All methods may be called by several threads, also while requests are answered.
///
/// ```
/// use std::{io::{Read, Write}, net::TcpStream};
/// use store_server::{Fault, Server};
///
/// let folder = std::env::temp_dir().join(format!("store-server-{}", std::process::id()));
/// std::fs::create_dir_all(folder.join("bucket"))?;
/// std::fs::write(folder.join("bucket/a.tar"), "0123456789")?;
/// let server = Server::start(&folder)?;
/// server.set_script(|asked| if asked.number == 0 { vec![Fault::status(503)] } else { vec![] });
///
/// let mut statuses = Vec::new();
/// for _ in 0..2 {
///     let mut stream = TcpStream::connect(server.address())?;
///     stream.write_all(b"GET /bucket/a.tar HTTP/1.1\r\nRange: bytes=2-3\r\nConnection: close\r\n\r\n")?;
///     let mut answer = String::new();
///     stream.read_to_string(&mut answer)?;
///     statuses.push(answer[9..12].to_owned());
/// }
/// assert_eq!(statuses, ["503", "206"]);
/// assert_eq!(server.requests()[1].asked.range, Some(2..4));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Server {
    store: Arc<Store>,
    address: SocketAddr,
    /// None during an outage.
    listener: Mutex<Option<Listener>>,
}

impl Server {
    /// Serves a folder on a free port of 127.0.0.1. The first level of folders are buckets.
    pub fn start(folder: impl AsRef<Path>) -> io::Result<Self> {
        Self::start_on(folder, 0)
    }

    /// Serves a folder on a given port of 127.0.0.1; 0 takes a free one.
    pub fn start_on(folder: impl AsRef<Path>, port: u16) -> io::Result<Self> {
        let store = Arc::new(Store::new(folder.as_ref())?);
        let listener = Listener::open(Arc::clone(&store), port)?;
        let address = listener.address();
        Ok(Self { store, address, listener: Mutex::new(Some(listener)) })
    }

    /// Returns the address, which stays the same over outages.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns `http://127.0.0.1:PORT/` and the given path, which must have its escapes already.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{}", self.address, path.trim_start_matches('/'))
    }

    /// Returns the requests so far, in the order in which they came. A request is here before the first byte of
    /// its answer.
    pub fn requests(&self) -> Vec<Logged> {
        self.store.log.requests()
    }

    /// Empties the record of requests. Their numbers go on.
    pub fn forget_requests(&self) {
        self.store.log.forget();
    }

    /// Writes a line of JSON for each request from now on, once it has been answered.
    pub fn set_log(&self, lines: impl Write + Send + 'static) {
        self.store.log.write_to(Box::new(lines));
    }

    /// Waits before each answer.
    pub fn set_delay(&self, delay: Duration) {
        self.store.change(|settings| settings.delay = delay);
    }

    /// Limits the bytes of bodies a second and connection, at once also for answers under way.
    pub fn set_rate(&self, rate: Option<u64>) {
        self.store.change(|settings| settings.rate = rate);
    }

    /// Sets the largest number of names in an answer to a request for a list; 1,000 at the beginning.
    pub fn set_page(&self, names: usize) {
        self.store.change(|settings| settings.page = names.max(1));
    }

    /// Sets the account that precedes the container in paths of Azure; `devstoreaccount1` at the beginning, as
    /// emulators have it. Paths without it work as well: `/CONTAINER/KEY`.
    pub fn set_account(&self, account: &str) {
        self.store.change(|settings| account.clone_into(&mut settings.account));
    }

    /// Answers 403 unless a request has an `Authorization` header or a signed query. Neither is verified.
    pub fn require_authorization(&self, is_required: bool) {
        self.store.change(|settings| settings.requires_authorization = is_required);
    }

    /// Asks a script about each request from now on. It returns the faults of the answer, none for the right
    /// one. It is called for one request at a time, and must not stop or drop the server.
    pub fn set_script(&self, script: impl FnMut(&Asked) -> Vec<Fault> + Send + 'static) {
        let script: Script = Box::new(script);
        self.store.set_script(Some(script));
    }

    /// Answers all requests rightly from now on.
    pub fn clear_script(&self) {
        self.store.set_script(None);
    }

    /// Begins an outage: closes the port, cuts all connections, and joins their threads. Does nothing during an
    /// outage.
    pub fn stop(&self) {
        drop(self.listener.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Ends an outage: opens the same port again. Fails if another program keeps it for 10 s. Does nothing
    /// outside an outage.
    pub fn start_again(&self) -> io::Result<()> {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        let end = Instant::now() + PORT_PATIENCE;
        while listener.is_none() {
            match Listener::open(Arc::clone(&self.store), self.address.port()) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < end => {
                    thread::sleep(Duration::from_millis(10));
                }
                opened => *listener = Some(opened?),
            }
        }
        Ok(())
    }
}
