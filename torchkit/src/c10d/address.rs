//! Addresses of this machine and of others.

use std::{
    env, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use crate::failure::{Failure, NetworkFault};

/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(50);

/// Listens at a port: of the loopback interface if `host` is a loopback address or `localhost`, else of all interfaces.
///
/// # Errors
/// The port is in use, or may not be used.
pub(super) fn listen(host: &str, port: u16) -> Result<TcpListener, Failure> {
    let loopback = if host == "localhost" { Ok(Ipv4Addr::LOCALHOST.into()) } else { host.parse::<IpAddr>() };
    let listener = match loopback {
        Ok(address) if address.is_loopback() => TcpListener::bind((address, port)),
        // IPv6 sockets take connections of IPv4 as well, but not every machine has IPv6.
        _ => TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
            _ => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)),
        }),
    };
    listener.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            Failure::of_network(NetworkFault::PortInUse, format!("port {port} is in use by another program"))
        }
        _ => Failure::of_network(NetworkFault::Unreachable, format!("cannot listen at port {port}: {error}")),
    })
}

/// Returns the port of a listener.
///
/// # Errors
/// The system's.
pub(super) fn port_of(listener: &TcpListener) -> Result<u16, Failure> {
    listener.local_addr().map(|address| address.port()).map_err(|error| Failure::new(error.to_string()))
}

/// Waits until something listens at an address.
///
/// # Errors
/// Nothing did within `timeout`, or the name has no address.
pub(super) fn reach(host: &str, port: u16, timeout: Duration) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        let Err(error) = connect_once(host, port, timeout.saturating_sub(start.elapsed()).max(PAUSE)) else {
            return Ok(());
        };
        if start.elapsed() + PAUSE >= timeout {
            let message = format!("cannot connect to {host}:{port} within {timeout:?}: {error}");
            return Err(Failure::of_network(NetworkFault::Unreachable, message));
        }
        thread::sleep(PAUSE);
    }
}

fn connect_once(host: &str, port: u16, timeout: Duration) -> io::Result<()> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses(host, port)? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Returns the address from which this machine reaches another one; `None` if there is none, or if the user names gloo's
/// network interface.
pub(super) fn own_address(host: &str, port: u16) -> Option<IpAddr> {
    if env::var_os("GLOO_SOCKET_IFNAME").is_some() {
        return None;
    }
    addresses(host, port).ok()?.into_iter().find_map(|peer| {
        let any = if peer.is_ipv6() { IpAddr::from([0; 16]) } else { IpAddr::from([0; 4]) };
        let socket = UdpSocket::bind((any, 0)).ok()?; // connecting it sends nothing
        socket.connect(peer).ok()?;
        Some(socket.local_addr().ok()?.ip())
    })
}

/// Returns the addresses of a name, those of IPv4 first.
fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    Ok(addresses)
}
