-- An exchange is read a page of rows at a time.
DROP INDEX deliveries_by_exchange;
CREATE INDEX deliveries_by_row ON deliveries (exchange, row);
CREATE INDEX exchange_rows_refused ON exchange_rows (exchange, row) WHERE state = 'refused';
