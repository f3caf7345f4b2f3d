//! Exchanges too long for one answer.

use tsunagi_core::exchange::RowCounts;

use super::given::*;
use crate::{Accept, RowPage};

/// Every row is on exactly one page, with its deliveries; the counts, of all rows, come with the first.
pub async fn a_receipt_comes_page_by_page(store: Shared) {
    let rows = (1..=5).map(|n| if n == 2 { refused(n, "x") } else { row(n, delivered(n, n, "to-app")) }).collect();
    durable(store.accept(&aoi(), Accept { head: head(1), rows, complete: true }).await);
    let mut page = RowPage { after: 0, limit: 2 };
    let mut seen = Vec::new();
    loop {
        let view = store.exchange(&clinic(), &exchange(1), page).await.unwrap().unwrap();
        let all = RowCounts { accepted: 4, unchanged: 0, waiting: 0, refused: 1 };
        assert_eq!(view.counts, (page.after == 0).then_some(all));
        let rows: Vec<u64> = view.rows.iter().map(|row| row.row).collect();
        let sent: Vec<u64> = view.deliveries.iter().map(|delivery| delivery.row).collect();
        assert_eq!(sent, rows.iter().copied().filter(|row| *row != 2).collect::<Vec<_>>());
        assert!(rows.len() <= 2);
        seen.extend(rows);
        match view.next {
            Some(last) => page = page.following(last),
            None => break,
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    let exact = store.exchange(&clinic(), &exchange(1), RowPage { after: 3, limit: 2 }).await.unwrap().unwrap();
    assert_eq!((exact.rows.len(), exact.next), (2, None), "a page that ends with the last row is the last");
    let beyond = store.exchange(&clinic(), &exchange(1), RowPage { after: 5, limit: 2 }).await.unwrap().unwrap();
    assert_eq!((beyond.rows.len(), beyond.deliveries.len(), beyond.next), (0, 0, None));
}

/// The same of refused rows.
pub async fn refused_rows_come_page_by_page(store: Shared) {
    let rows = (1..=6).map(|n| if n % 2 == 0 { refused(n, "x") } else { row(n, vaccination(n)) }).collect();
    durable(store.accept(&aoi(), Accept { head: head(1), rows, complete: true }).await);
    let page = RowPage { after: 0, limit: 2 };
    let numbers = async |page| -> Vec<u64> {
        let found = store.rejections(&clinic(), &exchange(1), page).await.unwrap();
        found.into_iter().map(|rejection| rejection.row).collect()
    };
    assert_eq!(numbers(page).await, [2, 4]);
    assert_eq!(numbers(page.following(4)).await, [6]);
    assert!(numbers(page.following(6)).await.is_empty());
}
