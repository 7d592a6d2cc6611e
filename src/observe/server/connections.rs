//! The connections of the server: how many there are, and how long each may take.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{answer::App, patient::Patient};

/// Connections at a time; further ones are refused.
const MOST: usize = 32;
/// The time in which a request must have come.
const REQUEST: Duration = Duration::from_secs(5);
/// The bytes of a request: the fewest that hyper allows.
const REQUEST_BYTES: usize = 8192;
/// The time after which a reader that takes nothing is given up.
const SILENCE: Duration = Duration::from_secs(30);
/// The time that the end waits for answers under way.
const CLOSING: Duration = Duration::from_secs(1);
/// The pause after a connection that could not be accepted, such as without file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

const TOO_MANY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 21\r\nconnection: close\r\n\r\ntoo many connections\n";

/// Serves until `stop` is disconnected. Then readers learn of the end, and have a moment to load the last numbers.
pub(super) async fn serve(listener: TcpListener, app: Arc<App>, stop: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    accept(&listener, &app, &mut connections, stop).await;
    app.pages.forget();
    let has_readers = app.live.end();
    if has_readers {
        let over = timeout(CLOSING, accept(&listener, &app, &mut connections, std::future::pending::<()>()));
        drop(over.await);
    }
    drop(timeout(CLOSING, async { while connections.join_next().await.is_some() {} }).await);
}

/// Accepts connections and answers each of them, until something is `over`.
async fn accept(listener: &TcpListener, app: &Arc<App>, connections: &mut JoinSet<()>, over: impl Future) {
    let places = Arc::new(Semaphore::new(MOST));
    let mut over = pin!(over);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut over => return,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            refuse(stream);
            continue;
        };
        let app = app.clone();
        connections.spawn(async move {
            answer(stream, app).await;
            drop(place);
        });
    }
}

/// Answers one request.
async fn answer(stream: TcpStream, app: Arc<App>) {
    let service = service_fn(move |request| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(app.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST)
        .max_buf_size(REQUEST_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(Patient::new(stream, SILENCE)), service);
    drop(connection.await); // a reader that went away is none of ours
}

/// Says that there are too many connections, if the reader takes it at once.
fn refuse(mut stream: TcpStream) {
    tokio::spawn(async move {
        drop(timeout(PAUSE, stream.write_all(TOO_MANY.as_bytes())).await);
    });
}
