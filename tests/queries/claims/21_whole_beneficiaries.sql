-- Every column of the beneficiaries born before 1920, in order.
-- order: total
SELECT * FROM claims.beneficiary
WHERE bene_birth_dt < DATE '1920-01-01'
ORDER BY bene_birth_dt, desynpuf_id, bene_year
