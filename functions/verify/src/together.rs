//! Runs several futures concurrently on the function's only thread.

use std::future::poll_fn;
use std::task::Poll;

/// Runs `futures` concurrently and returns their outputs in order. Each wake polls all of them, because they are few.
pub async fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        let mut all_ended = true;
        for (future, output) in running.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(ended) => *output = Some(ended),
                Poll::Pending => all_ended = false,
            }
        }
        if all_ended { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn futures_run_concurrently_and_their_order_is_kept() {
        let (send, receive) = oneshot::channel();
        // The first future ends only after the second has run.
        let (mut receive, mut send) = (Some(receive), Some(send));
        let futures = [0, 1].map(|n| {
            let (receive, send) = if n == 0 { (receive.take(), None) } else { (None, send.take()) };
            async move {
                match (receive, send) {
                    (Some(receive), _) => receive.await.unwrap(),
                    (_, Some(send)) => send.send("first").map(|()| "second").unwrap(),
                    (None, None) => "neither",
                }
            }
        });
        assert_eq!(together(futures).await, ["first", "second"]);
    }

    #[tokio::test]
    async fn no_futures_end_at_once() {
        assert_eq!(together([] as [std::future::Ready<()>; 0]).await, []);
    }
}
