//! One suite for every backend: each case is a promise of [`crate::Storage`], named after it.
//!
//! A backend's tests call [`store_contract!`](crate::store_contract) with an expression that makes a fresh, migrated
//! store and whatever has to live as long as it; each case becomes a test of its own. The cases use fixed times and
//! ids, so they need nothing but the store. [`coordinator_contract!`](crate::coordinator_contract) is the same for a
//! coordinator.

// This is test code wherever it is compiled: a case that fails has to stop there and then.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

pub mod administration;
pub mod coordination;
pub mod deliveries;
pub mod given;
pub mod intake;
#[cfg(feature = "postgres")]
pub mod line;
pub mod log;
pub mod pages;
pub mod reading;
#[cfg(feature = "redis")]
pub mod redis_server;
pub mod retention;
#[cfg(feature = "postgres")]
pub mod server;
pub mod shredding;
pub mod waiting;

/// Makes a test of each promise. The argument is an expression of type `(impl Storage + 'static, Guard)`.
#[macro_export]
macro_rules! store_contract {
    ($make:expr) => {
        $crate::store_contract! { @ $make;
            administration:
                a_registry_entry_is_replaced_by_its_successor, coverage_adds_up_and_is_ranked,
                coverage_of_a_loud_channel_is_bounded, every_log_is_listed, exchanges_are_listed_newest_first,
                nothing_is_left_of_a_tenant_that_is_none_but_its_log, what_belongs_to_somebody_is_not_forgotten,
                migration_may_be_repeated;
            deliveries:
                a_claim_again_gets_the_same, a_dead_or_held_delivery_holds_up_its_line,
                a_delivery_carries_its_own_version, a_lease_that_is_over_is_anyones,
                a_line_is_claimed_in_order, a_retry_holds_up_its_line, a_settled_delivery_is_gone_from_the_batch,
                another_line_is_not_held_up, deliveries_are_listed_newest_first, only_the_stuck_are_redriven,
                the_oldest_come_first, what_is_given_back_is_as_if_never_claimed;
            intake:
                a_chunk_continues_its_exchange, a_complete_exchange_answers_as_it_did, a_failed_call_leaves_nothing, a_record_comes_back_as_it_was,
                a_refused_row_is_given_back_to_its_sender, a_row_is_decided_in_one_tenant,
                a_row_without_a_tenant_stands_under_the_hub, a_second_value_where_there_is_one_waits,
                a_subject_gains_identifiers, a_tombstone_hides_the_record, an_equal_record_is_unchanged,
                an_individual_number_is_never_stored, another_body_under_the_key_keeps_nothing,
                another_persons_equal_key_is_another_record, events_tell_what_the_store_found_out,
                many_tasks_at_once_lose_nothing,
                only_who_makes_subjects_names_them, tenants_see_nothing_of_each_other, the_flag_holds_while_a_record_sets_it,
                the_same_body_under_the_key_is_the_same_exchange, the_same_business_key_is_a_new_version;
            log:
                a_checkpoint_is_verified_by_its_key, a_seal_goes_on_where_the_last_one_ended,
                a_witnessed_head_is_replaced_by_who_saw_it, an_empty_log_verifies, an_old_or_unfounded_seal_is_stale,
                a_whole_log_is_read_newest_first, leaves_are_dense_and_hashed, leaves_are_found_by_whom_they_tell_of,
                tiles_hold_what_proofs_are_made_of, verification_tells_how_far_it_is;
            pages:
                a_receipt_comes_page_by_page, refused_rows_come_page_by_page;
            reading:
                a_directive_moves_the_subject, directives_that_ended_do_not_pile_up, a_link_is_found_by_its_sign_in, a_note_on_a_moved_subject_is_stale,
                a_note_keeps_its_directive, a_repeated_directive_does_not_undo_a_withdrawal,
                a_sign_in_of_two_subjects_names_each_by_its_key, only_the_kinds_asked_for_come,
                what_is_not_there_is_not_found;
            retention:
                a_decision_on_what_is_gone_is_stale, a_rehearsal_changes_nothing, a_version_goes_by_its_own_day,
                each_tenant_keeps_its_own, it_is_done_in_pieces, nobody_comes_to_light_because_a_record_is_over,
                settled_deliveries_go_and_their_line_goes_on, the_source_of_a_refused_row_goes,
                what_has_just_come_in_is_not_over, what_is_left_of_a_shredded_subject_goes, what_is_not_settled_stays,
                what_is_over_is_gone_and_counted;
            shredding:
                a_shredded_subject_is_gone, what_rests_on_a_shredded_subject_is_stale;
            waiting:
                a_contradiction_ends_the_promise_to_take_a_row_up, a_row_of_several_subjects_waits,
                a_row_of_the_same_call_is_taken_up, a_row_taken_up_makes_no_identifier_known,
                a_row_waits_until_its_subject_is_known,
                rows_are_taken_up_in_their_order, rows_of_another_tenant_go_on_waiting;
        }
    };
    (@ $make:expr; $($part:ident: $($case:ident),+;)+) => {$($(
        #[tokio::test]
        async fn $case() {
            let (store, _lives_as_long) = $make;
            $crate::contract::$part::$case(std::sync::Arc::new(store)).await;
        }
    )+)+};
}
