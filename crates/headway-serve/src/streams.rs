//! The requests of one connection, answered by the connection's own task.
//!
//! A task for each, as hyper's usual executor makes them, would wake its connection for every answer, which is then written
//! alone. Here all requests that arrived together are answered first and their answers go out together. What cannot be
//! answered at once, and what lasts, goes on as a task.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use hyper::rt::Executor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a connection puts its requests' streams, to be begun.
#[derive(Clone, Default)]
pub(crate) struct Begun(Arc<Mutex<Vec<Stream>>>);

impl Begun {
    fn take(&self) -> Vec<Stream> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Begun {
    fn execute(&self, stream: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(stream));
    }
}

/// The streams of a connection. What it did not begin ends with it.
#[derive(Default)]
pub(crate) struct Streams(Begun);

impl Streams {
    pub(crate) fn executor(&self) -> Begun {
        self.0.clone()
    }

    /// Goes on with a connection until it has ended. May be given up and called again.
    pub(crate) async fn drive<C: Future>(&self, mut connection: Pin<&mut C>) -> C::Output {
        poll_fn(|context| {
            loop {
                if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                    return Poll::Ready(ended);
                }
                let begun = self.0.take();
                if begun.is_empty() {
                    return Poll::Pending;
                }
                begun.into_iter().for_each(begin);
            }
        })
        .await
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        // A stream keeps the place it came from alive.
        drop(self.0.take());
    }
}

fn begin(mut stream: Stream) {
    if stream.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        // The task polls it once more, and is woken from then on.
        tokio::spawn(stream);
    }
}

/// A socket that takes one piece at a time: HTTP/2 then gathers frames of up to a KiB before it writes, instead of handing
/// over each body beyond 256 bytes by itself.
pub(crate) struct Gathered<S>(pub(crate) S);

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::oneshot;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        runtime.block_on(future)
    }

    #[test]
    fn what_arrived_together_is_answered_before_the_connection_goes_on() {
        block_on(async {
            let (streams, answered) = (Streams::default(), Arc::new(AtomicUsize::new(0)));
            let (executor, seen, mut turn) = (streams.executor(), Arc::clone(&answered), 0);
            let connection = poll_fn(move |_| {
                turn += 1;
                if turn == 1 {
                    for _ in 0..16 {
                        let answered = Arc::clone(&answered);
                        executor.execute(async move { assert!(answered.fetch_add(1, Ordering::SeqCst) < 16) });
                    }
                    return Poll::Pending;
                }
                Poll::Ready(answered.load(Ordering::SeqCst))
            });
            assert_eq!(16, streams.drive(std::pin::pin!(connection)).await);
            assert_eq!(16, seen.load(Ordering::SeqCst));
        });
    }

    #[test]
    fn a_stream_that_waits_goes_on_without_its_connection() {
        block_on(async {
            let streams = Streams::default();
            let (executor, (go, wait), (said, mut heard)) =
                (streams.executor(), oneshot::channel(), oneshot::channel());
            executor.execute(async move { said.send(wait.await).unwrap() });
            let connection = std::pin::pin!(std::future::pending::<()>());
            let driven = streams.drive(connection);
            let sent = async {
                tokio::task::yield_now().await;
                go.send(5).unwrap();
                (&mut heard).await.unwrap().unwrap()
            };
            tokio::select! {
                () = driven => unreachable!("it never ends"),
                number = sent => assert_eq!(5, number),
            }
        });
    }

    #[test]
    fn streams_that_were_not_begun_end_with_their_connection() {
        let (streams, alive) = (Streams::default(), Arc::new(()));
        let (executor, held) = (streams.executor(), Arc::clone(&alive));
        let keeps = executor.clone();
        executor.execute(async move { drop((held, keeps)) });
        drop(streams);
        assert_eq!(1, Arc::strong_count(&alive));
    }
}
