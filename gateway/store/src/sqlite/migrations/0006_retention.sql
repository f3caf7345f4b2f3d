-- Sources of refused rows are kept for a while only; deliveries are looked up by the version that they carry.
CREATE INDEX exchange_rows_sealed ON exchange_rows (tenant, exchange, row) WHERE sealed IS NOT NULL;
CREATE INDEX deliveries_by_record ON deliveries (tenant, record, version);
