//! Several futures at the same time, on the function's one thread.

use std::future::poll_fn;
use std::task::Poll;

/// What `futures` end with, in their order, once all of them have ended. Each wake looks at all of them: they are few.
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
    async fn what_ends_later_does_not_wait_for_its_turn_and_the_order_is_kept() {
        let (send, receive) = oneshot::channel();
        // The first ends only when the second has run.
        let (mut receive, mut send) = (Some(receive), Some(send));
        let futures = [0, 1].map(|n| {
            let (receive, send) = if n == 0 { (receive.take(), None) } else { (None, send.take()) };
            async move {
                match (receive, send) {
                    (Some(receive), _) => receive.await.unwrap(),
                    (_, Some(send)) => send.send("first").map(|()| "second").unwrap(),
                    (None, None) => "nobody",
                }
            }
        });
        assert_eq!(together(futures).await, ["first", "second"]);
    }

    #[tokio::test]
    async fn nothing_ends_at_once() {
        assert_eq!(together([] as [std::future::Ready<()>; 0]).await, []);
    }
}
