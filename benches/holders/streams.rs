//! Many holders of one concurrency, each on a stream of its own to `headway serve`: one line of JSON.
//!
//! `streams PORT CONTRACT HOLDERS GROWING SECONDS`, the token as the first line of standard input. It says `warm` once
//! everybody holds a slot, and waits for a line. All renew every third of their lease, as gates do; those that grow want one
//! unit more as soon as they got the last one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use headway_wire::grpc::{Frames, framed};
use headway_wire::hold::{FromGate, HOLD, HOLDER_BYTES, Hello, Lease, MESSAGE_MAX, PROTOCOL};
use headway_wire::hold::{Path as OnPath, Renew, ToGate, ToKeeper, read_keeper};
use http::Request;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

/// A server takes 64 streams that last on a connection.
const STREAMS: usize = 60;
const PATH: u64 = 1;
const UNIT: u64 = 1_000_000;
/// Of a lease under a `drain_within` of 5 s.
const LEASE: Duration = Duration::from_millis(3_742);

type Failed = Box<dyn std::error::Error>;

/// What goes out on a stream.
struct Outgoing(mpsc::UnboundedReceiver<Bytes>);

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// What all holders saw since it was last reset.
#[derive(Default)]
struct Seen {
    holding: usize,
    renewals: u64,
    growths: u64,
    /// A lease ended before its renewal was answered.
    lapses: u64,
    renewed_us: Vec<u32>,
    grown_us: Vec<u32>,
}

struct Holder {
    is_growing: bool,
    out: mpsc::UnboundedSender<Bytes>,
    seen: Rc<RefCell<Seen>>,
    want: u64,
    counter: u64,
    epoch: u64,
    seq: u64,
    units: u64,
    sent: VecDeque<(u64, Instant)>,
    expires: Option<Instant>,
    renew_at: Instant,
}

impl Holder {
    fn say(&self, message: ToKeeper) {
        // A stream that has ended is seen where it is read.
        drop(self.out.send(framed(&FromGate { is: Some(message) }).into()));
    }

    fn renew(&mut self, now: Instant) {
        self.counter += 1;
        self.sent.push_back((self.counter, now));
        let lapsed = self.expires.is_none_or(|expires| now >= expires);
        if lapsed && self.expires.is_some() {
            self.seen.borrow_mut().lapses += 1;
        }
        let Holder { want, epoch, seq, counter, .. } = *self;
        let in_flight = self.units.min(UNIT);
        self.say(ToKeeper::Renew(Renew {
            path: PATH,
            want,
            epoch,
            seq,
            counter,
            lapsed,
            in_flight,
            admitted: 0,
            refused: 0,
        }));
        self.renew_at = now + LEASE / 3;
    }

    fn installed(&mut self, now: Instant, lease: &Lease) {
        let sent = self.sent.iter().find(|(counter, _)| Some(*counter) == lease.in_reply_to).map(|&(_, at)| at);
        let Some(sent) = sent else { return };
        self.sent.retain(|(counter, _)| Some(*counter) > lease.in_reply_to);
        let mut seen = self.seen.borrow_mut();
        let took = u32::try_from((now - sent).as_micros()).unwrap_or(u32::MAX);
        if lease.units > self.units {
            seen.growths += 1;
            seen.grown_us.push(took);
        } else {
            seen.renewals += 1;
            seen.renewed_us.push(took);
        }
        seen.holding += usize::from(self.expires.is_none() && lease.units > 0);
        drop(seen);
        (self.epoch, self.seq, self.units) = (lease.epoch, lease.seq, lease.units);
        self.expires = (lease.units > 0).then(|| sent + Duration::from_millis(lease.term_ms.into()));
        if self.is_growing && self.units >= self.want {
            self.want += UNIT;
            self.renew(now);
        }
    }

    async fn run(mut self, mut body: Incoming) -> Result<(), Failed> {
        let mut frames = Frames::new(MESSAGE_MAX);
        loop {
            let piece = tokio::select! {
                piece = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)) => piece,
                () = tokio::time::sleep_until(self.renew_at.into()) => {
                    self.renew(Instant::now());
                    continue;
                }
            };
            let Some(piece) = piece else { return Err("the server ended a stream".into()) };
            let piece = match piece?.into_data() {
                Ok(piece) => piece,
                Err(trailers) => return Err(format!("the server ended a stream: {trailers:?}").into()),
            };
            frames.push(&piece);
            while let Some(message) = frames.pop().map_err(|_| "no frame")? {
                match read_keeper(message).map_err(|_| "no message")? {
                    ToGate::Lease(lease) => self.installed(Instant::now(), &lease),
                    ToGate::Facts(facts) if !facts.code.is_empty() => return Err(facts.problem.into()),
                    _ => {}
                }
            }
        }
    }
}

/// Where to, and as whom.
struct Asked {
    port: u16,
    contract: String,
    token: String,
}

async fn connection(port: u16) -> Result<SendRequest<Outgoing>, Failed> {
    let socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.set_nodelay(true)?;
    let (requests, connection) = Builder::new(TokioExecutor::new()).handshake(TokioIo::new(socket)).await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(requests)
}

/// Opens a stream and holds on it for as long as it lasts.
async fn hold(
    number: usize,
    asked: Rc<Asked>,
    mut requests: SendRequest<Outgoing>,
    seen: Rc<RefCell<Seen>>,
    is_growing: bool,
) -> Result<(), Failed> {
    let (out, outgoing) = mpsc::unbounded_channel();
    let request = Request::post(format!("http://127.0.0.1:{}{HOLD}", asked.port))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {}", asked.token))
        .body(Outgoing(outgoing))?;
    let mut holder = vec![1; HOLDER_BYTES];
    holder[..8].copy_from_slice(&(number as u64).to_be_bytes());
    let paths = vec![OnPath { id: PATH, contract: asked.contract.clone(), workload: None }];
    let hello = Hello { holder, protocol: PROTOCOL, held: vec![], process: None, paths };
    let renew_at = Instant::now() + LEASE / 3 * (number % 100) as u32 / 100;
    let one = Holder {
        is_growing,
        out,
        seen,
        want: UNIT,
        counter: 0,
        epoch: 0,
        seq: 0,
        units: 0,
        sent: VecDeque::new(),
        expires: None,
        renew_at,
    };
    one.say(ToKeeper::Hello(hello));
    let response = requests.send_request(request).await?;
    if let Some(status) = response.headers().get("grpc-status") {
        return Err(format!("the server does not take this stream: {status:?}").into());
    }
    one.run(response.into_body()).await
}

fn shares(mut took: Vec<u32>) -> String {
    took.sort_unstable();
    let at = |share: usize| took.get(took.len().saturating_sub(1) * share / 1_000).copied().unwrap_or(0);
    format!("{{\"p50\": {}, \"p99\": {}, \"p999\": {}, \"most\": {}}}", at(500), at(990), at(999), at(1_000))
}

async fn run(asked: Asked, holders: usize, growing: usize, seconds: u64) -> Result<(), Failed> {
    let (asked, seen) = (Rc::new(asked), Rc::new(RefCell::new(Seen::default())));
    let mut requests = connection(asked.port).await?;
    for number in 0..holders {
        if number % STREAMS == STREAMS - 1 {
            requests = connection(asked.port).await?;
        }
        let (asked, requests, seen) = (Rc::clone(&asked), requests.clone(), Rc::clone(&seen));
        tokio::task::spawn_local(async move {
            if let Err(failed) = hold(number, asked, requests, seen, number < growing).await {
                eprintln!("holder {number}: {failed}");
                std::process::exit(1);
            }
        });
        if number % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    while seen.borrow().holding < holders {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("warm");
    tokio::task::spawn_blocking(|| io::stdin().read_line(&mut String::new())).await??;
    let (before, since) = (seen.take(), Instant::now());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (seen, lasted) = (seen.take(), since.elapsed().as_secs_f64());
    println!(
        "{{\"seconds\": {lasted:.3}, \"holders\": {}, \"growing\": {growing}, \"renewals\": {}, \"growths\": {}, \
         \"lapses\": {}, \"renewed_us\": {}, \"grown_us\": {}}}",
        before.holding,
        seen.renewals,
        seen.growths,
        seen.lapses,
        shares(seen.renewed_us),
        shares(seen.grown_us)
    );
    Ok(())
}

fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [port, contract, holders, growing, seconds] = &words[..] else {
        return Err("streams PORT CONTRACT HOLDERS GROWING SECONDS".into());
    };
    let mut token = String::new();
    io::stdin().read_line(&mut token)?;
    let asked = Asked { port: port.parse()?, contract: contract.clone(), token: token.trim().to_owned() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run(asked, holders.parse()?, growing.parse()?, seconds.parse()?))
}
