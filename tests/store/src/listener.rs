//! The port of a server and the threads behind it.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{closing::Closing, connection, store::Store};

/// An open port. Dropping it closes the port and the connections, and joins their threads.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What the threads of a port share.
#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    closing: Closing,
    /// Second handles of the connections, by which they are cut.
    connections: Mutex<HashMap<usize, TcpStream>>,
}

impl Listener {
    /// Opens a port on loopback, any free one for 0.
    pub(crate) fn open(store: Arc<Store>, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { store, closing: Closing::default(), connections: Mutex::default() });
        let accepting = thread::Builder::new().name("store-server".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        })?;
        Ok(Self { address, shared, accepting: Some(accepting) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.closing.close();
        for stream in self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner).values() {
            // A connection that its client has cut already cannot be shut down.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts connections, unless one has just come.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.accepting.take() {
            // A panic in it has been printed.
            let _ = thread.join();
        }
    }
}

/// Gives each connection a thread until the port is closed, and joins the threads.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let accepted = listener.accept();
        if shared.closing.is_closed() {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        match accepted.and_then(|(stream, _)| shared.start(stream)) {
            Ok(thread) => threads.extend(thread),
            // Too many open files or threads: some end sooner or later.
            Err(_) => {
                let _ = shared.closing.wait(Duration::from_millis(10));
            }
        }
    }
    for thread in threads {
        // A panic of a script has been printed, and closed its connection.
        let _ = thread.join();
    }
}

impl Shared {
    /// Starts the thread of a connection; none if the port is being closed.
    fn start(self: &Arc<Self>, stream: TcpStream) -> io::Result<Option<JoinHandle<()>>> {
        let (number, second) = (self.store.next_connection(), stream.try_clone()?);
        {
            let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            if self.closing.is_closed() {
                return Ok(None);
            }
            connections.insert(number, second);
        }
        let guard = Connection { shared: Arc::clone(self), number, stream };
        thread::Builder::new().name(format!("connection {number}")).spawn(move || guard.serve()).map(Some)
    }
}

/// A connection. Dropping it closes both handles.
#[derive(Debug)]
struct Connection {
    shared: Arc<Shared>,
    number: usize,
    stream: TcpStream,
}

impl Connection {
    fn serve(self) {
        let Shared { store, closing, .. } = &*self.shared;
        // A connection that fails is one that the client or an outage has cut.
        let _ = connection::serve(&self.stream, self.number, store, closing);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}
