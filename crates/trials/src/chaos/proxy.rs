//! A way to a server on which packets can be lost: nothing comes through any more, and no connection is closed. Or all
//! connections are closed at once, and others can be made, or cannot.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How often a held connection looks whether the way is free again.
const LOOK: Duration = Duration::from_millis(20);

/// The way. What was on it when it was cut comes through when it is mended, as what is sent again does.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    cut: Arc<AtomicBool>,
    refuses: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// A way to a URL's server, and the URL that goes by it.
    ///
    /// # Panics
    /// When no port can be had, or the URL is none of a server.
    #[must_use]
    pub fn to(url: &str) -> (Self, String) {
        let (head, rest) = url.split_once('@').expect("a URL has a user");
        let (address, path) = rest.split_once('/').expect("a URL has a path");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let proxy = Self {
            port,
            cut: Arc::default(),
            refuses: Arc::default(),
            over: Arc::default(),
            open: Arc::default(),
        };
        let (cut, over) = (Arc::clone(&proxy.cut), Arc::clone(&proxy.over));
        let refuses = Arc::clone(&proxy.refuses);
        let open = Arc::clone(&proxy.open);
        let server = address.to_owned();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                if refuses.load(Ordering::SeqCst) {
                    continue;
                }
                if let Ok(client) = client.try_clone() {
                    open.lock().expect("nobody panics with it").push(client);
                }
                let (cut, server) = (Arc::clone(&cut), server.clone());
                thread::spawn(move || join(client, &server, &cut));
            }
        });
        (proxy, format!("{head}@127.0.0.1:{port}/{path}"))
    }

    /// Cuts the way, or mends it.
    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    /// Takes no more connections, or takes them again. Those that are open stay.
    pub fn refuse(&self, refuse: bool) {
        self.refuses.store(refuse, Ordering::SeqCst);
    }

    /// Closes every connection that goes this way; gives how many were ever made since the last time.
    ///
    /// # Panics
    /// Never: nobody panics with the list of them.
    pub fn drop_all(&self) -> usize {
        let open = std::mem::take(&mut *self.open.lock().expect("nobody panics with it"));
        for client in &open {
            // one that was closed before is as well
            let _ = client.shutdown(Shutdown::Both);
        }
        open.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut(false);
        self.over.store(true, Ordering::SeqCst);
        // the listener looks at it when somebody comes
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn join(client: TcpStream, server: &str, cut: &Arc<AtomicBool>) {
    hold(cut);
    // a server that is down closes what it does not take
    let Ok(there) = TcpStream::connect(server) else {
        let _ = client.shutdown(Shutdown::Both);
        return;
    };
    let clones = client.try_clone().and_then(|c| Ok((c, there.try_clone()?)));
    let (client_out, there_in) = clones.expect("a socket can be had twice");
    let held = Arc::clone(cut);
    thread::spawn(move || carry(there_in, client_out, &held));
    carry(client, there, cut);
}

fn hold(cut: &AtomicBool) {
    while cut.load(Ordering::SeqCst) {
        thread::sleep(LOOK);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        // an end is a packet, too
        hold(cut);
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            let _ = to.shutdown(Shutdown::Write);
            let _ = from.shutdown(Shutdown::Read);
            return;
        }
    }
}
