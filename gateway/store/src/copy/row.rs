//! Rows between two backends.

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::tables::{Column, Table};
use crate::error::StoreError;

/// A row, column by column as its [`Table`] has them.
pub(crate) type Row = Vec<Cell>;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cell {
    Bool(bool),
    Bytes(Vec<u8>),
    Empty,
    Int(i64),
    Text(String),
}

impl Cell {
    /// What a column holds.
    pub(crate) fn of(column: &Column, found: Option<Self>) -> Result<Self, StoreError> {
        match found {
            Some(cell) => Ok(cell),
            None if column.is_optional => Ok(Self::Empty),
            None => Err(StoreError::Corrupt(format!("there is nothing in column {}", column.name))),
        }
    }

    /// How many bytes it takes, where that is more than a few.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Bool(_) | Self::Empty | Self::Int(_) => 0,
            Self::Bytes(value) => value.len(),
            Self::Text(value) => value.len(),
        }
    }
}

/// What some rows add up to. Both sides read them in an order of their own, so that the order does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    digests: [u64; 4],
}

impl Sum {
    /// Adds a row.
    pub(crate) fn add(&mut self, table: &Table, row: &[Cell]) {
        let mut context = Context::new(&SHA256);
        for cell in table.compared().filter_map(|place| row.get(place)) {
            // Its kind and length go with it, so that two rows cannot run together into the same bytes.
            match cell {
                Cell::Bool(value) => context.update(&[b'b', u8::from(*value)]),
                Cell::Bytes(value) => framed(&mut context, b'x', value),
                Cell::Empty => context.update(b"-"),
                Cell::Int(value) => framed(&mut context, b'i', &value.to_be_bytes()),
                Cell::Text(value) => framed(&mut context, b't', value.as_bytes()),
            }
        }
        let digest = context.finish();
        for (lane, part) in self.digests.iter_mut().zip(digest.as_ref().as_chunks::<8>().0) {
            *lane = lane.wrapping_add(u64::from_be_bytes(*part));
        }
        self.rows += 1;
    }
}

fn framed(context: &mut Context, kind: u8, bytes: &[u8]) {
    context.update(&[kind]);
    context.update(&(bytes.len() as u64).to_be_bytes());
    context.update(bytes);
}
