//! Work that is finished even if nobody waits for it any more, so that what it did is known.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs as a part of whoever waits for it, which costs nothing; dropped before its end, it goes on as a task of its own.
pub(super) struct Detached<T: Send + 'static> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
}

/// The work has panicked, which is a defect: nothing else ends by it.
pub(super) struct Died;

impl<T: Send + 'static> Detached<T> {
    pub(super) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)) }
    }
}

impl<T: Send + 'static> Future for Detached<T> {
    type Output = Result<T, Died>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else { return Poll::Ready(Err(Died)) };
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        let ended = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(_) => Err(Died),
        };
        self.work = None;
        Poll::Ready(ended)
    }
}

impl<T: Send + 'static> Drop for Detached<T> {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and what is not finished never will be.
        if let (Some(work), Ok(runtime)) = (self.work.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { drop(work.await) });
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_nobody_waits_for_is_finished() {
        let (go_on, going) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        let mut work = Detached::new(async move {
            drop(going.await);
            done.send(7).expect("somebody waits for it");
        });
        assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut work).await.is_err(), "it waits");
        drop(work);
        go_on.send(()).expect("the work goes on");
        assert_eq!(is_done.await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_ends_the_work_alone() {
        let work = Detached::new(async { assert_eq!(1, 2, "a defect") });
        assert!(work.await.is_err());
    }
}
