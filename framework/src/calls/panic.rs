//! Panics of user functions: caught, with the place where they happened.
//!
//! The place is known only to the process-wide panic hook, so one is installed around the existing one, once.
//! While a function runs under [`catch`] the hook notes the place and stays silent: the caller gets the report.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    future::Future,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use futures::FutureExt;

/// What a function said as it panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Panic {
    pub(crate) message: String,
    /// `file:line:column`.
    pub(crate) location: String,
}

/// Runs a function of the user.
pub(crate) fn catch<T>(function: impl FnOnce() -> T) -> Result<T, Panic> {
    install();
    let outer = CATCHING.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(function));
    CATCHING.set(outer);
    result.map_err(report)
}

/// Polls a future of the user to its end.
pub(crate) async fn catch_async<T>(future: impl Future<Output = T>) -> Result<T, Panic> {
    install();
    let mut future = Box::pin(AssertUnwindSafe(future).catch_unwind());
    // The flag is set only while the future is polled: between polls the thread belongs to others.
    std::future::poll_fn(|cx| {
        let outer = CATCHING.replace(true);
        let poll = future.as_mut().poll(cx);
        CATCHING.set(outer);
        poll
    })
    .await
    .map_err(report)
}

fn report(payload: Box<dyn Any + Send>) -> Panic {
    let message = match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload.downcast::<&str>().map_or_else(|_| "(no message)".into(), |message| (*message).into()),
    };
    Panic { message, location: LOCATION.take().unwrap_or_else(|| "(unknown place)".into()) }
}

fn install() {
    INSTALLED.call_once(|| {
        let earlier = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CATCHING.get() {
                LOCATION.set(info.location().map(ToString::to_string));
            } else {
                earlier(info);
            }
        }));
    });
}

// The hook is process-wide by nature, so its installation is too. See docs/decisions/0002-panic-hook.md.
static INSTALLED: Once = Once::new();

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_reported_with_its_place() {
        let panic = catch(|| panic!("no {}", 7)).unwrap_err();
        assert_eq!(panic.message, "no 7");
        assert!(panic.location.contains("panic.rs:"), "{}", panic.location);
    }

    #[tokio::test]
    async fn a_panic_after_an_await_is_reported_too() {
        let panic = catch_async(async {
            tokio::task::yield_now().await;
            panic!("later")
        })
        .await
        .unwrap_err();
        assert_eq!(panic.message, "later");
        assert!(panic.location.contains("panic.rs:"), "{}", panic.location);
    }
}
