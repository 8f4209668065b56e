//! The peer that Guthi's calls are measured against: a request loop over bare TCP with the same framing.
//!
//! Frames, request ids, a writer that coalesces, one thread: what a lane is, without identity, encryption, multiplexing,
//! discovery, function names, deadlines or cancellation.

use std::{cell::RefCell, collections::VecDeque, net::SocketAddr, rc::Rc, thread};

use bytes::{Buf, BytesMut};
use guthi_core::wire::frame::{self, Kind};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Notify, oneshot},
    task::LocalSet,
};

const READ_BYTES: usize = 64 * 1024;
const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Answers every request with its own payload, on a thread of its own.
/// A request with the flag set is answered with so many raw bytes instead.
pub(crate) fn serve() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        block_on(async {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let (reading, writing) = stream.into_split();
                let state = Rc::new(State::default());
                tokio::task::spawn_local(write(state.clone(), writing));
                tokio::task::spawn_local(answer(state, reading));
            }
            #[expect(unreachable_code, reason = "it names the type of the error")]
            Ok::<(), std::io::Error>(())
        })
    });
    Ok(address)
}

async fn answer(state: Rc<State>, mut stream: OwnedReadHalf) {
    let mut input = BytesMut::with_capacity(READ_BYTES);
    loop {
        input.reserve(READ_BYTES);
        if !stream.read_buf(&mut input).await.is_ok_and(|read| read > 0) {
            return;
        }
        let mut output = state.output.borrow_mut();
        while let Ok(Some((request, taken))) = frame::take(&input, FRAME_BYTES_MAX) {
            if request.flags == 0 {
                let Ok(()) = frame::put(&mut output, Kind::Reply, 0, request.id, |body| {
                    body.extend_from_slice(request.body);
                    Ok::<(), std::convert::Infallible>(())
                });
            } else {
                output.resize(request.id as usize, 7);
            }
            input.advance(taken);
        }
        state.filled.notify_one();
    }
}

/// The asking side; lives on a single-threaded runtime.
pub(crate) struct Client {
    state: Rc<State>,
}

#[derive(Default)]
struct State {
    output: RefCell<Vec<u8>>,
    filled: Notify,
    waiting: RefCell<Waiting>,
}

#[derive(Default)]
struct Waiting {
    slots: Vec<Option<oneshot::Sender<usize>>>,
    free: VecDeque<usize>,
}

impl Client {
    /// Connects; must be called within a [`LocalSet`].
    pub(crate) async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (reading, writing) = stream.into_split();
        let state = Rc::new(State::default());
        tokio::task::spawn_local(write(state.clone(), writing));
        tokio::task::spawn_local(read(state.clone(), reading));
        Ok(Self { state })
    }

    /// Sends a payload and waits for its echo; returns the length of the answer.
    pub(crate) async fn call(&self, payload: &[u8]) -> usize {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut waiting = self.state.waiting.borrow_mut();
            match waiting.free.pop_back() {
                Some(id) => {
                    waiting.slots[id] = Some(sender);
                    id
                }
                None => {
                    waiting.slots.push(Some(sender));
                    waiting.slots.len() - 1
                }
            }
        };
        {
            let mut output = self.state.output.borrow_mut();
            if output.is_empty() {
                self.state.filled.notify_one();
            }
            let Ok(()) = frame::put(&mut output, Kind::Call, 0, id as u64, |body| {
                body.extend_from_slice(payload);
                Ok::<(), std::convert::Infallible>(())
            });
        }
        answer.await.unwrap_or(0)
    }
}

async fn write(state: Rc<State>, mut stream: OwnedWriteHalf) {
    let mut batch = Vec::new();
    loop {
        std::mem::swap(&mut *state.output.borrow_mut(), &mut batch);
        if batch.is_empty() {
            state.filled.notified().await;
            continue;
        }
        if stream.write_all(&batch).await.is_err() {
            return;
        }
        batch.clear();
    }
}

async fn read(state: Rc<State>, mut stream: OwnedReadHalf) {
    let mut input = BytesMut::with_capacity(READ_BYTES);
    loop {
        input.reserve(READ_BYTES);
        if !stream.read_buf(&mut input).await.is_ok_and(|read| read > 0) {
            return;
        }
        let mut waiting = state.waiting.borrow_mut();
        while let Ok(Some((reply, taken))) = frame::take(&input, FRAME_BYTES_MAX) {
            let id = reply.id as usize;
            if let Some(sender) = waiting.slots.get_mut(id).and_then(Option::take) {
                let _ = sender.send(reply.body.len());
                waiting.free.push_back(id);
            }
            input.advance(taken);
        }
    }
}

/// Receives so many raw bytes over a fresh connection, in one large read buffer.
pub(crate) async fn receive_raw(stream: &mut TcpStream, bytes: usize, buffer: &mut Vec<u8>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let Ok(()) = frame::put(&mut request, Kind::Call, 1, bytes as u64, |_| Ok::<(), std::convert::Infallible>(()));
    stream.write_all(&request).await?;
    buffer.clear();
    buffer.reserve(bytes);
    while buffer.len() < bytes {
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Runs a future on a single-threaded runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(LocalSet::new().block_on(&runtime, future))
}
